"""Commit what a recipe made: `python scripts/snapshot.py NAME [RESULTS_DIR]`.

NAME is one of SNAPSHOTS, or `published` for the page about the authors' figures. Copies tables,
figures and test records of RESULTS_DIR/analysis to results/NAME/, and writes the block of results
in the page that shows them, and its table of evidence, so that no number in it is typed by hand.
`published RESULTS_DIR` first commits the runs of RESULTS_DIR that are at the setting of the
authors' figures of graphs.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import evidence
import pandas as pd
from pages import ROOT, fill
from snapshots import SNAPSHOTS

from aswa.analysis.declaration import load_declaration
from aswa.analysis.published.beside import FOLDER, ROWS, at_their_setting, our_rows
from aswa.analysis.published.files import published_folder
from aswa.analysis.published.page import parts
from aswa.analysis.records.runs import History, Run, read_history, read_runs
from aswa.analysis.rendering.report import Report, Study
from aswa.analysis.statistics.comparisons import family
from aswa.analysis.statistics.power import power_note
from aswa.analysis.study import analyse
from aswa.files import canonical_json

FIGURES = ("paired_differences", "critical_difference")
CURVES = ("learning_curves", "decisions")  # of a metric that is scored every epoch


def copy_analysis(name: str, results: Path) -> None:
    """Copy what the pages and tests use, flat, from RESULTS_DIR/analysis."""
    target = ROOT / "results" / name
    target.mkdir(parents=True, exist_ok=True)
    chosen = SNAPSHOTS[name]
    declared = load_declaration(chosen.declared)
    endings = [f"_{regime.name}" for regime in declared.regimes] or [""]
    files = ["results.parquet", *(["significance.csv"] if chosen.tested else [])]
    for ending in endings:
        files += [f"tables/significance{ending}.md"] if chosen.tested else []
        files += [f"tables/{stem}{ending}.md" for stem in chosen.tables]
        for metric in chosen.metrics:
            files.append(f"tables/test_{metric}{ending}.md")
            figures = FIGURES if chosen.tested else ()
            files += [f"figures/{stem}_{metric}{ending}.png" for stem in figures]
    for metric in chosen.curves:
        files += [f"figures/{stem}_{metric}{endings[0]}.png" for stem in CURVES]
    if key := declared.curve:
        files += [f"figures/{metric}_by_{key}.png" for metric in chosen.metrics]
        files += [f"tables/test_{metric}_by_{key}.md" for metric in chosen.metrics]
    files += [f"figures/{stem}.png" for stem in chosen.figures]
    sources = [results / "analysis" / file for file in files]
    sources += [results / f"{stem}.md" for stem in chosen.beside]
    for source in sources:
        if not source.is_file():
            sys.exit(f"{source} is not there; run `{chosen.command}` first")
        shutil.copyfile(source, target / source.name)


def write_runs(name: str, results: Path) -> None:
    """What each run was told, decided and cost, and the curves of the smallest seeds.

    Columns about decisions (`hard`, `soft`, `reject`, `decision`) are those of the method that the
    declared analysis asks about first; those of any other method carry its name as ending.
    """
    runs, problems = read_runs(results)
    if problems:
        sys.exit("\n".join(f"{problem.path}: {problem.reason}" for problem in problems))
    reference = load_declaration(SNAPSHOTS[name].declared).comparisons[0].a
    target = ROOT / "results" / name
    runs_frame(runs, reference).to_parquet(target / "runs.parquet", index=False)
    first = min(run.seed for run in runs)
    chosen = sorted((r for r in runs if r.seed == first), key=lambda run: (run.dataset, run.model))
    curves = [curve(found, reference) for run in chosen if (found := read_history(run))]
    pd.concat(curves).to_parquet(target / "histories.parquet", index=False)


def runs_frame(runs: list[Run], reference: str) -> pd.DataFrame:
    """A row a run, see `facts`."""
    frame = pd.DataFrame([facts(run, reference) for run in runs])
    return frame.sort_values(["dataset", "model", "seed", "run_id"])


def ending(method: str, reference: str) -> str:
    """Of a column about the decisions of a method."""
    return "" if method == reference else f"_{method}"


def facts(run: Run, reference: str) -> dict[str, object]:
    """A row of runs.parquet."""
    found: dict[str, object] = {"dataset": run.dataset, "model": run.model, "seed": run.seed}
    config = {key: value for key, value in run.config.items() if not key.endswith("_dir")}
    found |= {"run_id": run.run_id, "config": canonical_json(config)}  # folders: of one machine
    for method, counts in run.decisions.items():
        found |= {f"{made}{ending(method, reference)}": n for made, n in counts.items()}
    found |= {f"members_{method}": n for method, n in run.members.items()}
    found |= {f"seconds_{part}": number for part, number in run.seconds.items()}
    found |= {"commit": str(run.git["sha"])[:10], "cpu": run.hardware["cpu"]}
    return found | {"device": run.device, "torch": run.versions["torch"]}


def curve(history: object, reference: str) -> pd.DataFrame:
    """The rows of histories.parquet about one run."""
    if not isinstance(history, History):
        sys.exit(str(history))
    found = {"run_id": history.run.run_id, "epoch": history.epoch, **history.valid}
    for method, made in history.decisions.items():
        found[f"decision{ending(method, reference)}"] = made
    return pd.DataFrame(found)


def result_block(name: str, results: Path, report: Report) -> str:
    """Tables, answer, figures, and what they were made with."""
    chosen, copied = SNAPSHOTS[name], ROOT / "results" / name
    folder = ("../" * chosen.page.count("/")) + f"results/{name}"
    parts = []
    if key := load_declaration(chosen.declared).curve:
        parts += [f"![{m} by {key}]({folder}/{m}_by_{key}.png)" for m in chosen.metrics]
    for study in report.studies:
        if study.title:
            parts += [f"### {study.title}", study.note]
        for metric in chosen.metrics:
            parts.append((copied / f"test_{metric}{study.ending}.md").read_text().strip())
            if not chosen.tested:
                continue
            if chosen.declared == "default":
                parts.append(" ".join(study.primary() + study.secondary()))
            else:
                parts += in_brief(study, metric) if chosen.brief else []
                said = everything_said(study, metric, chosen.brief)
                parts.append("\n".join(f"- {sentence}" for sentence in said))
            if metric in chosen.curves and study is report.studies[0]:
                figure = f"{folder}/learning_curves_{metric}{study.ending}.png"
                parts.append(f"![learning curves]({figure})")
            figure = f"{folder}/paired_differences_{metric}{study.ending}.png"
            parts.append(f"![paired differences]({figure})")
        parts += [(copied / f"{t}{study.ending}.md").read_text().strip() for t in chosen.tables]
    parts += [(copied / f"{stem}.md").read_text().strip() for stem in chosen.beside]
    parts += [f"![{stem}]({folder}/{stem}.png)" for stem in chosen.figures]
    return "\n\n".join([*parts, made_with(pd.read_parquet(copied / "runs.parquet"))])


def everything_said(study: Study, metric: str, brief: bool = False) -> list[str]:
    """The declared tests of a metric over all units, and what stands beside them.

    In brief the primary test, the ranks of all methods and the power.
    """
    records = family(study.records, metric)
    evidence = study.evidence
    sizes: list[Any] = [*evidence.effects, *evidence.posteriors]
    beside = [*([] if brief else sizes), *evidence.ranks]
    tests = [record.sentence() for record in records[: 1 if brief else None]]
    beside = [found.sentence() for found in beside if found.metric == metric]
    return [*tests, *beside, power_note(records[0])]


def in_brief(study: Study, metric: str) -> list[str]:
    """The declared tests of a metric as a table, without its columns of one value."""
    rows = [row for row in study.tests.rows if row[0] == study.names.metric(metric).title]
    columns = [i for i, name in enumerate(study.tests.header) if name not in ("metric", "scope")]

    def cut(row: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(row[i] for i in columns)

    table = replace(study.tests, header=cut(study.tests.header), rows=tuple(map(cut, rows)))
    return [table.markdown().strip()]


def answer(report: Report) -> str:
    """The sentences that answer; of declared regimes the first two, which are the questions."""
    found = [study.primary()[0] for study in report.studies[:2]]
    return found[0] if len(found) == 1 else "\n".join(f"- {said}" for said in found)


def made_with(runs: pd.DataFrame) -> str:
    """How many runs of how many epochs, on what, by which code; `runs` as from `runs_frame`."""

    def words(values: Iterable[Any]) -> str:
        return " or ".join(map(str, sorted(set(values))))

    configs = [json.loads(config) for config in runs["config"]]
    return (
        f"{len(runs)} runs of {words(config['epochs'] for config in configs)} epochs, "
        f"{words(config['threads'] for config in configs)} thread(s) each, on "
        f"{words(runs['device'])}, {runs['seconds_total'].sum() / 60:.0f} minutes in all, torch "
        f"{words(runs['torch'])}, commit {words(runs['commit'])}."
    )


def copy_ours(results: Path) -> None:
    """Our rows at the setting of the published figures of graphs, and what each run cost.

    Committed runs that RESULTS_DIR does not have stay as they are.
    """
    runs = [run for run in read_runs(results)[0] if at_their_setting(run)]
    if not runs:
        sys.exit(f"{results} has no run at that setting; `aswa-train experiment=published_graphs`")
    target = ROOT / "results" / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    with_committed(target / ROWS, our_rows(runs)).to_parquet(target / ROWS, index=False)
    every = with_committed(target / "runs.parquet", runs_frame(runs, "aswa"))
    every.to_parquet(target / "runs.parquet", index=False)
    (target / "made_with.md").write_text(made_with(every) + "\n")


def with_committed(path: Path, new: pd.DataFrame) -> pd.DataFrame:
    """`new`, and the rows that are committed at `path` of all other runs, by run_id."""
    if not path.is_file():
        return new
    old = pd.read_parquet(path)
    return pd.concat([old[~old["run_id"].isin(new["run_id"])], new], ignore_index=True)


def fill_published() -> None:
    """The page about the authors' own figures, with the committed runs of ours."""
    folder = published_folder(ROOT / "results")
    found = {name: part.text() for name, part in parts(folder, ROOT / "results").items()}
    found["images"] += "\n\n![lead by epoch](../results/published/tested/published_growth.png)"
    found["ours"] += "\n\n" + (ROOT / "results" / FOLDER / "made_with.md").read_text().strip()
    for block, text in found.items():
        fill("docs/published.md", block, text)
    evidence.write(FOLDER)


def main(name: str, results: Path) -> None:
    """Copy, then fill."""
    copy_analysis(name, results)
    write_runs(name, results)
    chosen = SNAPSHOTS[name]
    report = analyse(results, load_declaration(chosen.declared), figures=False)
    fill(chosen.page, chosen.block, result_block(name, results, report))
    if chosen.answer is not None:
        fill(chosen.answer, "answer", answer(report))
    evidence.write(name)
    rows = pd.read_parquet(ROOT / "results" / name / "results.parquet")
    print(f"results/{name}: {len(rows)} rows; {chosen.page} filled")


if __name__ == "__main__":
    if sys.argv[1:2] == ["published"]:
        if len(sys.argv) > 2:
            copy_ours(Path(sys.argv[2]))
        fill_published()
        sys.exit()
    if len(sys.argv) < 2 or sys.argv[1] not in SNAPSHOTS:
        sys.exit(f"usage: python scripts/snapshot.py published|{'|'.join(SNAPSHOTS)} [RESULTS_DIR]")
    chosen = SNAPSHOTS[sys.argv[1]].results
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / chosen)
