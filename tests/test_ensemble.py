"""`aswa-ensemble`: several runs, or snapshots of one, evaluated together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

import aswa
import small_text
from aswa.config import load
from aswa.ensemble import main
from aswa.files import conf_dir
from aswa.sweeping.job import run_job
from small_cifar import words, write
from small_sweep import SMALL

EPOCHS = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seeds of one model, another model, another graph."""
    folder = tmp_path_factory.mktemp("ensembled")
    kept = (f"epochs={EPOCHS}", "save_weights=true", "save_snapshots=3", f"results_dir={folder}")
    said: dict[str, tuple[str, ...]] = {
        "zero": (),
        "one": ("seed=1",),
        "wider": ("seed=2", "model.dim=12"),
        "kinship": ("dataset=kinship",),
    }
    found = {}
    for name, extra in said.items():
        overrides = [*SMALL, *kept, "optimizer=all", "device=cpu", *extra]
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            run_job(compose("config", overrides=overrides), overrides)
        found[name] = load(overrides).folder
    return found


def values(path: Path) -> dict[tuple[str, str], float]:
    rows = json.loads(path.read_text())["rows"]
    return {(r["optimizer"], r["split"]): r["value"] for r in rows if r["metric"] == "mrr"}


def test_runs_together_are_their_models(runs: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert main([str(runs["zero"]), str(runs["one"]), "--json", str(file)]) == 0
    found = values(file)
    pair = [aswa.load(runs[name], "aswa") for name in ("zero", "one")]
    task, models = pair[0].task, [each.model for each in pair]
    alone = [task.metrics([model], "test")["mrr"] for model in models]
    assert found["mean_member", "test"] == pytest.approx(sum(alone) / 2)
    assert found["best_member", "test"] in alone
    assert found["ensemble", "test"] == task.metrics(models, "test")["mrr"]
    assert found["soup", "test"] < found["ensemble", "test"]  # of two starts


def test_probabilities_are_averaged_as_by_a_slow_twin(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Each triple's sigmoids in fp64, known tails left out; models of unlike width."""
    file = tmp_path / "found.json"
    assert main([str(runs["zero"]), str(runs["wider"]), "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    of_test = {(r["optimizer"], r["metric"]): r["value"] for r in rows if r["split"] == "test"}
    (found,) = (value for (_, metric), value in of_test.items() if metric == "mrr_probabilities")
    assert found != of_test["ensemble", "mrr"]
    models = [aswa.load(runs[name], "aswa").model for name in ("zero", "wider")]
    graph = aswa.load(runs["zero"], "aswa").task.graph
    known: dict[tuple[int, int], set[int]] = {}
    for h, r, t in torch.cat([graph.train, graph.valid, graph.test]).tolist():
        known.setdefault((h, r), set()).add(t)
    total = 0.0
    for h, r, t in graph.test.tolist():
        query = torch.tensor([h]), torch.tensor([r])
        with torch.no_grad():
            p = sum(model.score_all(*query)[0].double().sigmoid() for model in models)
        odds = (p / 2).logit()
        kept = odds[[e for e in range(len(odds)) if e == t or e not in known[h, r]]]
        margin = 1e-6 * max(1, abs(odds[t]))
        above, equal = (kept > odds[t] + margin).sum(), (kept >= odds[t] - margin).sum()
        total += 2 / (1 + int(above) + int(equal))
    assert found == pytest.approx(total / len(graph.test), abs=1e-6)


def test_models_of_other_shapes_have_no_soup(runs: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert main([str(runs["zero"]), str(runs["wider"]), "--json", str(file)]) == 0
    assert {name for name, _ in values(file)} == {"mean_member", "best_member", "ensemble"}


def test_snapshots_of_one_run(runs: dict[str, Path], tmp_path: Path) -> None:
    """The last two of epochs 3 and 6; the mean of weights of one way is a model."""
    kept = sorted(path.name for path in (runs["one"] / "weights").glob("snapshot-*"))
    assert kept == ["snapshot-3.pt", "snapshot-6.pt"]
    file = tmp_path / "found.json"
    assert main([str(runs["one"]), "--snapshots", "--json", str(file)]) == 0
    found, last = values(file), aswa.load(runs["one"], "snapshot").members[-1]
    assert json.loads(file.read_text())["members"][1]["number"] == 1
    task = aswa.load(runs["one"], "snapshot").task
    assert task.metrics([last], "valid")["mrr"] == found["best_member", "valid"]
    assert found["soup", "valid"] > 0.5 * found["mean_member", "valid"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["zero"], "two models or more"),
        (["zero", "one", "--snapshots", "--last", "0"], "at least 1"),
        (["zero", "kinship"], "same dataset"),
        (["zero", "one", "--method", "wash"], "no method 'wash'"),
    ],
)
def test_what_is_no_ensemble_is_refused(
    arguments: list[str], told: str, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(runs.get(word, word)) for word in arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.fixture(scope="module")
def classifiers(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two networks of 300 real images, of unlike normalisation and memory layout."""
    folder = tmp_path_factory.mktemp("classifiers")
    write(data_dir, folder)
    small = ("epochs=2", "dataset.train_size=300", "optimizer=sgd", "save_weights=true")
    said = {
        "wide": ("wide_resnet10x1",),
        "vgg": ("vgg11_bn_small", "model.channels_last=false", "lr=0.02"),
        "fewer": ("wide_resnet10x1", "dataset.train_size=200", "epochs=1"),
    }
    found = {}
    for name, (model, *extra) in said.items():
        overrides = words(model, folder, folder / "results", *small, *extra)
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            run_job(compose("config", overrides=overrides), overrides)
        found[name] = load(overrides).folder
    return found


def test_classifiers_see_inputs_as_in_their_training(
    classifiers: dict[str, Path], tmp_path: Path
) -> None:
    """In either order, and of each alone what its own task says."""
    found = {}
    for order in (("wide", "vgg"), ("vgg", "wide")):
        file = tmp_path / f"{order[0]}.json"
        arguments = [str(classifiers[name]) for name in order]
        assert main([*arguments, "--method", "sgd", "--device", "cpu", "--json", str(file)]) == 0
        rows = json.loads(file.read_text())["rows"]
        smooth = [row for row in rows if row["metric"] in ("loss", "brier")]  # no ties to break
        found[order] = {(r["optimizer"], r["split"], r["metric"]): r["value"] for r in smooth}
    one, other = found.values()
    assert len(one) == 12  # of three kinds of weights, on two splits
    assert one == pytest.approx(other, abs=1e-5)
    own = [aswa.load(classifiers[name], "sgd") for name in ("wide", "vgg")]
    alone = [each.task.metrics([each.model], "test")["loss"] for each in own]
    assert alone[0] != pytest.approx(alone[1], abs=1e-2)
    assert one["mean_member", "test", "loss"] == pytest.approx(sum(alone) / 2, abs=1e-5)


def test_classifiers_of_other_images_are_refused(
    classifiers: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(classifiers[name]) for name in ("wide", "fewer")]
    assert main([*arguments, "--method", "sgd"]) == 2
    assert "dataset.train_size=200 is not that of" in capsys.readouterr().err


def test_texts_in_windows_of_other_lengths_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for context in (16, 8):
        said = [*small_text.SMALL, f"results_dir={tmp_path}", f"model.context={context}",
                "epochs=1", "optimizer=sgd", "save_weights=true"]  # fmt: skip
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            run_job(compose("config", overrides=said), said)
        folders.append(str(load(said).folder))
    assert main([*folders, "--method", "sgd", "--device", "cpu"]) == 2
    assert "model.context=8" in capsys.readouterr().err
