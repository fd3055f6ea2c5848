"""`aswa.load`: the weights of a finished run are a model that scores as its record says."""

from __future__ import annotations

from pathlib import Path

import pytest

import aswa
from aswa.config import load
from aswa.sweeping.plan import write_plan
from aswa.training.loaded import load_together
from aswa.training.session import execute
from small_sweep import SMALL


def finished(results: Path, *overrides: str) -> Path:
    """The folder of a run that kept its weights."""
    from hydra import compose, initialize_config_dir

    from aswa.files import conf_dir

    words = [*SMALL, "save_weights=true", f"results_dir={results}", *overrides]
    config = load(words)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        write_plan(compose("config", overrides=words), config, words)
    execute(config, report=lambda _: None)
    return config.folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("loaded"))


@pytest.mark.parametrize("method", ["aswa", "sgd", "ema"])
def test_loaded_weights_score_as_the_record_says(folder: Path, method: str) -> None:
    found = aswa.load(folder, method)
    scores = found.task.metrics(found.members, "test")
    rows = {
        row["metric"]: row["value"]
        for row in found.record["rows"]
        if (row["optimizer"], row["split"]) == (method, "test")
    }
    assert scores == rows
    assert not found.model.training
    assert (found.config.model.name, found.config.epochs) == ("distmult", 20)


def test_several_seeds_are_an_ensemble(folder: Path, tmp_path: Path) -> None:
    """Of one setting; what they predict together is the mean of what each predicts."""
    other = finished(tmp_path, "seed=1")
    found = load_together([folder, other], "aswa")
    assert len(found.members) == 2
    assert found.config.seed == 0
    alone = [aswa.load(each, "aswa") for each in (folder, other)]
    together = found.task.metrics(found.members, "test")
    again = found.task.metrics([each.model for each in alone], "test")
    assert together == again != found.task.metrics([alone[0].model], "test")
    with pytest.raises(ValueError, match="its setting is not that of"):
        load_together([folder, finished(tmp_path, "lr=0.02")], "aswa")


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no method 'swag'; the run has sgd, swa"):
        aswa.load(folder, "swag")
    with pytest.raises(FileNotFoundError):
        aswa.load(tmp_path)
    with pytest.raises(ValueError, match="now means"):
        aswa.load(folder, "swa", lr=0.5)
    (folder / "weights" / "swa.pt").unlink()
    with pytest.raises(FileNotFoundError, match="save_weights=true"):
        aswa.load(folder, "swa")
