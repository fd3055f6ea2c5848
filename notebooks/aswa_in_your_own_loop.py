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
# `aswa.averaging` needs PyTorch and nothing else of this repository. Give `ASWA` the model, and
# call `update` after each epoch with a function that scores a module on the validation split.
#
# The example is real and small: KINSHIP, 104 people and 25 kinds of kinship, predicted by ComplEx.
# This notebook needs `torch` and `matplotlib`.

# %%
from importlib.resources import files

import matplotlib.pyplot as plt
import torch
from torch import nn

from aswa.averaging import ASWA, SWA, Decision, EarlyStopping

torch.set_num_threads(1)

# %% [markdown]
# ## Data, model, score

# %%
folder = files("aswa.data") / "embedded" / "kinship"
names = {
    split: [tuple(line.split("\t")) for line in (folder / f"{split}.txt").read_text().splitlines()]
    for split in ("train", "valid", "test")
}
entities = sorted({name for rows in names.values() for h, _, t in rows for name in (h, t)})
relations = sorted({r for rows in names.values() for _, r, _ in rows})
entity = {name: number for number, name in enumerate(entities)}
relation = {name: number for number, name in enumerate(relations)}


def numbers(rows):
    """Triples (h, r, t), and each one read backwards with a relation of its own: [2n, 3]."""
    forward = torch.tensor([[entity[h], relation[r], entity[t]] for h, r, t in rows])
    h, r, t = forward.unbind(1)
    return torch.cat([forward, torch.stack([t, r + len(relations), h], 1)])


def marked(*triples):
    """Which triples are true: [entities, 2 relations, entities]."""
    true = torch.zeros(len(entities), 2 * len(relations), len(entities), dtype=torch.bool)
    for some in triples:
        true[some.unbind(1)] = True
    return true


train, valid, test = (numbers(rows) for rows in names.values())
labels = marked(train).float()
pairs = labels.any(2).nonzero()  # every (h, r) with a tail
known = {"valid": marked(train, valid), "test": marked(train, valid, test)}


# %%
class ComplEx(nn.Module):
    """score(h, r, t) = Re⟨h, r, conj(t)⟩, for all tails at once."""

    def __init__(self, dim=64):
        super().__init__()
        self.entity = nn.Embedding(len(entities), 2 * dim)
        self.relation = nn.Embedding(2 * len(relations), 2 * dim)
        for table in (self.entity, self.relation):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, h, r):
        a, b = self.entity(h).chunk(2, 1)
        c, d = self.relation(r).chunk(2, 1)
        return torch.cat([a * c - b * d, a * d + b * c], 1) @ self.entity.weight.T


def mrr(model, split, triples):
    """Filtered mean reciprocal rank."""
    model.eval()
    h, r, t = triples.unbind(1)
    scores = model(h, r)
    target = scores.gather(1, t[:, None])
    scores = scores.masked_fill(known[split][h, r], -torch.inf)
    rank = 1 + (scores > target).sum(1) + 0.5 * (scores == target).sum(1)
    return (1 / rank).mean().item()


# %% [markdown]
# ## The loop
#
# One line before the loop and one in it. The learning rate is that of the paper's scripts, 0.1.

# %%
EPOCHS = 100


def epoch_of_training(model, optimizer):
    model.train()
    for h, r in (batch.unbind(1) for batch in pairs[torch.randperm(len(pairs))].split(1024)):
        loss = nn.functional.binary_cross_entropy_with_logits(model(h, r), labels[h, r])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(0)
model = ComplEx()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
aswa = ASWA(model)
decisions, scores = [], []

for _ in range(EPOCHS):
    epoch_of_training(model, optimizer)
    decisions.append(aswa.update(model, lambda module: mrr(module, "valid", valid)))
    scores.append((*aswa.last_scores, aswa.best_score))

# %% [markdown]
# `aswa.module` is the averaged model: evaluate it, save its `state_dict()`, deploy it. The running
# model is as it would be without ASWA, to the last bit. The test split is read once, here.

# %%
{
    "running model, last epoch": round(mrr(model, "test", test), 3),
    "ASWA": round(mrr(aswa.module, "test", test), 3),
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
axis.set(xlabel="epoch", ylabel="validation MRR")
figure.legend(loc="outside lower center", ncols=6, fontsize=8)
plt.show()

# %% [markdown]
# ## Where averaging gains: the learning rate
#
# Several averagers can watch one run; none of them changes it. One seed a rate, so this shows a
# shape and tests nothing; the registered experiment is in docs/results.md.

# %%
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def watched(lr):
    """Test MRR of the last epoch, the best one, SWA and ASWA on one trajectory."""
    torch.manual_seed(0)
    model = ComplEx()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    averagers = {
        "best epoch": EarlyStopping(model, patience=EPOCHS),
        "SWA": SWA(model, start=EPOCHS * 3 // 4),
        "ASWA": ASWA(model),
    }
    for _ in range(EPOCHS):
        epoch_of_training(model, optimizer)
        for averager in averagers.values():
            averager.update(model, lambda module: mrr(module, "valid", valid))
    offered = {"last epoch": model} | {name: each.module for name, each in averagers.items()}
    return {name: mrr(module, "test", test) for name, module in offered.items()}


curves = [watched(lr) for lr in RATES]
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
styles = {"last epoch": "k:", "best epoch": "k--", "SWA": "#0072B2", "ASWA": "#D55E00"}
for name, style in styles.items():
    line = {"color": style} if style.startswith("#") else {"color": "black", "linestyle": style[1:]}
    axis.plot(RATES, [curve[name] for curve in curves], marker="o", label=name, **line)
axis.set(xscale="log", xlabel="learning rate", ylabel="test MRR", ylim=(0, None))
axis.set_xticks(RATES, [f"{rate:g}" for rate in RATES], minor=False)
axis.legend(fontsize=8)
plt.show()
