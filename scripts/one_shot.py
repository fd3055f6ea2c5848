"""Fill docs/one_shot.md: `python scripts/one_shot.py [RESULTS_DIR]`.

Reads the runs of experiment=one_shot and experiment=one_shot_released, makes the analysis of
conf/analysis/one_shot.yaml, and answers H1 to H6 of conf/analysis/one_shot.md. Writes tables, a
figure and every point to results/one_shot/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import evidence
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pages import ROOT, fill
from snapshot import made_with, runs_frame

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records.runs import Run, read_runs
from aswa.analysis.rendering.report import Report, Study
from aswa.analysis.statistics.unit_intervals import t_interval
from aswa.analysis.study import analyse
from aswa.results.store import read_result

PAGE, TARGET = "docs/one_shot.md", ROOT / "results" / "one_shot"
METRIC, MARGIN = "auc", 0.005
UNIT = ["parts", "partitioning"]
DRAWN = ("full_solve", "avgm", "owa", "votes_only", "centroids_only", "acowa", "csl")


def points_frame(runs: list[Run]) -> pd.DataFrame:
    """A row a run and method: where it is on its path, what it scores, sends and takes."""
    found = []
    for run in runs:
        record = read_result(run.path)
        options = record["config"]["dataset"]
        values = {(r["optimizer"], r["split"], r["metric"]): r["value"] for r in record["rows"]}
        for method, merging in record["merging"].items():
            of = {m: v for (name, split, m), v in values.items() if name == method}
            test = {m: v for (n, s, m), v in values.items() if (n, s) == (method, "test")}
            found.append(
                {
                    **{key: options[key] for key in UNIT},
                    "l1_share": record["config"]["model"]["l1_share"],
                    "l1": merging["l1"],
                    "seed": run.seed,
                    "method": method,
                    **{f"test_{metric}": value for metric, value in test.items()},
                    **{m: v for m, v in of.items() if (method, "train", m) in values},
                    **{key: merging[key] for key in ("critical_path", "work", "kkt", "lambda2")},
                }
            )
    frame = pd.DataFrame(found)
    return frame.sort_values([*UNIT, "l1_share", "seed", "method"]).reset_index(drop=True)


def sentence(study: Study, a: str, b: str) -> str:
    """The declared test of a pair in the primary metric."""
    record = next(
        r for r in study.records if (r.metric, r.optimizer_a, r.optimizer_b) == (METRIC, a, b)
    )
    return record.sentence()


def interval(study: Study, a: str, b: str) -> tuple[float, float, float]:
    """Median difference of a pair, and the ends of its interval."""
    table = study.significance
    row = table[(table["metric"] == METRIC) & (table["optimizer_a"] == a)
                & (table["optimizer_b"] == b)].iloc[0]  # fmt: skip
    return float(row["median_difference"]), float(row["ci_low"]), float(row["ci_high"])


def differences(study: Study, report_cells: pd.DataFrame, a: str, b: str) -> pd.Series:
    """a − b of each unit and seed."""
    wide = report_cells[report_cells["metric"] == METRIC].pivot_table(
        index=["dataset", "seed"], columns="optimizer", values="value"
    )
    return wide[a] - wide[b]


def unit_values(name: str) -> tuple[int, str]:
    """(8, iid) of `wordnet_nouns (parts=8, partitioning=iid)`."""
    inner = dict(each.split("=") for each in name.rpartition("(")[2].rstrip(")").split(", "))
    return int(inner["parts"]), inner["partitioning"]


def of_mean(values: Iterable[float]) -> str:
    """A mean with its 95 % t interval."""
    each = np.asarray(list(values), dtype=np.float64)
    low, high = t_interval(each, 0.95)
    return f"{each.mean():+.4f} (95% t interval {low:+.4f} to {high:+.4f}, n = {len(each)})"


def h1(study: Study) -> str:
    """Refuted, shown or not shown, as registered."""
    median = interval(study, "acowa", "owa")[0]
    if not median > 0:
        return "is refuted"
    better = "No difference" not in sentence(study, "acowa", "owa")
    return "is shown" if better else "is not shown"


def h2(gaps: pd.Series) -> str:
    """The slope of ACOWA − OWA over log P, by partitioning and seed."""
    table = gaps.rename("gap").reset_index()
    table[["parts", "partitioning"]] = [unit_values(name) for name in table["dataset"]]
    slopes = {}
    for key, rows in table.groupby(["partitioning", "seed"]):
        if len(rows) > 1:
            slopes[key] = float(np.polyfit(np.log(rows["parts"].astype(float)), rows["gap"], 1)[0])
    said = ", ".join(f"{how} seed {seed} {value:+.4f}" for (how, seed), value in slopes.items())
    up = sum(value > 0 for value in slopes.values())
    verdict = "holds" if up == len(slopes) else "is refuted" if up < 3 else "holds mostly"
    return (
        f"**H2 {verdict}**: the slope of the gap over log P is positive in {up} of {len(slopes)}: "
        f"{said} (AUC a unit of log P); their mean {of_mean(slopes.values())}."
    )


def h4(study: Study) -> str:
    median, low, high = interval(study, "votes_only", "acowa")
    verdict = "is shown" if low > -MARGIN else "is refuted" if high < -MARGIN else "is not shown"
    return (
        f"**H4 {verdict}**: votes only minus ACOWA is {median:+.4f} in the median (95% interval "
        f"{low:+.4f} to {high:+.4f}; the margin is −{MARGIN:g})."
    )


def h5(points: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Time and bytes of ACOWA, by parts."""
    wide = points.pivot_table(
        index=[*UNIT, "l1_share", "seed"],
        columns="method",
        values=["critical_path", "work", "bytes"],
    )
    work = wide["work"]["acowa"] / wide["work"]["owa"]
    time = wide["critical_path"]["acowa"] / wide["critical_path"]["owa"]
    sent = wide["bytes"]["acowa"] / wide["bytes"]["full_solve"]
    cells = pd.DataFrame({"time": time, "work": work, "bytes": sent}).groupby("parts")
    table = cells.mean()
    for key in ("time", "work", "bytes"):
        table[f"{key}_said"] = [
            "{:.2f} ({:.2f} to {:.2f})".format(
                group[key].mean(), *t_interval(group[key].to_numpy(), 0.95)
            )
            for _, group in cells
        ]
    slow = [str(p) for p in table.index[table["time"] > 2]]
    wide_parts = [str(p) for p in table.index[table["bytes"] > 1]]
    verdict = "is refuted" if slow or wide_parts else "holds"
    return (
        f"**H5 {verdict}**: the critical path is more than twice OWA's at P = "
        f"{', '.join(slow) or 'none'}; more bytes than the rows themselves are sent at P = "
        f"{', '.join(wide_parts) or 'none'}.",
        table,
    )


def h6(gaps: pd.Series, released: pd.Series) -> str:
    means = gaps.groupby("dataset").mean()
    units = {unit_values(name): float(value) for name, value in means.items()}
    said = ", ".join(f"P={p} {how} {value:+.4f}" for (p, how), value in sorted(units.items()))
    up = sum(value > 0 for value in units.values())
    verdict = "is shown" if up == len(units) else "is not shown"
    whole = released.groupby("dataset").mean()
    return (
        f"**H6 {verdict}**: ACOWA minus ACOWA with scaled weights merged (B1): {said}; their mean "
        f"{of_mean(units.values())}. Minus the whole released arithmetic: "
        f"{', '.join(f'{v:+.4f}' for v in whole)}; their mean {of_mean(whole)}."
    )


def cost_table(points: pd.DataFrame) -> str:
    """Bytes and critical path of each method, means over penalties and seeds."""
    lines = ["| method | " + " | ".join(f"P = {p}" for p in sorted(points["parts"].unique()))]
    lines[0] += " |"
    lines.append("| --- |" + " --- |" * points["parts"].nunique())
    means = points.groupby(["method", "parts"])[["bytes", "critical_path"]].mean()
    for method in dict.fromkeys([*DRAWN, *sorted(points["method"].unique())]):
        rows = [means.loc[(method, p)] if (method, p) in means.index else None
                for p in sorted(points["parts"].unique())]  # fmt: skip
        cells = ["–" if r is None else f"{r['bytes'] / 1e6:,.2f} MB, {r['critical_path']:.2f} s"
                 for r in rows]  # fmt: skip
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def area_table(cells: pd.DataFrame) -> str:
    """Mean AUC of each unit and method."""
    wide = cells[cells["metric"] == METRIC].pivot_table(
        index="dataset", columns="optimizer", values="value"
    )
    order = sorted(wide.index, key=lambda name: unit_values(str(name))[::-1])
    methods = [str(name) for name in wide.columns]
    lines = ["| P, parts | " + " | ".join(f"`{m}`" for m in methods) + " |"]
    lines.append("| --- |" + " --- |" * len(methods))
    for name in order:
        p, how = unit_values(str(name))
        values = " | ".join(f"{wide.loc[name, m]:.4f}" for m in methods)
        lines.append(f"| {p}, {how} | {values} |")
    return "\n".join(lines)


def draw(points: pd.DataFrame, path: Path) -> None:
    """Test AUC against nonzeros, a panel a unit."""
    parts, ways = sorted(points["parts"].unique()), sorted(points["partitioning"].unique())
    size = (3.2 * len(parts), 2.8 * len(ways))
    figure, axes = plt.subplots(len(ways), len(parts), figsize=size, sharey=True, squeeze=False)
    for row, how in enumerate(ways):
        for column, p in enumerate(parts):
            axis = axes[row][column]
            here = points[(points["parts"] == p) & (points["partitioning"] == how)]
            for number, method in enumerate(DRAWN):
                of = here[here["method"] == method].groupby("l1_share")
                line = of[["nonzeros", "test_auc"]].mean().sort_values("nonzeros")
                axis.plot(line["nonzeros"], line["test_auc"], marker="o", ms=3, lw=1.2,
                          color=f"C{number}", label=method)  # fmt: skip
            axis.set_xscale("log")
            axis.set_title(f"P = {p}, {how}", fontsize=9)
            axis.grid(alpha=0.3)
    axes[-1][0].set_xlabel("nonzero weights")
    axes[0][0].set_ylabel("test AUC")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def area_cells(runs: list[Run], report: Report, number: int) -> pd.DataFrame:
    """The means of every unit and seed of a declared regime."""
    from aswa.analysis.records.names import merged
    from aswa.analysis.records.paths import path_cells
    from aswa.analysis.records.regimes import meeting

    declared = load_declaration("one_shot")
    regime = declared.regimes[number]
    pairs = regime.comparisons or declared.comparisons
    methods = sorted({m for pair in pairs for m in (pair.a, pair.b)})
    chosen = meeting(runs, regime.where) if regime.where else range(len(runs))
    names = merged(run.names for run in runs)[0]
    return path_cells([runs[i] for i in chosen], names, regime, methods)[0].table


def answers(report: Report, runs: list[Run], points: pd.DataFrame) -> dict[str, Any]:
    """Blocks of the page by name."""
    path, few = report.studies
    cells, few_cells = area_cells(runs, report, 0), area_cells(runs, report, 1)
    gap = differences(path, cells, "acowa", "owa")
    costs, ratios = h5(points)
    high = interval(path, "owa", "avgm")[2]
    by_way = differences(path, cells, "owa", "avgm").reset_index(name="gap")
    by_way["how"] = [unit_values(name)[1] for name in by_way["dataset"]]
    ways = ", ".join(f"{how} {v:+.4f}" for how, v in by_way.groupby("how")["gap"].mean().items())
    lines = [
        f"**H1 {h1(path)}**: {sentence(path, 'acowa', 'owa')}",
        h2(gap),
        f"**H3 {'is refuted' if high < 0 else 'is not refuted'}**: "
        f"{sentence(path, 'owa', 'avgm')} Mean difference by partitioning: {ways}.",
        h4(path) + f" {sentence(path, 'votes_only', 'owa')}",
        costs,
        h6(differences(few, few_cells, "acowa", "acowa_unscaled"),
           differences(few, few_cells, "acowa", "acowa_released")),
        f"Beside them: {sentence(path, 'centroids_only', 'owa')} "
        f"{sentence(path, 'acowa_mislabelled', 'acowa')}",
    ]  # fmt: skip
    heads = ("P", "critical path, ACOWA / OWA", "work, ACOWA / OWA", "bytes, ACOWA / all rows")
    ratio_lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --- |"]
    for p, row in ratios.iterrows():
        said = (row["time_said"], row["work_said"], row["bytes_said"])
        ratio_lines.append(f"| {p} | {' | '.join(said)} |")
    notices = [f"- {notice}" for study in report.studies for notice in study.notices]
    return {
        "answers": "\n".join(f"- {line}" for line in lines),
        "ratios": "\n".join(ratio_lines),
        "areas": "\n\n".join([area_table(cells), area_table(few_cells), path.note, *notices]),
        "costs": cost_table(points),
        "made": made(runs, points),
    }


def made(runs: list[Run], points: pd.DataFrame) -> str:
    """What the runs were made with, and how exact the solves are."""
    said = made_with(runs_frame(runs, "acowa")).replace(" of 1 epochs", "")
    return (
        f"{said} KKT residuals of the worst local solve of a method, as a part of its penalty: "
        f"median {points['kkt'].median():.2g}, nine tenths below {points['kkt'].quantile(0.9):.2g}."
    )


def main(results: Path) -> None:
    runs, problems = read_runs(results)
    if problems:
        sys.exit("\n".join(f"{problem.path}: {problem.reason}" for problem in problems))
    points = points_frame(runs)
    report = analyse(results, load_declaration("one_shot"), figures=False)
    TARGET.mkdir(parents=True, exist_ok=True)
    for block, text in answers(report, runs, points).items():
        fill(PAGE, block, text)
    draw(points, TARGET / "auc_by_nonzeros.png")
    points.to_parquet(TARGET / "points.parquet", index=False)
    report.results.to_parquet(TARGET / "results.parquet", index=False)
    runs_frame(runs, "acowa").to_parquet(TARGET / "runs.parquet", index=False)
    tests = pd.concat([s.significance.assign(regime=s.regime) for s in report.studies])
    tests.to_csv(TARGET / "significance.csv", index=False)
    for study in report.studies:
        (TARGET / f"significance_{study.regime}.md").write_text(study.tests.markdown())
    evidence.write("one_shot")
    print(f"{TARGET}: {len(points)} points of {len(runs)} runs; {PAGE} filled")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
