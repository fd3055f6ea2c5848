# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Multi-hop queries
#
# A link predictor scores triples. Put together by fuzzy logic, such scores answer questions of
# several hops: which concepts are caused by a virus *and* by a bacterium? This notebook trains one
# on UMLS, asks it, and measures how good its answers are; [docs/queries.md](../docs/queries.md)
# explains how it is done.

# %%
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
import torch

from aswa.config import load
from aswa.data.folders import find_folder
from aswa.data.knowledge_graph import read_graph
from aswa.models import kge
from aswa.queries.algebra import STRUCTURES
from aswa.queries.answering import Answerer, ask
from aswa.queries.fuzzy_logic import Product
from aswa.queries.generation import Sampler
from aswa.queries.nested import write_query
from aswa.queries.ranking import QueryRanking
from aswa.training.session import execute

torch.set_num_threads(1)
folder = tempfile.mkdtemp()
config = load(
    ["dataset=umls", "model=keci", "device=cpu", "save_weights=true", f"results_dir={folder}"]
)
record = execute(config)  # five methods on one trajectory, half a minute at most
record["decisions"]

# %% [markdown]
# ## Asking
#
# A query is nested tuples, in the notation of BetaE's files: a chain is where it starts and the
# relations it follows, an intersection a tuple of chains. `causes⁻¹` is followed backwards.

# %%
graph = read_graph(find_folder("umls", config.data_dir)).with_reciprocals()


def kept_by(method: str) -> torch.nn.Module:
    """The link predictor that a method kept."""
    model = kge.build(
        "keci", len(graph.entities), len(graph.relations), 128, p=config.model.options["p"],
        q=config.model.options["q"],
    )  # fmt: skip
    model.load_state_dict(torch.load(config.folder / "weights" / f"{method}.pt"))
    return model.eval()


aswa = kept_by("aswa")
both = (("virus", ("causes",)), ("bacterium", ("causes",)))
pd.DataFrame(ask(aswa, graph, "2i", both, top=5), columns=["caused by both", "probability"])

# %% [markdown]
# And one with negation, `2in`: caused by a virus and *not* by a bacterium. What a virus causes in
# this graph a bacterium mostly causes too, and the probabilities say so.

# %%
only = (("virus", ("causes",)), ("bacterium", ("causes", "n")))
pd.DataFrame(ask(aswa, graph, "2in", only, top=3), columns=["by a virus alone", "probability"])

# %% [markdown]
# ## Quality of the answers
#
# Queries are drawn so that each has *hard* answers, which no path of known edges leads to: an edge
# of the test split is missing. What counts is where these are ranked among all entities that are no
# answers.

# %%
sampler = Sampler(graph, "test")
drawn = {name: sampler.draw(name, 300) for name in STRUCTURES}
example = drawn["pi"].rows[0].tolist()
letters = zip("errer", example, strict=True)
names = [(graph.entities if kind == "e" else graph.relations)[i] for kind, i in letters]
write_query("pi", names)

# %%
methods = ("sgd", "swa", "ema", "early_stopping", "aswa")
answerers = {name: Answerer(kept_by(name), Product(), len(graph.entities)) for name in methods}
rankings = {
    name: QueryRanking(queries, len(graph.entities), torch.device("cpu"), 2**28)
    for name, queries in drawn.items()
}
mrr = pd.DataFrame(
    {
        method: {name: ranking.metrics(answerer)["mrr"] for name, ranking in rankings.items()}
        for method, answerer in answerers.items()
    }
)
mrr.round(3)

# %%
labels = ["SGD", "SWA", "EMA", "Early stopping", "ASWA"]
figure, axes = plt.subplots(figsize=(9, 3.2))
for method, label, marker in zip(methods, labels, "osd^x", strict=True):
    axes.plot(mrr.index, mrr[method], marker, label=label, alpha=0.8)
axes.set(xlabel="query structure", ylabel="MRR of hard answers", ylim=(0, 1))
axes.grid(axis="y", alpha=0.3)
axes.legend(ncol=5, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
figure.tight_layout()
plt.show()

# %% [markdown]
# One seed of one model shows nothing about the methods; `make reproduce-queries` runs ten seeds of
# four models on two graphs and tests them.
