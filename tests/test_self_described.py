"""Names, directions, settings and decisions come from the records; old records are completed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records import legacy
from aswa.analysis.records.long_table import Cells
from aswa.analysis.records.names import Metric, Names, merged
from aswa.analysis.records.runs import read_history, read_runs
from aswa.analysis.rendering.curves import decision_timelines
from aswa.analysis.rendering.differences import paired_differences
from aswa.analysis.rendering.report import write_report
from aswa.analysis.study import analyse
from written_runs import METHODS, TITLES, declared, edit, write_grid, write_run


def with_metric(root: Path, name: str, said: dict | None, schema: int = 2, seeds: int = 2) -> None:
    """Runs of four units that measure one more metric on test: 1 for sgd, 2 for swa, and so on."""
    write_grid(root, seeds=seeds, history=False, schema=schema)
    for path in root.glob("runs/*/*/*/result.json"):
        record = json.loads(path.read_bytes())
        further = [
            {"optimizer": m, "split": "test", "metric": name, "value": 1.0 + i, "epoch": 1}
            for i, m in enumerate(METHODS)
        ]
        metrics = {"metrics": {**record["metrics"], name: said}} if said else {}
        edit(path, rows=[*record["rows"], *further], **metrics)


def bold(table) -> set[str]:
    return {table.header[column] for _, column in table.bold}


@pytest.mark.parametrize("name", ["accuracy_top5", "mrr_top5", "loss_2p", "f1"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_metric_is_never_dropped_because_of_how_it_is_spelled(
    name: str, asked: bool, tmp_path: Path
) -> None:
    with_metric(tmp_path, name, declared("My score", family="mine"))
    metrics = (name, "mrr") if asked else ("mrr",)
    declaration = replace(load_declaration(), metrics=metrics, primary_metrics=metrics[:1])
    report = analyse(tmp_path, declaration, figures=False)
    (study,) = report.studies
    table = study.metric_tables[name]
    assert len(table.rows) == 4 and bold(table) == {"ASWA"}
    assert {r.metric for r in study.records} == set(metrics)
    assert study.records[0].measure == ("test My score" if asked else "test MRR")
    write_report(report, tmp_path / "analysis")
    assert (tmp_path / "analysis" / "tables" / f"test_{name}.md").is_file()


@pytest.mark.parametrize("schema", [1, 2])
def test_the_best_perplexity_is_the_lowest(schema: int, tmp_path: Path) -> None:
    """In tables, tests, ranks and effects."""
    said = declared("Perplexity", higher=False, family="loss") if schema == 2 else None
    with_metric(tmp_path, "perplexity", said, schema)
    declaration = replace(
        load_declaration(), metrics=("perplexity",), primary_metrics=("perplexity",)
    )
    report = analyse(tmp_path, declaration, figures=False)
    (study,) = report.studies
    table = study.metric_tables["perplexity"]
    assert bold(table) == {"SGD"}
    assert {table.header[column] for _, column in table.underlined} == {"SWA"}
    (against_sgd,) = [r for r in study.records if (r.optimizer_b, r.scope) == ("sgd", "all")]
    assert (against_sgd.wins, against_sgd.losses, against_sgd.rank_biserial) == (0, 4, -1.0)
    (ranks,) = study.evidence.ranks
    assert next(iter(ranks.ranks)) == "sgd"
    assert study.evidence.effects[1].improvement == 0.0


def test_a_metric_of_unknown_direction_is_said_and_never_judged(tmp_path: Path) -> None:
    with_metric(tmp_path, "surprise", None, schema=1)
    metrics = ("surprise", "mrr")
    declaration = replace(load_declaration(), metrics=metrics, primary_metrics=metrics)
    report = analyse(tmp_path, declaration, figures=False)
    (study,) = report.studies
    cells = Cells(report.results, study.names)
    (drawing,) = paired_differences(cells, replace(declaration, primary_metrics=("surprise",)))
    assert drawing.stem == "paired_differences_surprise"
    table = study.metric_tables["surprise"]
    assert len(table.rows) == 4 and not table.bold and not table.underlined
    assert {r.metric for r in study.records} == set(study.evidence.tables) == {"mrr"}
    assert sum("surprise" in notice for notice in report.all_notices()) == 1


def test_records_that_contradict_each_other_leave_no_direction() -> None:
    up, down = (Names({"x": Metric("x", "X", higher)}, {}) for higher in (True, False))
    names, notices = merged([up, down, Names({"x": Metric("x", "X")}, {})])
    assert names.metric("x").higher_is_better is None and len(notices) == 1
    names, notices = merged([up, Names({"x": Metric("x", "X")}, {})])
    assert names.metric("x").higher_is_better is True and not notices


def test_one_order_of_all_records() -> None:
    def of(*methods: str) -> Names:
        return Names({}, {name: name.upper() for name in methods})

    names, _ = merged([of("swa"), of("sgd", "aswa"), of("sgd", "swa", "mine", "aswa"), of("z")])
    assert list(names.methods) == ["sgd", "swa", "mine", "aswa", "z"]
    assert names.in_order(["b", "z", "a", "swa", "swa"]) == ["swa", "z", "a", "b"]
    assert names.method("swa") == "SWA" and names.method("b") == "b"


def test_labels_come_from_the_record(tmp_path: Path) -> None:
    methods = ("sgd", "mine")
    labels = {"mine": {"label": "My method"}, "sgd": {"label": "Last weights"}}
    write_run(tmp_path, methods=methods, methods_=None, history=False)
    path = next(tmp_path.glob("runs/*/*/*/result.json"))
    edit(path, methods=labels, metrics={"mrr": declared("Reciprocal rank")})
    (study,) = analyse(tmp_path, load_declaration(), figures=False).studies
    table = study.metric_tables["mrr"]
    assert table.header[2:4] == ("My method", "Last weights")
    assert table.title.startswith("Test Reciprocal rank,")


def test_decisions_of_every_method_that_decides_are_kept(tmp_path: Path) -> None:
    methods = ("sgd", "aswa", "aswa_ties")
    write_grid(tmp_path, methods=methods, deciding=("aswa", "aswa_ties"))
    (study,) = analyse(tmp_path, load_declaration(), figures=False).studies
    assert study.decisions is not None
    numbers = study.decisions.numbers
    assert set(numbers["optimizer"]) == {"aswa", "aswa_ties"} and len(numbers) == 2 * 4
    assert (numbers["hard"] == 5).all() and (numbers["n"] == 2).all()
    histories = [(read_history(run), frozenset(methods)) for run in read_runs(tmp_path)[0]]
    drawings = decision_timelines(histories, study.names, reference="aswa")
    assert [d.stem for d in drawings] == ["decisions_mrr", "decisions_mrr_aswa_ties"]
    assert all("4 hard, 88 soft, 4 rejected" in drawing.caption for drawing in drawings)


def test_a_decision_of_schema_1_belongs_to_the_one_method_that_decided() -> None:
    flat = {"hard": 1, "soft": 2, "reject": 3}
    assert legacy.by_method(flat, ["sgd", "aswa", "aswa_ties"]) == {"aswa": flat}
    assert legacy.by_method(flat, ["sgd", "aswa_ties"]) == {"aswa_ties": flat}
    assert legacy.by_method(flat, ["sgd"]) == {} == legacy.by_method({}, ["aswa"])
    history = legacy.history({"decision": ["hard"], "scores": [[0.5, None]]}, ["aswa"])
    assert history["decisions"] == {"aswa": ["hard"]} and history["scores"]["aswa"] == [[0.5, None]]


def test_both_schemas_give_the_same_files(tmp_path: Path) -> None:
    """All tables, whole; numbers and histories, ids of runs apart."""
    reports, histories = [], []
    for schema in (1, 2):
        root = tmp_path / str(schema)
        write_grid(root, schema=schema)
        reports.append(analyse(root, load_declaration(), figures=False))
        histories.append([read_history(run) for run in read_runs(root)[0]])
    old, new = (report.studies[0] for report in reports)
    assert [t.markdown() for t in old.tables()] == [t.markdown() for t in new.tables()]
    pd.testing.assert_frame_equal(old.significance, new.significance)
    pd.testing.assert_frame_equal(
        *(report.results.drop(columns="run_id") for report in reports), check_exact=True
    )
    curves = [sorted(repr((h.valid, h.decisions, h.running)) for h in found) for found in histories]
    assert curves[0] == curves[1] and "reject" in curves[0][0]


@pytest.mark.parametrize(
    ("name", "title", "family", "higher"),
    [("mrr_2p", "MRR of 2p queries", "queries", True),
     ("hits@1_negation", "Hits@1 of queries with negation", "queries", True),
     ("hits@10_head", "Hits@10 of heads", "triples", True),
     ("loss", "Loss", "loss", False), ("accuracy", "Accuracy", "classification", True),
     ("accuracy_top5", "accuracy_top5", None, None), ("mrr_words", "mrr_words", None, None)],
)  # fmt: skip
def test_names_of_old_records(name: str, title: str, family: str, higher: bool) -> None:
    metric = legacy.names([name]).metric(name)
    assert (metric.title, metric.family, metric.higher_is_better) == (title, family, higher)


@pytest.mark.parametrize(
    ("schema", "of_rows", "notes", "name"),
    [(1, {}, {}, "umls"), (1, {"reduced": "4000 images"}, {}, "umls (4000 images)"),
     (1, {"dataset_split": "rebuilt"}, {}, "umls (split: rebuilt)"),
     (2, {"reduced": "4000 images"}, {"reduced": "4000 images"}, "umls (4000 images)")],
)  # fmt: skip
def test_what_is_not_the_published_dataset_has_another_name(
    schema: int, of_rows: dict, notes: dict, name: str, tmp_path: Path
) -> None:
    path = write_run(tmp_path, history=False, schema=schema)
    rows = [{**row, **of_rows} for row in json.loads(path.read_bytes())["rows"]]
    edit(path, rows=rows, **({"notes": notes} if schema == 2 else {}))
    ((run,), problems) = read_runs(tmp_path)
    assert run.dataset == name and not problems


def test_settings_of_old_records_leave_out_where_and_how() -> None:
    config = {"seed": 3, "epochs": 5, "device": "cpu", "data_dir": "x", "checkpoint_seconds": 1,
              "dataset": {"name": "umls", "folder": "f", "tuned_lr": {"keci": 1}},
              "optimizer": {"name": "all", "swa": {"start": 2}, "ema": {"decay": 0.9}},
              "schedule": {"name": "fair", "end": 9},
              "task": {"name": "query_answering"}}  # fmt: skip
    found, ids = legacy.settings(json.dumps(config).encode(), "ema", "swa")
    assert found["shared"] == {"epochs": 5, "dataset.name": "umls", "schedule.name": "fair"}
    assert found["methods"] == {
        "ema": {"optimizer.ema.decay": 0.9, "schedule.end": 9},
        "swa": {"optimizer.swa.start": 2, "schedule.end": 9},
    }
    assert found["evaluation"] == {"task.name": "query_answering"}
    other = json.dumps({**config, "seed": 4, "device": "cuda"}).encode()
    same, same_ids = legacy.settings(other, "ema", "swa")
    assert (same, same_ids) == (found, ids)


def test_titles_of_the_written_records_are_those_of_old_ones() -> None:
    assert {name: legacy.METRICS[name][0] for name in TITLES} == TITLES
