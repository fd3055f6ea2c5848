"""Weight averaging for any PyTorch training loop. Imports torch only.

    aswa = ASWA(model)
    for epoch in range(epochs):
        train_one_epoch(model, loader, optimizer)
        decision = aswa.update(model, evaluate)   # evaluate(module) -> float, higher is better
    torch.save(aswa.module.state_dict(), "averaged.pt")

`SGD`, `SWA`, `EMA`, `EarlyStopping` and `ASWA` share one protocol (`Averager`); an averager only
watches: it never changes the running model, its mode or the random state.
"""

from aswa.averaging.aswa import ASWA, Decision
from aswa.averaging.aswa_released import ReleasedASWA
from aswa.averaging.averager import Averager
from aswa.averaging.batch_norm import has_batch_norm, recompute_batch_norm
from aswa.averaging.early_stopping import EarlyStopping
from aswa.averaging.ema import EMA
from aswa.averaging.polynomial_decay import PolynomialDecay
from aswa.averaging.sgd import SGD
from aswa.averaging.swa import SWA

__all__ = [
    "ASWA",
    "EMA",
    "SGD",
    "SWA",
    "Averager",
    "Decision",
    "EarlyStopping",
    "PolynomialDecay",
    "ReleasedASWA",
    "has_batch_norm",
    "recompute_batch_norm",
]
