"""Fill docs/sensitivity.md: `python scripts/sensitivity.py [RESULTS_DIR]`.

Reads the runs of `make sensitivity`, and what benchmarks/averaging/memory.py and gate_noise.py
measured. Writes figures, tables and every number to results/sensitivity/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import evidence
import pandas as pd
from pages import ROOT, fill
from snapshot import made_with, runs_frame

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records.long_table import (
    RUNNING_SCORE,
    UNIT,
    method_costs_frame,
    results_frame,
    rows_frame,
)
from aswa.analysis.records.names import Names, merged
from aswa.analysis.records.runs import Run, read_runs
from aswa.analysis.records.values import Values
from aswa.analysis.records.varying import column, varying_settings
from aswa.analysis.regimes import Regimes
from aswa.analysis.rendering.by_value import by_value, by_value_table, means, of_all_units
from aswa.analysis.rendering.report import csv_bytes
from aswa.analysis.rendering.tables import TextTable
from aswa.analysis.study import Folder
from aswa.files import write_bytes

PAGE, TARGET = "docs/sensitivity.md", ROOT / "results" / "sensitivity"
MEASURED = ROOT / "benchmarks" / "results"
METRIC, CONTROL = "mrr", "early_stopping"
AXES = {
    "start": "optimizer.aswa.start",
    "every": "optimizer.aswa.every",
    "valid": "dataset.valid_share",
    "dim": "model.dim",
    "epochs": "epochs",
}
OF_ASWA = ("start", "every")  # axes that move no other method


def leads(values: Values) -> str:
    """ASWA minus the best epoch: its mean over the units by value, and in how many it is ahead."""
    wide = means(values, METRIC).pivot(index=[*UNIT, "setting"], columns="optimizer", values="mean")
    lead = (wide["aswa"] - wide[CONTROL]).unstack("setting")
    told = [f"{lead[v].mean():+.3f} ({(lead[v] > 0).sum()} of {len(lead)})" for v in values.cells]
    return ", ".join(told)


def sentences(axis: str, values: Values, names: Names) -> str:
    """What is seen along an axis, in numbers."""
    overall = of_all_units(means(values, METRIC), list(values.cells))
    option = values.key.rpartition(".")[2]
    where = ", ".join(map(str, values.cells))
    each = [
        f"{names.method(method)} {', '.join(f'{mean:.3f}' for mean in overall[method])}"
        for method in ("aswa", *(() if axis in OF_ASWA else (CONTROL,)))
    ]
    best: dict[str, list[str]] = {}
    for i, value in enumerate(values.cells):
        first = max(overall, key=lambda method, i=i: overall[method][i])
        best.setdefault(names.method(first), []).append(str(value))
    highest = "; ".join(f"{method} at {', '.join(found)}" for method, found in best.items())
    return (
        f"Test MRR at {option} = {where}, mean over the units: {'; '.join(each)}. ASWA minus early "
        f"stopping, and the units in which ASWA is ahead: {leads(values)}. Highest: {highest}."
    )


def selection_bias(values: Values, names: Names) -> TextTable:
    """Validation score minus test score of each method, less that of the last epoch, by share."""
    frame = values.frame()
    rows = frame[frame["metric"] == METRIC]
    index = ["setting", *UNIT, "seed", "optimizer"]
    split = rows.pivot(index=index, columns="split", values="value")
    gap = (split["valid"] - split["test"]).unstack("optimizer")
    found = gap.sub(gap["sgd"], axis=0).assign(sgd=gap["sgd"])
    units = found.groupby(["setting", *UNIT]).mean()
    methods = [m for m in names.in_order(units.columns) if m != "sgd"]
    labels = {"sgd": "SGD: the difference itself"} | {m: names.method(m) for m in methods}
    texts = []
    for method, label in labels.items():
        by_share = units[method].unstack(UNIT)
        texts.append((label, *(_with_range(by_share.loc[share]) for share in values.cells)))
    return TextTable(
        "selection_bias",
        "Validation MRR minus test MRR, less that of the last epoch of the same run",
        ("method", *(f"valid_share={share}" for share in values.cells)),
        tuple(texts),
        units.reset_index(),
        note="Mean over the units, and their range.",
    )


def growth(bias: TextTable, values: Values, names: Names) -> str:
    """How far the difference grows from the largest share to the smallest."""
    least, most = min(values.cells), max(values.cells)
    mean = bias.numbers.groupby("setting").mean(numeric_only=True)
    grown = mean.loc[least] - mean.loc[most]
    methods = [method for method in names.in_order(grown.index) if method != "sgd"]
    told = ", ".join(f"{names.method(method)} {grown[method]:+.3f}" for method in methods)
    return f"From valid_share={most} to {least} it grows by: {told}."


def _with_range(numbers: pd.Series) -> str:
    return f"{numbers.mean():+.3f} ({numbers.min():+.3f} to {numbers.max():+.3f})"


def shares_of_training(runs: list[Run], values: Values, value: Any) -> pd.DataFrame:
    """Time of a method over that of training: rows dataset × model, columns methods.

    Of the runs whose ASWA is kept: other methods are kept of runs with other options of ASWA too.
    """
    used = {i for i, method in values.choices[value].kept if method == "aswa"}
    costs = method_costs_frame([runs[i] for i in sorted(used)])
    return costs.pivot_table(index=UNIT, columns="optimizer", values="of_training")


def costs_table(share: pd.DataFrame) -> TextTable:
    """Memory and time of each method."""
    measured = json.loads((MEASURED / "averaging_memory.json").read_text())
    rows = [("score of the running model", "", "", _percent(share[RUNNING_SCORE]))]
    for method in measured["methods"]:
        held = f"{method['held'] / 1024:.0f} KiB ({method['held'] / method['model']:.0f} ×)"
        saved = f"{method['saved'] / 1024:.0f} KiB"
        rows.append((method["label"], held, saved, _percent(share[method["method"]])))
    model = f"{measured['model']} on {measured['dataset']}"
    return TextTable(
        "method_costs",
        f"Memory ({model}, weights of {measured['methods'][0]['model'] / 1024:.0f} KiB) and time",
        ("method", "held beside the model", "in a checkpoint", "time, of training's"),
        tuple(rows),
        share.reset_index(),
        note="Time: mean over the units, and their range. The score of the running model is "
        "measured once for early stopping and ASWA together; ASWA's own row has its look-ahead.",
    )


def _percent(numbers: pd.Series) -> str:
    return f"{numbers.mean():.1%} ({numbers.min():.1%} to {numbers.max():.1%})"


def look_ahead(runs: list[Run], values: Values) -> str:
    """The cost of ASWA by its interval."""
    told = [_percent(shares_of_training(runs, values, v)["aswa"]) for v in values.cells]
    every = ", ".join(map(str, values.cells))
    return f"ASWA's own time, of that of training, at every = {every}: {', '.join(told)}."


def noise_table() -> TextTable:
    """Standard deviations of the score that the gate reads, over draws."""
    measured = json.loads((MEASURED / "gate_noise.json").read_text())
    frame = pd.DataFrame(measured["rows"])
    shares = sorted(frame["share"].unique())
    rows = []
    for (dataset, model), part in frame.groupby(UNIT):
        of_share = part.set_index("share")
        first = of_share.iloc[0]
        stds = [
            f"{row.score_std:.3f} / {row.gain_std:.3f} ({row.triples})"
            for row in (of_share.loc[share] for share in shares)
        ]
        score, gain = f"{first['score']:.3f}", f"{first['gain']:+.3f}"
        rows.append((str(dataset), str(model), score, gain, *stds))
    return TextTable(
        "gate_noise",
        f"Validation MRR of fixed weights over {measured['draws']:,} draws: standard deviations",
        ("dataset", "model", "MRR of ASWA", "over early stopping", *(f"share={s}" for s in shares)),
        tuple(rows),
        frame,
        note="Of the MRR / of the difference between the two methods' weights on one draw; in "
        "brackets the triples of a draw.",
    )


def write_table(table: TextTable) -> str:
    """To results/sensitivity/, with its numbers; returns it for the page."""
    write_bytes(TARGET / f"{table.stem}.md", table.markdown().encode())
    write_bytes(TARGET / f"{table.stem}.csv", csv_bytes(table.numbers))
    return table.markdown().strip()


def main(results: Path) -> None:
    """Draw, write, fill."""
    runs, problems = read_runs(results)
    if problems or not runs:
        sys.exit("\n".join(map(str, problems)) or f"no run in {results}: `make sensitivity` first")
    names, declared = merged(run.names for run in runs)[0], load_declaration()
    folder = Folder(results, declared, runs, runs, names, figures=True)
    regimes = Regimes(declared, runs, names, folder.cells)
    for axis, key in AXES.items():
        values = regimes.values(key)
        drawing, table = by_value(values, names, METRIC, {}), by_value_table(values, names, METRIC)
        write_bytes(TARGET / f"{drawing.stem}.png", drawing.png)
        write_table(table)
        figure = f"![test MRR by {axis}](../results/sensitivity/{drawing.stem}.png)"
        fill(PAGE, axis, f"{figure}\n\n{sentences(axis, values, names)}")
    every, share = (regimes.values(AXES[axis]) for axis in ("every", "valid"))
    fill(PAGE, "noise", write_table(noise_table()))
    bias = selection_bias(share, names)
    fill(PAGE, "bias", f"{write_table(bias)}\n\n{growth(bias, share, names)}")
    costs = write_table(costs_table(shares_of_training(runs, every, 1)))
    fill(PAGE, "costs", f"{costs}\n\n{look_ahead(runs, every)}")
    fill(PAGE, "made", made_with(runs_frame(runs, "aswa")))
    settings = {key: column(found) for key, found in varying_settings(runs).items()}
    results_frame(rows_frame(runs), settings).to_parquet(TARGET / "results.parquet", index=False)
    runs_frame(runs, "aswa").to_parquet(TARGET / "runs.parquet", index=False)
    evidence.write("sensitivity")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
