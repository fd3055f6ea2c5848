"""What a report says of its runs: settings, commands, the unfinished ones, the setting taken."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aswa.analysis.declaration import load_declaration
from aswa.analysis.made_with import commands
from aswa.analysis.rendering.report import Report, render_html
from aswa.analysis.study import NoResults, analyse
from aswa.analyze import main
from aswa.files import lock
from aswa.results.store import write_record
from written_runs import edit, write_grid, write_run


def report_of(root: Path, *where: str) -> Report:
    return analyse(root, load_declaration(), where, figures=False)


def plan(root: Path, seed: int, dataset: str = "umls", model: str = "keci") -> Path:
    """The folder of a run that is planned and not begun."""
    folder = root / "runs" / dataset / model / f"planned{seed}"
    config = {"dataset": {"name": dataset}, "model": {"name": model}, "seed": seed, "lr": 0.01,
              "optimizer": {"name": "all"}}  # fmt: skip
    overrides = [f"dataset={dataset}", f"model={model}", f"seed={seed}"]
    write_record(folder / "plan.json", {"overrides": overrides, "config": config})
    return folder


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """Four finished runs, and one of each other state."""
    write_grid(tmp_path, models=("keci",), history=False)
    plan(tmp_path, 5)
    status = {"failed": 6, "running": 7, "interrupted": 8}
    for state, seed in status.items():
        error = "Traceback\nMemoryError: no more" if state == "failed" else ""
        record = {"status": state, "seconds": 1.5, "traceback": error}
        write_record(plan(tmp_path, seed) / "status.json", record)
    (plan(tmp_path, 9) / "result.json").write_text("{")
    return tmp_path


def test_unfinished_runs_are_counted_and_named(
    partial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock(partial / "runs/umls/keci/planned7/.lock"):
        assert main([str(partial), "--title", "My <own> runs", "--where", "seed=0,1"]) == 0
    page = (partial / "analysis/report.html").read_text()
    terminal = capsys.readouterr().err
    for text in (
        "4 of 9 runs of this folder are finished (1 failed, 1 damaged, 1 interrupted, 1 running, "
        "1 waiting)",
        "failed: umls × keci, seed=6 (planned6): MemoryError: no more",
        "waiting: umls × keci, seed=5 (planned5)",
    ):
        assert text in page and text in terminal
        assert page.index(text) < page.index('class="answer"')
    assert page.count("My &lt;own&gt; runs") == 3  # title, heading, command
    runs = pd.read_csv(partial / "analysis/runs.csv").set_index("run_id")
    assert len(runs) == 9 and runs["status"].value_counts()["done"] == 4
    assert runs.loc["planned6", ["status", "seconds", "seed"]].tolist() == ["failed", 1.5, 6]
    assert shlex.join(["aswa-analyze", str(partial), "--title"]) in page
    assert "aswa-train -m dataset=umls model=keci seed=5,6,7,8,9" in page


def test_a_folder_whose_locks_cannot_be_tried_is_read(partial: Path) -> None:
    """As that of another person; here the files are folders."""
    for seed in (5, 7):
        (partial / f"runs/umls/keci/planned{seed}/.lock").mkdir()
    (partial / "runs/umls/keci/planned5/status.json").mkdir()
    said = "\n".join(report_of(partial).unfinished)
    assert "running: umls × keci, seed=7" in said and "waiting: umls × keci, seed=5" in said


def test_a_whole_folder_says_so_and_an_empty_one_names_its_runs(tmp_path: Path) -> None:
    plan(tmp_path, 3)
    with pytest.raises(NoResults, match="0 of 1 runs") as caught:
        report_of(tmp_path)
    assert "seed=3 (planned3)" in str(caught.value)
    write_run(tmp_path / "whole", history=False)
    report = report_of(tmp_path / "whole")
    assert not report.unfinished
    page = render_html(report)
    assert "1 run, all that were planned or begun here." in page
    assert "are not known" in page  # the commands, without a plan


def test_settings_that_vary_and_that_do_not(tmp_path: Path) -> None:
    for dim in (64, 128):
        for seed in (0, 1):
            run_id = f"{dim}-{seed}"
            record = json.loads(write_run(tmp_path, seed=seed, run_id=run_id).read_text())
            record["setting"]["shared"]["model.dim"] = dim
            ids = {**record["setting_ids"], "shared": str(dim)}
            path = tmp_path / "runs/umls/keci" / run_id / "result.json"
            git = {"sha": f"of{dim}", "dirty": False}
            edit(path, setting=record["setting"], setting_ids=ids, git=git)
    made = report_of(tmp_path).made
    assert dict(made.varying)["model.dim"] == "64, 128 (2 runs each)"
    assert dict(made.varying)["seed"] == "0, 1 (2 runs each)"
    assert dict(made.common) == {"run": "epochs=24, lr=0.01"}
    assert dict(made.environment)["git commit"] == "of128 (2 runs), of64 (2 runs)"


def test_the_setting_taken_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epochs in (10, 20):
        write_grid(tmp_path, models=("keci",), history=False, epochs=epochs)
    assert main([str(tmp_path)]) == 0
    said = "every dataset × model: of 2 settings epochs=20, of those with most results the one of"
    page = (tmp_path / "analysis/report.html").read_text()
    assert said in capsys.readouterr().out and said in page
    write_run(tmp_path, "umls", seed=7, history=False, epochs=10)
    (study,) = report_of(tmp_path).studies
    assert "umls × keci: of 2 settings epochs=10, the one with most results" in study.note
    assert "kinship × keci: of 2 settings epochs=20, of those" in study.note
    assert not report_of(tmp_path, "epochs=10").studies[0].note


def test_equal_settings_are_taken_alike_in_every_unit(tmp_path: Path) -> None:
    """Whatever their ids."""
    for model, ids in {"keci": "ab", "complex": "ba"}.items():
        for lr, shared in zip((0.1, 0.3), ids, strict=True):
            record = json.loads(
                write_run(tmp_path, model=model, run_id=f"{lr}", history=False).read_text()
            )
            record["setting"]["shared"]["lr"] = lr
            edit(
                tmp_path / f"runs/umls/{model}/{lr}/result.json", setting=record["setting"],
                setting_ids={**record["setting_ids"], "shared": shared},
            )  # fmt: skip
    (study,) = report_of(tmp_path).studies
    assert "every dataset × model: of 2 settings lr=0.1, of those with as many" in study.note


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("model=kecy,distmult", "no run has model=kecy; values of model: distmult, keci; did you"),
        ("epochs=24,7", "no run has epochs=7; values of epochs: 24"),
        ("sead=0,1", "nearest key: 'seed'"),
    ],
)
def test_a_wrong_value_of_a_list_is_named(where: str, says: str, tmp_path: Path) -> None:
    write_grid(tmp_path, history=False)
    assert report_of(tmp_path, "model=keci,distmult", "seed=1").studies[0].runs_used == 4
    with pytest.raises(ValueError, match=re.escape(says)):
        report_of(tmp_path, where)


KEYS = ("dataset", "seed", "experiment", "lr")
PLANS = st.sets(st.tuples(*[st.sampled_from("ab")] * len(KEYS)), min_size=1)


@given(PLANS)
def test_the_commands_mean_these_runs_and_no_others(values: set[tuple[str, ...]]) -> None:
    plans = [[f"{key}={v}" for key, v in zip(KEYS, row, strict=True)] for row in sorted(values)]
    found = []
    for line in commands([*plans, *plans, ()]):
        words = [word for word in shlex.split(line)[1:] if word != "-m"]
        assert words[0].startswith("experiment=")
        axes = [
            [f"{k}={v}" for v in vs.split(",")] for k, _, vs in (w.partition("=") for w in words)
        ]
        found += [sorted(run) for run in itertools.product(*axes)]
    assert sorted(found) == sorted(sorted(words) for words in plans)
