"""All trackers: chosen one or several, never in the way of a run, and of a finished run too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from aswa import registry
from aswa.config import ConfigError, load, resolve
from aswa.config.members import members, template
from aswa.config.schema import flat
from aswa.config.trackers import NONE
from aswa.files import conf_dir
from aswa.sweeping.job import run_job
from aswa.trackers.tracker import Tracker
from aswa.training.session import execute
from small_sweep import SMALL, read
from test_csv_tracker import words
from trackers_read import read_csv


def test_every_tracker_is_registered_with_a_file_of_its_options() -> None:
    assert set(members("tracker")) - {NONE} == registry.trackers().keys()
    for name, path in registry.trackers().items():
        tracker = registry.load(path)
        assert issubclass(tracker, Tracker)
        options = template("tracker", name)[name]
        assert set(options) == set(getattr(tracker.Options, "__dataclass_fields__", {}))


def test_no_setting_of_a_tracker_changes_a_run_or_its_title() -> None:
    plain = load(SMALL)
    every = ",".join(registry.trackers())
    settings = flat({name: template("tracker", name)[name] for name in registry.trackers()})
    others = {"mode": "offline", "weights": "true", "tags": "[x]"}
    changed = [
        f"tracker.{key}={others.get(key.split('.')[1], 'other')}" for key in settings if "." in key
    ]
    assert len(changed) == 7
    said = [*SMALL, f"tracker=[{every}]", "save_weights=true", *changed]
    run = load(said)
    assert list(run.tracker.options) == list(registry.trackers())
    assert (run.run_id, run.title) == (plain.run_id, load([*SMALL, "save_weights=true"]).title)


def test_one_several_or_none() -> None:
    assert load([*SMALL]).tracker.options == {}
    assert load([*SMALL, "tracker=csv"]).tracker.name == "csv"
    assert load([*SMALL, "tracker=[csv,wandb]"]).tracker.name == "wandb+csv"
    assert load([*SMALL, "tracker=[csv,none]"]).tracker.name == "csv"
    with pytest.raises(ConfigError, match=r"^tracker=wandb,csv: .*write 'tracker=\[wandb,csv\]'"):
        load([*SMALL, "tracker=wandb,csv"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("tracker.wandb.project=x", r"^tracker.wandb.project: no such key; .*tracker=wandb"),
        ("tracker.name=csv", "^tracker.name=csv: a tracker is chosen by tracker=csv"),
        ("+tracker.wandbb.x=1", "^tracker.wandbb: .*'wandb'"),
        ("tracker=wandb tracker.wandb.mode=ofline", "^tracker.wandb.mode=ofline: .*'offline'"),
        ("tracker=wandb tracker.wandb.tags=x", "^tracker.wandb.tags=x: expected a list"),
        ("tracker=wandb +tracker.wandb.nots=x", "^tracker.wandb.nots: .*'notes'"),
        ("tracker=wandb tracker.wandb.weights=true", "weights=true: needs save_weights=true"),
        ("tracker=wandb tracker.project=x", "^tracker.project: no such key; .*wandb.project'"),
    ],
)
def test_a_wrong_choice_is_refused(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load([*SMALL, *said.split()])


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_package_that_is_missing_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"tracker={name}: .*pip install 'aswa\[{name}\]'"):
        load([*SMALL, f"tracker={name}"])


class Rude(Tracker):
    """Draws random numbers, empties what it is given, and breaks in the method `broken`."""

    broken: ClassVar[str] = ""
    calls: ClassVar[list[str]] = []

    def _do(self, name: str) -> Any:
        torch.manual_seed(1)
        torch.rand(3)
        self.calls.append(name)
        if name == self.broken:
            raise OSError("no such service")
        return "nowhere"

    def start(self, config: Any, past: Any) -> str:
        past.clear()
        return self._do("start")

    def log(self, values: Any) -> None:
        values.clear()
        self._do("log")

    def finish(self, summary: Any, failed: bool = False) -> None:
        summary.clear()
        self._do("finish")


@pytest.mark.parametrize("broken", ["", "start", "log", "finish"])
def test_a_tracker_cannot_change_a_result(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the next tracker's, nor end the run; a failure is said once. Dropout draws."""
    monkeypatch.setitem(registry.trackers(), "wandb", f"{__name__}:Rude")
    monkeypatch.setattr(Rude, "broken", broken)
    monkeypatch.setattr(Rude, "calls", [])
    run = ["model.input_dropout=0.5", *words(tmp_path), "epochs=4"]
    config = load([*run, "tracker=csv"])
    composed = {**config.resolved, "tracker": {"name": "wandb", "wandb": {}, "csv": {}}}
    monkeypatch.setattr(Rude, "Options", registry.load("aswa.trackers.wandb:WandBOptions"))
    config = resolve(OmegaConf.create(composed))
    assert list(config.tracker.options) == ["wandb", "csv"]
    said: list[str] = []
    rows = execute(config, report=said.append)["rows"]
    plain = load([*run, "tracker=none", f"results_dir={tmp_path / 'plain'}"])
    assert plain.run_id == config.run_id
    assert rows == execute(plain)["rows"]
    failures = [line for line in said if "goes on without it" in line]
    assert failures == (
        ["tracker=wandb: no such service; the run goes on without it"] if broken else []
    )
    expected = {"start": 2, "log": 3, "finish": 7, "": 6}[broken]  # a broken one is finished too
    assert len(Rude.calls) == expected
    assert len(read_csv(config.folder / "history.csv")) == 4


def test_a_finished_run_is_mirrored_from_its_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = [*words(tmp_path), "epochs=4"]
    execute(load([*run, "tracker=none"]))
    config = load(run)
    before = (config.folder / "result.json").read_bytes()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", overrides=run)
    run_job(composed, run)
    said = capsys.readouterr().err
    assert f"{config.title}: done before; its recorded epochs go to csv" in said
    rows, history = read_csv(config.folder / "history.csv"), read(config.folder / "history.json")
    assert [float(row["loss"]) for row in rows] == history["train_loss"]
    assert [row["aswa/decision"] for row in rows] == history["decisions"]["aswa"]
    assert (config.folder / "result.json").read_bytes() == before
    (config.folder / "history.json").unlink()
    run_job(composed, run)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"remove {config.folder}" in line


@pytest.mark.slow
def test_no_tracker_imports_no_package_of_one(tmp_path: Path) -> None:
    run = ["epochs=1", "model.dim=8", "tracker=none", f"results_dir={tmp_path}"]
    code = (
        "import sys; from aswa.config import load; from aswa.training.session import execute;"
        f"execute(load({run})); sys.exit(bool({{'wandb', 'tensorboard'}} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
