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
# # Uncertainty: a Gaussian around the average
#
# SWAG keeps the moments of the models that SWA averages, and draws networks from the Gaussian that
# has them. Their mean prediction is to be less sure where the networks disagree. `GatedSWAG` does
# the same around ASWA's ensemble. This notebook trains for seconds on made data of two dimensions,
# where one can look at it; `docs/uncertainty.md` has CIFAR.

# %%
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from aswa.averaging import ASWA, SWA, SWAG, GatedSWAG, multi_swag
from aswa.tasks.probabilistic import (
    auroc,
    brier,
    ece,
    entropy,
    mean_prediction,
    mutual_information,
    nll,
    reliability,
    risk_coverage,
)

torch.set_num_threads(1)
ARMS, NOISE = 3, 0.15  # classes; share of labels that are drawn anew

# %% [markdown]
# ## Data
#
# Three spiral arms; a part of the labels is random, so that no network can be right always, and
# one that says it is, is not calibrated.


# %%
def spirals(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [n, 2] and labels [n]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(ARMS, (n,), generator=generator)
    radius = 0.2 + 0.8 * torch.rand(n, generator=generator)
    angle = 5 * radius + 2 * math.pi * labels / ARMS
    points = radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    points += 0.05 * torch.randn(n, 2, generator=generator)
    redrawn = torch.rand(n, generator=generator) < NOISE
    return points, torch.where(redrawn, torch.randint(ARMS, (n,), generator=generator), labels)


train, valid, test = spirals(300, 0), spirals(300, 1), spirals(2000, 2)

# %% [markdown]
# ## Train, and let four averages watch
#
# The rate is constant and high, so that the epochs' networks differ. All averages begin at half of
# training.


# %%
def evaluate(module: nn.Module) -> float:
    """Validation accuracy."""
    return float((module(valid[0]).argmax(1) == valid[1]).float().mean())


def trained(seed: int, epochs: int = 200) -> tuple[nn.Module, dict]:
    """The last epoch's network, and the averages that watched it."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, ARMS)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    half = epochs // 2
    averages = {
        "SWA": SWA(model, half),
        "SWAG": SWAG(model, half),
        "ASWA": ASWA(model, half),
        "SWAG gated by ASWA": GatedSWAG(model, half),
    }
    for _ in range(epochs):
        for batch in torch.randperm(len(train[1])).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()
        for average in averages.values():
            average.update(model, evaluate)
    return model, averages


model, averages = trained(seed=0)
{name: average.n_averaged for name, average in averages.items()}

# %% [markdown]
# ## Predict together
#
# `samples(n, seed)` draws networks; `mean_prediction` is the logarithm of the mean of their
# probabilities. The mean of SWAG's weights is SWA itself, to the last bit. A gated Gaussian of one
# member has no variance: it is that member.


# %%
@torch.no_grad()
def logits(members: list[nn.Module], points: torch.Tensor) -> list[torch.Tensor]:
    """Of each member, [n, classes]."""
    return [member(points) for member in members]


members = {
    "last epoch": [model],
    "SWA": averages["SWA"].members(),
    "SWAG": averages["SWAG"].posterior(seed=0),
    "ASWA": averages["ASWA"].members(),
    "SWAG gated by ASWA": averages["SWAG gated by ASWA"].posterior(seed=0),
}
predicted = {name: mean_prediction(logits(each, test[0])) for name, each in members.items()}
for name, prediction in predicted.items():
    accuracy = float((prediction.argmax(1) == test[1]).float().mean())
    found = {"accuracy": accuracy, "NLL": nll(prediction, test[1])}
    found |= {"ECE": ece(prediction, test[1]), "Brier": brier(prediction, test[1])}
    said = "  ".join(f"{metric} {value:.3f}" for metric, value in found.items())
    print(f"{name:20} networks {len(members[name]):2}  {said}")

# %% [markdown]
# ## Reliability, risk and coverage
#
# Left: how often predictions of a confidence are right; below the dotted line a network is too
# sure. Right: the error among the most confident part of all predictions.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
left.plot([0, 1], [0, 1], ":", color="grey")
for name in ("last epoch", "SWA", "SWAG"):
    bins = reliability(predicted[name], test[1])
    held = bins.number > 10
    left.plot(
        (bins.confidence / bins.number)[held], (bins.correct / bins.number)[held], "o-", label=name
    )
    curve = risk_coverage(predicted[name], test[1])
    right.plot(curve.coverage, curve.risk, label=f"{name}, area {curve.area:.3f}")
left.set(xlabel="confidence", ylabel="share of right predictions", title="reliability")
right.set(xlabel="coverage", ylabel="risk", title="risk and coverage")
left.legend()
right.legend()
figure.tight_layout()

# %% [markdown]
# ## Where a network knows nothing
#
# Entropy of the mean prediction over the plane, and the mutual information of SWAG's networks: what
# they disagree about. A ring outside the data stands for what is out of distribution. An AUROC
# below 0.5 says that a network is surer there than on the test set: ReLU networks grow sure with
# the distance, and here labels are noisy inside.

# %%
axis = torch.linspace(-2.5, 2.5, 80)
plane = torch.cartesian_prod(axis, axis)
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True)
drawn = logits(members["SWAG"], plane)
maps = {
    "SWA: entropy": entropy(logits(members["SWA"], plane)[0]),
    "SWAG: entropy": entropy(mean_prediction(drawn)),
    "SWAG: mutual information": mutual_information(drawn),
}
for panel, (title, values) in zip(panels, maps.items(), strict=True):
    shown = panel.pcolormesh(axis, axis, values.reshape(80, 80).T, vmin=0, shading="auto")
    panel.scatter(*train[0].T, c="white", s=1)
    panel.set_title(title)
    figure.colorbar(shown, ax=panel)
figure.tight_layout()

# %%
angle = 2 * math.pi * torch.rand(1000, generator=torch.Generator().manual_seed(3))
ring = 2 * torch.stack([angle.cos(), angle.sin()], 1)
for name, each in members.items():
    inside, outside = (logits(each, points) for points in (test[0], ring))
    found = auroc(entropy(mean_prediction(inside)), entropy(mean_prediction(outside)))
    print(f"{name:20} AUROC of entropy {found:.3f}", end="")
    if len(each) > 1:
        found = auroc(mutual_information(inside), mutual_information(outside))
        print(f", of mutual information {found:.3f}", end="")
    print()

# %% [markdown]
# ## Several runs: MultiSWAG
#
# Samples of several runs' Gaussians predict together. Beside it the ensemble of the runs' SWA
# means.

# %%
runs = [averages, *(trained(seed)[1] for seed in (1, 2))]
together = {
    "ensemble of SWA": [run["SWA"].module for run in runs],
    "MultiSWAG": list(multi_swag([run["SWAG"] for run in runs], 10, seed=0)),
}
for name, each in together.items():
    prediction = mean_prediction(logits(each, test[0]))
    print(f"{name:16} NLL {nll(prediction, test[1]):.3f}  ECE {ece(prediction, test[1]):.3f}")
