"""Fill docs/populations.md: `python scripts/populations.py [RESULTS_DIR]`.

Reads the runs of `make populations`, as many as there are, and names the cells that are missing.
Writes figures, tables and every number to results/populations/. Ensembles of the ASWA models of
several runs are evaluated where the runs lie with their weights, and kept in ensembles.json.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import evidence
import pandas as pd
from pages import ROOT, fill
from snapshot import in_brief, made_with, runs_frame

from aswa.analysis.declaration import Condition, Declaration, Regime, load_declaration
from aswa.analysis.records.conditions import by_condition
from aswa.analysis.records.long_table import UNIT, results_frame, rows_frame
from aswa.analysis.records.runs import Run, read_runs
from aswa.analysis.records.settings import meets
from aswa.analysis.rendering.cost_figure import Cost, cost_figure
from aswa.analysis.rendering.report import csv_bytes
from aswa.analysis.rendering.tables import TextTable
from aswa.analysis.statistics.comparisons import family
from aswa.analysis.statistics.power import power_note
from aswa.analysis.study import analyse
from aswa.files import canonical_json, write_bytes
from aswa.results.store import read_result

PAGE, TARGET = "docs/populations.md", ROOT / "results" / "populations"
METRIC, SEEDS = "mrr", range(700, 710)
GRAPHS, MODELS = ("kinship", "umls"), ("complex", "distmult", "keci", "qmult")
ALONE = {"single": 1, "long": 5, "batch": 5}  # condition of one model → runs that it costs
MEMBERS = 5
COLUMNS = {
    "sgd": "last epoch, soup", "swa": "SWA", "early_stopping": "best epoch", "aswa": "ASWA",
    "mean_member": "mean member", "greedy_soup": "greedy soup", "ensemble": "ensemble",
}  # fmt: skip
SEVERAL = ("ensemble",)  # rows that predict with all members
SOUPS = {"wash": "WASH", "papa": "PAPA"}  # of which the registration counts


def runs_of(runs: list[Run], regime: Regime) -> list[Run]:
    """The runs that meet the conditions of a regime."""
    conditions = {key: str(value) for key, value in regime.where.items()}
    return [run for run in runs if all(meets(run, k, v) for k, v in conditions.items())]


def cells_of(runs: list[Run], conditions: tuple[Condition, ...]) -> pd.DataFrame:
    """Test MRR: a row per unit, a column per method under a condition; means over seeds."""
    rows = rows_frame(by_condition(runs, conditions))
    rows = rows[(rows["split"] == "test") & (rows["metric"] == METRIC) & ~rows["collapsed"]]
    seeds = rows.groupby([*UNIT, "optimizer", "seed"], observed=True)["value"].first()
    return seeds.groupby([*UNIT, "optimizer"], observed=True).mean().unstack("optimizer")


def costs_of(runs: list[Run], condition: Condition) -> tuple[int, float]:
    """Runs' worth of examples that a run under a condition costs, and its seconds.

    Cores were shared, and a disturbed run took up to sixty times as long as its neighbour: of each
    unit the fastest seed, as `timeit` has it, and the mean of these.
    """
    fastest: dict[tuple[str, str], float] = {}
    for run in by_condition(runs, (condition,)):
        unit, trained = (run.dataset, run.model), run.seconds["train"] + run.seconds.get("mix", 0.0)
        fastest[unit] = min(trained, fastest.get(unit, trained))
    return ALONE.get(condition.name, MEMBERS), sum(fastest.values()) / len(fastest)


def overview(runs: list[Run], declared: Declaration, regime: Regime) -> TextTable:
    """A row per condition, a column per kind of weights: means over the units that all have."""
    whole = cells_of(runs, declared.conditions).dropna()
    rows: list[tuple[str, ...]] = []
    numbers = []
    for condition in (c for c in declared.conditions if len(whole) and by_condition(runs, (c,))):
        cost, seconds = costs_of(runs, condition)
        named = {row: condition.method(row) for row in condition.rows}
        mean = {row: whole[name].mean() for row, name in named.items() if name in whole}
        texts = [f"{mean[row]:.3f}" if row in mean else "" for row in COLUMNS]
        rows.append((condition.label, f"{cost}×", f"{seconds:.0f} s", *texts))
        for row, value in mean.items():
            predicted = MEMBERS if row in SEVERAL else 1
            found = (condition.name, row, value, cost, seconds, predicted)
            numbers.append((regime.name, *found, len(whole)))
    columns = ["regime", "condition", "row", METRIC, "cost", "seconds", "predicted", "units"]
    return TextTable(
        f"populations_{regime.name}",
        f"Test MRR, mean over {len(whole)} units that every column has",
        ("runs", "compute", "training", *COLUMNS.values()),
        tuple(rows),
        pd.DataFrame(numbers, columns=columns),
        note="Compute: examples trained on, in runs of one model. Training: seconds, of the "
        "fastest seed of each unit, since cores were shared. An ensemble predicts with "
        f"{MEMBERS} models, all others with one.",
    )


def counted(runs: list[Run], declared: Declaration) -> list[str]:
    """The registered statements about counts, as far as their units are there."""
    wide = cells_of(runs, declared.conditions)
    said = []

    def count(title: str, holds: Any, needed: list[str]) -> None:
        if missing := [name for name in needed if name not in wide]:
            said.append(f"{title}: missing {', '.join(missing)}.")
            return
        rows = wide.dropna(subset=needed)
        said.append(f"{title}: {int(holds(rows).sum())} of {len(rows)} units.")

    count(
        "H1, soup of independent members below half of the mean member",
        lambda w: w["independent_sgd"] < 0.5 * w["independent_mean_member"],
        ["independent_sgd", "independent_mean_member"],
    )
    for name, label in SOUPS.items():
        count(
            f"H2, soup of {label} at least .97 of its ensemble",
            lambda w, name=name: w[f"{name}_sgd"] >= 0.97 * w[f"{name}_ensemble"],
            [f"{name}_sgd", f"{name}_ensemble"],
        )
    apart = {name: distances(runs, name) for name in SOUPS}
    common = sorted(apart["wash"].keys() & apart["papa"].keys())
    farther = sum(apart["wash"][unit] > apart["papa"][unit] for unit in common)
    said.append(f"H3, members of WASH end farther apart than PAPA's: {farther} of {len(common)}.")
    count(
        "H4, soup of WASH above soup of sparse averaging",
        lambda w: w["wash_sgd"] > w["sparse_sgd"],
        ["wash_sgd", "sparse_sgd"],
    )
    return said


def distances(runs: list[Run], population: str) -> dict[tuple[str, str], float]:
    """Unit → mean of Σ ‖θ_n − θ̄‖² / ‖θ̄‖² over seeds."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        if meets(run, "population.name", population):
            record = read_result(run.path)
            found[run.dataset, run.model].append(record["population"]["relative_distance"])
    return {unit: sum(values) / len(values) for unit, values in found.items()}


def missing(runs: list[Run], declared: Declaration) -> str:
    """Cells (condition × unit × seed) that the registration has and the runs have not."""
    methods = {c.name: {c.method(row) for row in c.rows} for c in declared.conditions}
    there: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for run in by_condition(runs, declared.conditions):
        for name, own in methods.items():
            if own & set(run.methods) and run.seed in SEEDS:
                there[name].add((run.dataset, run.model, run.seed))
    of_each = len(GRAPHS) * len(MODELS) * len(SEEDS)
    told = [f"{c.label} {n}" for c in declared.conditions if (n := of_each - len(there[c.name]))]
    total = of_each * len(declared.conditions)
    if not told:
        return f"All {total} cells (condition × unit × seed) are there."
    return f"Missing of {total} cells (condition × unit × seed): {', '.join(told)}."


def ensembles(runs: list[Run], regime: Regime, file: Path) -> str:
    """Of the ASWA models of five runs of one model: evaluated where weights are, else as kept."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    of_units: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        of_units[run.dataset, run.model].append(run)
    for (dataset, model), own in of_units.items():
        folders = [r.path.parent for r in sorted(own, key=lambda r: r.seed)[:MEMBERS]]
        key = f"{regime.name} {dataset} {model}"
        if len(folders) == MEMBERS and all((f / "weights").is_dir() for f in folders):
            from aswa.training.ensembled import ensemble_rows, load_members

            first, members, who = load_members(folders, "aswa", device="cpu")
            kept[key] = {"members": who, "rows": ensemble_rows(first.task, members)}
    if kept:
        write_bytes(file, canonical_json(kept).encode() + b"\n")
    found: dict[str, list[float]] = defaultdict(list)
    for key, each in kept.items():
        if key.startswith(f"{regime.name} "):
            for row in each["rows"]:
                if (row["split"], row["metric"]) == ("test", METRIC):
                    found[row["optimizer"]].append(row["value"])
    if not found:
        return "The ensemble of five runs' ASWA models is missing."
    told = ", ".join(f"{name.replace('_', ' ')} {sum(v) / len(v):.3f}" for name, v in found.items())
    n = len(found["ensemble"])
    return f"ASWA models of five runs, {MEMBERS}× compute, mean over {n} units: {told}."


def regime_text(
    results: Path, runs: list[Run], declared: Declaration, regime: Regime
) -> tuple[str, TextTable | None]:
    """What the page says of a regime."""
    parts = [f"### {regime.title}"]
    own = runs_of(runs, regime)
    if not own:
        return "\n\n".join([*parts, "No run yet: " + missing(own, declared)]), None
    parts.append(missing(own, declared))
    table = overview(own, declared, regime)
    if table.rows:
        write_bytes(TARGET / f"{table.stem}.md", table.markdown().encode())
        write_bytes(TARGET / f"{table.stem}.csv", csv_bytes(table.numbers))
        parts.append(table.markdown().strip())
    else:
        parts.append("No unit has every row yet, so there is no table of means.")
    study = analyse(results, replace(declared, regimes=(regime,)), figures=False).studies[0]
    if any(record.n for record in study.records):
        parts += in_brief(study, METRIC)
        primary = family(study.records, METRIC)[0]  # ranks of 52 kinds of weights say nothing
        parts.append(f"- {primary.sentence()}\n- {power_note(primary)}")
    parts.append("\n".join(f"- {text}" for text in counted(own, declared)))
    single = [c for c in declared.conditions if c.name == "single"]
    of_single = {run.run_id for run in by_condition(own, single)}
    kept = TARGET / "ensembles.json"
    parts.append(ensembles([run for run in own if run.run_id in of_single], regime, kept))
    return "\n\n".join(parts), table if table.rows else None


def main(results: Path) -> None:
    """Write, draw, fill."""
    runs, problems = read_runs(results)
    if problems or not runs:
        sys.exit("\n".join(map(str, problems)) or f"no run in {results}: `make populations` first")
    declared = load_declaration("populations")
    texts, tables = [], {}
    for regime in declared.regimes:
        text, table = regime_text(results, runs, declared, regime)
        texts.append(text)
        if table is not None:
            tables[regime.title] = table
    if tables:
        labels = {c.name: c.label for c in declared.conditions}
        points = {
            title: [
                Cost(labels[row.condition], str(row.row), float(row.cost), float(row.mrr))
                for row in table.numbers.itertuples()
            ]
            for title, table in tables.items()
        }
        drawing = cost_figure(points, COLUMNS, "Test MRR, mean over units")
        write_bytes(TARGET / f"{drawing.stem}.png", drawing.png)
        figure = f"![{drawing.caption}](../results/populations/{drawing.stem}.png)"
        texts = [figure, *texts]
    counted_runs = [run for regime in declared.regimes for run in runs_of(runs, regime)]
    frame = runs_frame(counted_runs, "aswa")
    fill(PAGE, "results", "\n\n".join([*texts, made_with(frame)]))
    costs = (ROOT / "benchmarks" / "results" / "population_cost.md").read_text()
    fill(PAGE, "costs", costs.partition("\n\n")[2].replace("## ", "### ").strip())
    rows = results_frame(rows_frame(counted_runs), {})
    rows.to_parquet(TARGET / "results.parquet", index=False)
    frame.to_parquet(TARGET / "runs.parquet", index=False)
    evidence.write("populations")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
