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
# # ASWA in your own training loop
#
# `aswa.averaging` needs PyTorch and nothing else of this repository: give `ASWA` your model, and
# call `update` after each epoch with a function that scores a module on the validation split.
#
# The example is small and real: which of 46 relations joins two concepts of UMLS?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

from aswa.averaging import ASWA, Decision
from aswa.config import load
from aswa.data.folders import find_folder
from aswa.data.knowledge_graph import read_graph

config = load(["dataset=umls"])
graph = read_graph(find_folder(config.dataset.folder, config.data_dir))
train, valid, test = graph.train, graph.valid, graph.test  # [n, 3]: head, relation, tail
len(train), len(valid), len(test)


# %%
class Relation(nn.Module):
    """Two embeddings, one hidden layer, a score for each relation."""

    def __init__(self) -> None:
        super().__init__()
        self.concepts = nn.Embedding(len(graph.entities), 32)
        self.layers = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, len(graph.relations))
        )

    def forward(self, triples: torch.Tensor) -> torch.Tensor:
        ends = self.concepts(triples[:, [0, 2]]).flatten(1)
        return self.layers(ends)


def accuracy(module: nn.Module, triples: torch.Tensor) -> float:
    module.eval()
    return (module(triples).argmax(1) == triples[:, 1]).float().mean().item()


# %% [markdown]
# ## Fifteen lines

# %%
torch.manual_seed(0)
torch.set_num_threads(1)
model = Relation()
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
aswa = ASWA(model)
decisions, scores = [], []

for _epoch in range(40):
    model.train()
    for batch in train[torch.randperm(len(train))].split(128):
        loss = nn.functional.cross_entropy(model(batch), batch[:, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    decisions.append(aswa.update(model, lambda module: accuracy(module, valid)))
    scores.append((*aswa.last_scores, aswa.best_score))

# %% [markdown]
# `aswa.module` is the averaged model: evaluate it, save its `state_dict()`, deploy it. The running
# model is as it would be without ASWA, to the last bit. The test split is read once, here.

# %%
{
    "running model, last epoch": round(accuracy(model, test), 3),
    "ASWA": round(accuracy(aswa.module, test), 3),
    "members": aswa.n_averaged,
}

# %% [markdown]
# ## Decisions
#
# A hard update restarts the average from the running model, a soft update adds it, a rejection
# changes nothing. The best score never falls.

# %%
epochs = range(1, len(scores) + 1)
running, look_ahead, best = zip(*scores, strict=True)
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.plot(epochs, running, ":", color="black", label="running model")
axis.plot(epochs, look_ahead, "--", color="#0072B2", label="look-ahead: average with it")
axis.plot(epochs, best, color="#D55E00", linewidth=2.5, label="ASWA")
for decision, marker in zip(Decision, "^|x", strict=True):
    at = [epoch for epoch, made in zip(epochs, decisions, strict=True) if made is decision]
    axis.plot(at, [min(running)] * len(at), marker, color="#444444", label=decision.value)
axis.set(xlabel="epoch", ylabel="validation accuracy")
figure.legend(loc="outside lower center", ncols=6, fontsize=8)
plt.show()
