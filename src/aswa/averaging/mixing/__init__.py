"""Operators on several models that train side by side; unlike an averager they write into them.

`Population` holds models, optimizers and an operator together, for a training loop of one's own.
Imports torch only.
"""

from aswa.averaging.mixing.average import Average
from aswa.averaging.mixing.carrier import Carrier, Processes
from aswa.averaging.mixing.mixing import Independent, Mixing
from aswa.averaging.mixing.pairs import Pairs
from aswa.averaging.mixing.population import Population, mean_logit, mean_probability
from aswa.averaging.mixing.pull import Pull
from aswa.averaging.mixing.sparse import Shuffle, SparseAverage

__all__ = [
    "Average",
    "Carrier",
    "Independent",
    "Mixing",
    "Pairs",
    "Population",
    "Processes",
    "Pull",
    "Shuffle",
    "SparseAverage",
    "mean_logit",
    "mean_probability",
]
