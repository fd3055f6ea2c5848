"""Commit what a recipe made: `python scripts/snapshot.py NAME [RESULTS_DIR]`.

NAME is one of SNAPSHOTS, or `published` for the page about the authors' figures. Copies tables,
figures and test records of RESULTS_DIR/analysis to results/NAME/, and writes the block of results
in the page that shows them, so that no number in it is typed by hand. `reproduce` also fills in the
README's block of speed from benchmarks/results/.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from aswa.analysis.comparisons import family
from aswa.analysis.plan import load_plan
from aswa.analysis.power import power_note
from aswa.analysis.published import findings, findings_table, published_folder, sentences
from aswa.analysis.study import Study, analyse
from aswa.files import canonical_json
from aswa.results.store import read_record, read_result, result_paths

ROOT = Path(__file__).resolve().parents[1]
SPEED = ROOT / "benchmarks" / "results" / "link_prediction_speed.md"


FIGURES = ("paired_differences", "critical_difference")
CURVES = ("learning_curves", "decisions")  # of a metric that is scored every epoch


class Snapshot(NamedTuple):
    """Where a recipe leaves its results, what makes them, which page shows what, judged how."""

    results: str
    command: str
    page: str
    metrics: tuple[str, ...] = ("mrr",)
    plan: str = "default"
    curves: tuple[str, ...] = ("mrr",)
    tables: tuple[str, ...] = ()


SNAPSHOTS = {
    "reproduce": Snapshot("results", "make reproduce", "README.md"),
    "large_graphs": Snapshot(
        "results/link_prediction_cpu",
        "aswa-train experiment=link_prediction_cpu",
        "docs/large_graphs.md",
    ),
    "ablation": Snapshot(
        "results/ablation",
        "make ablation",
        "docs/ablation.md",
        metrics=("mrr", "accuracy"),
        plan="ablation",
        curves=("mrr", "accuracy"),
    ),
    "images": Snapshot(
        "results/images_cpu",
        "make reproduce-images",
        "docs/images.md",
        metrics=("accuracy",),
        curves=("accuracy",),
    ),
    "queries": Snapshot(
        "results/query_answering_cpu",
        "make reproduce-queries; aswa-train experiment=query_answering_large_cpu",
        "docs/queries.md",
        metrics=("mrr_epfo", "mrr_negation"),
        plan="query_answering",
        tables=("test_mrr_by_structure",),
    ),
}


def copy_analysis(name: str, results: Path) -> None:
    """Copy what the pages and tests use, flat, from RESULTS_DIR/analysis."""
    target = ROOT / "results" / name
    target.mkdir(parents=True, exist_ok=True)
    files = ["results.parquet", "significance.csv", "tables/significance.md"]
    for metric in SNAPSHOTS[name].metrics:
        files.append(f"tables/test_{metric}.md")
        files += [f"figures/{stem}_{metric}.png" for stem in FIGURES]
    for metric in SNAPSHOTS[name].curves:
        files += [f"figures/{stem}_{metric}.png" for stem in CURVES]
    files += [f"tables/{stem}.md" for stem in SNAPSHOTS[name].tables]
    for file in files:
        source = results / "analysis" / file
        if not source.is_file():
            sys.exit(f"{source} is not there; run `{SNAPSHOTS[name].command}` first")
        shutil.copyfile(source, target / source.name)


def write_runs(name: str, results: Path) -> None:
    """What each run was told, decided and cost, and the curves of the smallest seeds."""
    runs, histories = [], []
    for path in result_paths(results):
        record = read_result(path)
        unit = (record["dataset"], record["model"], record["seed"])
        facts = dict(zip(("dataset", "model", "seed"), unit, strict=True))
        facts |= {"run_id": record["run_id"], "config": canonical_json(record["config"])}
        facts |= record["decisions"]
        facts |= {f"members_{method}": n for method, n in record["members"].items()}
        facts |= {f"seconds_{part}": number for part, number in record["seconds"].items()}
        facts |= {"device": record["device"], "torch": record["versions"]["torch"]}
        runs.append(facts)
        history = read_record(path.with_name("history.json"))
        curve = pd.DataFrame({**history["valid"], "decision": history["decision"]})
        curve.insert(0, "epoch", history["epoch"])
        curve.insert(0, "run_id", record["run_id"])
        histories.append((unit, curve))
    target = ROOT / "results" / name
    frame = pd.DataFrame(runs).sort_values(["dataset", "model", "seed", "run_id"])
    frame.to_parquet(target / "runs.parquet", index=False)
    first = min(unit[2] for unit, _ in histories)
    chosen = [curve for unit, curve in sorted(histories, key=lambda h: h[0]) if unit[2] == first]
    pd.concat(chosen).to_parquet(target / "histories.parquet", index=False)


def result_block(name: str, results: Path) -> str:
    """Tables, answer, figures, and what they were made with."""
    chosen = SNAPSHOTS[name]
    folder = ("../" * chosen.page.count("/")) + f"results/{name}"
    study = analyse(results, load_plan(chosen.plan), figures=False)
    parts = []
    for metric in chosen.metrics:
        parts.append((ROOT / "results" / name / f"test_{metric}.md").read_text().strip())
        if chosen.plan == "default":
            parts.append(" ".join(study.answer()))
        else:
            parts.append("\n".join(f"- {sentence}" for sentence in everything_said(study, metric)))
        if metric in chosen.curves:
            parts.append(f"![learning curves]({folder}/learning_curves_{metric}.png)")
        parts.append(f"![paired differences]({folder}/paired_differences_{metric}.png)")
    for stem in chosen.tables:
        parts.append((ROOT / "results" / name / f"{stem}.md").read_text().strip())
    parts.append(made_with([read_result(path) for path in result_paths(results)]))
    return "\n\n".join(parts)


def everything_said(study: Study, metric: str) -> list[str]:
    """The declared tests of a metric over all units, and what stands beside them."""
    records = family(study.records, metric)
    evidence = study.evidence
    sizes = [*evidence.effects, *evidence.posteriors, *evidence.ranks]
    beside = [found.sentence() for found in sizes if found.metric == metric]
    return [*(record.sentence() for record in records), *beside, power_note(records[0])]


def made_with(records: list[dict[str, Any]]) -> str:
    """How many runs of how many epochs, on what, by which code."""
    seconds = sum(record["seconds"]["total"] for record in records)

    def words(values: set[Any]) -> str:
        return " or ".join(map(str, sorted(values)))

    return (
        f"{len(records)} runs of {words({r['config']['epochs'] for r in records})} epochs, "
        f"{words({r['config']['threads'] for r in records})} thread(s) each, on "
        f"{words({r['device'] for r in records})}, {seconds / 60:.0f} minutes in all, torch "
        f"{words({r['versions']['torch'] for r in records})}, commit "
        f"{words({str(r['git']['sha'])[:10] for r in records})}."
    )


def fill(page: str, block: str, text: str) -> str:
    """The page with the text between the marks of `block` replaced."""
    marks = rf"(<!-- {block}:begin -->\n).*?(<!-- {block}:end -->)"
    return re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", page, flags=re.DOTALL)


def fill_published() -> None:
    """The page about the authors' own figures."""
    found = findings(published_folder(ROOT / "results"))
    parts = [findings_table(found).markdown().strip(), *sentences(found)]
    parts.append("![lead by epoch](../results/published/tested/published_growth.png)")
    path = ROOT / "docs" / "published.md"
    path.write_text(fill(path.read_text(), "results", "\n\n".join(parts)))


def main(name: str, results: Path) -> None:
    """Copy, then fill."""
    copy_analysis(name, results)
    write_runs(name, results)
    path = ROOT / SNAPSHOTS[name].page
    page = fill(path.read_text(), "results", result_block(name, results))
    if name == "reproduce" and SPEED.is_file():
        page = fill(page, "speed", SPEED.read_text().strip())
    path.write_text(page)
    rows = pd.read_parquet(ROOT / "results" / name / "results.parquet")
    print(f"results/{name}: {len(rows)} rows; {path.relative_to(ROOT)} filled")


if __name__ == "__main__":
    if sys.argv[1:] == ["published"]:
        fill_published()
        sys.exit()
    if len(sys.argv) < 2 or sys.argv[1] not in SNAPSHOTS:
        sys.exit(f"usage: python scripts/snapshot.py published|{'|'.join(SNAPSHOTS)} [RESULTS_DIR]")
    chosen = SNAPSHOTS[sys.argv[1]].results
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / chosen)
