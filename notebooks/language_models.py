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
# # A language model and its averages
#
# A small GPT reads the beginnings of four novels of Jane Austen, character by character. Every
# method rides on the same trajectory. What do their weights know of a fifth novel, how honest are
# their probabilities, and what do they write? [docs/language.md](../docs/language.md) has the rest.

# %%
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
import torch

from aswa.config import load
from aswa.results.store import read_record
from aswa.tasks.language_modeling import LanguageModeling
from aswa.tasks.next_token import Windows, assess
from aswa.training.session import execute

torch.set_num_threads(1)
folder = tempfile.mkdtemp()
words = ["experiment=quick", "dataset=austen", "model=gpt", "seed=0", "save_weights=true"]
config = load([*words, "task=language_modeling", "task.sample=0", f"results_dir={folder}"])
record = execute(config)  # half a minute
rows = pd.DataFrame(record["rows"])
test = rows[rows["split"] == "test"].pivot(index="optimizer", columns="metric", values="value")
test[["loss", "bits_per_byte", "accuracy", "ece"]].round(3)

# %% [markdown]
# ## The first curve
#
# Methods select by the probability of a character of the validation novel, exp(−loss).

# %%
history = read_record(config.folder / "history.json")
figure, axes = plt.subplots(figsize=(6, 3.5))
for method, values in history["valid"].items():
    points = [(e, v) for e, v in zip(history["epoch"], values, strict=True) if v is not None]
    axes.plot(*zip(*points, strict=True), marker="o", label=method)
axes.set_xlabel("epoch")
axes.set_ylabel("probability of a character")
axes.set_xticks(history["epoch"])
axes.legend()
plt.show()

# %% [markdown]
# ## Reliability
#
# Of the characters that the model holds for likely with 60 %, are 60 % right? Bins are of equal
# width; the error that they add up to is the column `ece` above.

# %%
task = LanguageModeling(config, torch.device("cpu"))


def kept_by(method: str) -> torch.nn.Module:
    """The model that a method kept."""
    model = task.build_model(torch.Generator())
    model.load_state_dict(torch.load(config.folder / "weights" / f"{method}.pt"))
    return model.eval()


bins = assess([kept_by("aswa")], task._tokens["test"], Windows(task.context)).reliability
kept = bins.number > 0
figure, axes = plt.subplots(figsize=(3.5, 3.5))
axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
confidence, correct = (sums[kept] / bins.number[kept] for sums in (bins.confidence, bins.correct))
axes.plot(confidence, correct, marker="o")
axes.set_xlabel("confidence")
axes.set_ylabel("share that is right")
plt.show()

# %% [markdown]
# ## What they write
#
# After the same beginning and with the same random numbers; a lower temperature prefers what is
# likely.

# %%
for method in ("sgd", "ema", "aswa"):
    for temperature in (1.0, 0.5):
        generator = torch.Generator().manual_seed(1)
        text = task.sample([kept_by(method)], "She was ", 150, generator, temperature)
        print(f"--- {method}, temperature {temperature}\nShe was {text}\n")

# %% [markdown]
# A minute of training gives the shapes of words, not sense. Longer: `experiment=language_base`.
