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
# # Inspect results
#
# The numbers are those of `experiment=tuned`, committed in `results/tuned`. For runs of your own,
# `aswa-analyze RESULTS_DIR` writes a `results.parquet` of the same form to `RESULTS_DIR/analysis`.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Image, Markdown

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records import legacy
from aswa.analysis.records.long_table import Cells
from aswa.analysis.rendering.appearance import look
from aswa.analysis.rendering.differences import critical_differences, paired_differences
from aswa.analysis.rendering.tables import metric_table
from aswa.analysis.statistics.comparisons import declared_tests
from aswa.analysis.statistics.evidence import gather

ROOT = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "pyproject.toml").is_file())
RESULTS = ROOT / "results" / "tuned"

# %% [markdown]
# ## Load and filter
#
# One row is one number: a metric of a method's weights on a split, in a run with a seed.

# %%
results = pd.read_parquet(RESULTS / "results.parquet")
names = legacy.names(results["metric"].unique())  # labels of metrics and methods
cells = Cells(results, names)
results.sample(5, random_state=0).sort_index()

# %%
keci = results.query(
    "dataset == 'umls' and model == 'keci' and split == 'test' and metric == 'mrr'"
)
keci.pivot(index="seed", columns="optimizer", values="value").round(4)

# %% [markdown]
# ## A table
#
# `metric` may be any that was measured: `mrr`, `hits@1`, `hits@3`, `hits@10`.

# %%
METRIC = "mrr"
Markdown(metric_table(cells, METRIC, reference="aswa").markdown())

# %% [markdown]
# ## Compare
#
# The comparisons are those that were declared before the runs, in `conf/analysis/default.yaml`. The
# sentences are made from the records of the tests; the report and the README say the same.

# %%
declared = load_declaration()
records = declared_tests(cells, declared)
evidence = gather(cells, declared, records)
overall = [r for r in records if (r.metric, r.scope) == (METRIC, "all")]
Markdown("\n".join(f"- {record.sentence()}" for record in overall))

# %%
sentences = [effect.sentence() for effect in evidence.effects if effect.metric == METRIC]
sentences += [ranks.sentence() for ranks in evidence.ranks] + list(evidence.power)
Markdown("\n".join(f"- {sentence}" for sentence in sentences))

# %%
(drawing, *_) = paired_differences(cells, declared)
Image(drawing.png, width=860)

# %%
(drawing, *_) = critical_differences(evidence.ranks)
Image(drawing.png, width=620)

# %% [markdown]
# ## Plot anything
#
# A seed table has one column per method, so any question about pairs is a subtraction.

# %%
table = cells.seed_table(METRIC)
gain = (table["aswa"] - table["early_stopping"]).unstack("seed")
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.boxplot(
    gain.T, orientation="horizontal", tick_labels=[" × ".join(unit) for unit in gain.index]
)
axis.axvline(0, color="#444444", linewidth=1)
axis.set_xlabel(f"test {names.metric(METRIC).title}: ASWA − early stopping, by seed")
plt.show()

# %% [markdown]
# ## One run
#
# What it was told, what it decided, what it cost. `run_id` is the hash of its configuration and the
# name of its folder, `runs/DATASET/MODEL/RUN_ID`.

# %%
runs = pd.read_parquet(RESULTS / "runs.parquet")
run = runs.query("dataset == 'umls' and model == 'keci' and seed == 0").iloc[0]
run[["run_id", "hard", "soft", "reject", "members_aswa", "members_swa", "seconds_total", "torch"]]

# %%
config = json.loads(run["config"])
pd.Series(
    {**{k: config[k] for k in ("epochs", "batch_size", "lr", "precision")}, **config["model"]}
)

# %%
curves = pd.read_parquet(RESULTS / "histories.parquet").query("run_id == @run.run_id")
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for name in ("aswa", "early_stopping", "sgd"):
    style = look(name, [])
    line = {"linestyle": style.line, "color": style.colour, "linewidth": style.width}
    axis.plot(curves["epoch"], curves[name], **line, label=names.method(name))
title = f"{run.dataset} × {run.model}, seed {run.seed}, second half"
axis.set(xlabel="epoch", ylabel="validation MRR", title=title)
half = len(curves) // 2
axis.set(xlim=(half, len(curves) + 1), ylim=(curves["sgd"].iloc[half], None))
axis.legend()
plt.show()

# %%
curves["decision"].value_counts()
