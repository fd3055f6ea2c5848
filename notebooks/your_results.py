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
# # Open a results folder of your own
#
# One line opens what `aswa-train` wrote to a RESULTS_DIR. Here it is the committed folder of the
# paper's regime on the small graphs; put your own path in its place.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Image, Markdown

from aswa.analysis.declaration import load_declaration
from aswa.analysis.study import analyse

report = analyse(Path("../results/paper_graphs"), load_declaration("paper_graphs"))

# %% [markdown]
# `load_declaration()` without a name asks the project's usual questions; the path of a YAML file
# asks yours.

# %%
Markdown("\n".join(f"- {sentence}" for sentence in report.answer()))

# %% [markdown]
# ## Numbers
#
# `report.results` has a row for each metric of each method's weights on each split, and
# `report.runs` a row for each run, with the settings that vary, the commit and the seconds. Both
# are pandas tables. A setting that varies is a column of both: choose one of its values before you
# average, or means run over different experiments.

# %%
report.runs.head()

# %%
test = report.results.query("split == 'test' and metric == 'mrr'")
means = test.groupby(["dataset", "model", "optimizer"], observed=True)["value"].mean()
means.unstack("optimizer").round(3)

# %% [markdown]
# ## Tables and figures of the report
#
# One study for each regime that the folder holds.

# %%
study = report.studies[0]
Markdown(study.metric_tables["mrr"].markdown())

# %%
figures = {drawing.stem: drawing for drawing in study.drawings}
list(figures)

# %%
Image(figures["paired_differences_mrr"].png, width=860)

# %% [markdown]
# ## A question of your own
#
# Any two methods, seed by seed.

# %%
pairs = test.pivot_table(
    index=["dataset", "model"], columns=["optimizer", "seed"], values="value", observed=True
)
gain = pairs["aswa"] - pairs["early_stopping"]
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.boxplot(gain.T, orientation="horizontal", tick_labels=[" × ".join(u) for u in gain.index])
axis.axvline(0, color="#444444", linewidth=1)
axis.set_xlabel("test MRR: ASWA − best epoch, by seed")
plt.show()
