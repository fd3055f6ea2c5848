"""`aswa-export`: safetensors that load as the same weights, a card, plain errors."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

import aswa
from aswa.data.folders import EMBEDDED
from aswa.export import main
from aswa.files import conf_dir
from aswa.sweeping.job import run_job
from small_cifar import words as cifar_words
from small_cifar import write as write_cifar
from small_sweep import SMALL, read

safetensors = pytest.importorskip("safetensors.torch")


def run(words: list[str]) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        run_job(compose("config", overrides=words), words)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, of which seed 0 kept its weights."""
    folder = tmp_path_factory.mktemp("exported")
    words = [*SMALL, "epochs=6", f"results_dir={folder}", "tracker=csv"]
    run([*words, "save_weights=true"])
    run([*words, "seed=1"])
    return folder


@pytest.fixture(scope="module")
def folder(results: Path) -> Path:
    (weights,) = results.glob("runs/*/*/*/weights")
    return weights.parent


@pytest.mark.parametrize("method", ["aswa", "ema"])
def test_a_round_trip_gives_the_same_bits_and_scores(
    method: str, folder: Path, tmp_path: Path
) -> None:
    assert main([str(folder), "--method", method, "--to", str(tmp_path)]) == 0
    before, after = aswa.load(folder, method), aswa.load(tmp_path, method)
    state = before.model.state_dict()
    loaded = safetensors.load_file(tmp_path / f"{method}.safetensors")
    for found in (loaded, after.model.state_dict()):
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    fresh = before.task.build_model(torch.Generator().manual_seed(1))
    fresh.load_state_dict(loaded)
    scores = before.task.metrics([fresh], "test")
    assert scores == before.task.metrics(before.members, "test")
    rows = {row["metric"]: row["value"] for row in before.record["rows"]
            if (row["optimizer"], row["split"]) == (method, "test")}  # fmt: skip
    assert scores == rows
    assert after.config.run_id == before.config.run_id


def test_the_card_and_the_names_are_those_of_the_record(folder: Path, tmp_path: Path) -> None:
    assert main([str(folder), "--to", str(tmp_path)]) == 0
    record, card = read(folder / "result.json"), (tmp_path / "README.md").read_text()
    names = [(tmp_path / f"{n}.txt").read_text().splitlines() for n in ("entities", "relations")]
    task = aswa.load(folder).task
    assert [tuple(words) for words in names] == [task.graph.entities, task.graph.relations]
    for row in record["rows"]:
        if row["optimizer"] == "aswa" and row["split"] in ("valid", "test"):
            assert f"{row['value']:.4f}" in card
            assert f"| {row['epoch']} of 6 |" in card
    for said in ("distmult", "umls", record["run_id"], record["git"]["sha"], "aswa.load(FOLDER",
                 f"| averaged models | {record['members']['aswa']} |",
                 "| `entity` | float32 | 135 × 8 |", "| `lr` | `0.01` |"):  # fmt: skip
        assert said in card, said
    assert str(folder.parents[3]) not in "".join(  # of the machine that it was made on
        path.read_text() for path in tmp_path.glob("*.[jm][sd]*")
    )


def test_all_runs_of_a_results_folder(
    results: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(results), "--method", "swa", "--to", str(tmp_path)]) == 0
    target = tmp_path / folder.relative_to(results / "runs")
    assert (target / "swa.safetensors").is_file()
    assert capsys.readouterr() == (f"{target}\n", "aswa-export: left out (1): no weights of swa\n")
    assert main([str(folder)]) == 0
    assert (folder / "export" / "aswa" / "aswa.safetensors").is_file()


def test_what_cannot_be_exported_is_said_in_a_line_that_names_the_fix(
    results: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {path.parent for path in results.glob("runs/*/*/*/result.json")}
    (bare,) = folders - {folder}
    unplanned = tmp_path / "unplanned"
    shutil.copytree(folder, unplanned)
    (unplanned / "plan.json").unlink()
    (tmp_path / "file").write_text("")
    for words, message in (
        ([tmp_path / "none"], "give RESULTS_DIR/runs/DATASET/MODEL/RUN_ID"),
        ([bare], "kept no weights of aswa; remove .* save_weights=true"),
        ([folder, "--method", "asaw"], "no method 'asaw'; the run has sgd, swa, ema"),
        ([results, "--method", "asaw"], "none of its 2 runs kept weights of asaw"),
        ([unplanned], "no plan.json"),
        ([folder, "--to", tmp_path / "file"], "--to DIR"),
    ):
        assert main([str(word) for word in words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(message, line), line


def test_a_package_that_is_missing_is_named_with_its_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main([str(folder)]) == 2
    assert "pip install 'aswa[export]'" in capsys.readouterr().err


@pytest.mark.slow
def test_images_with_batch_norm(data_dir: Path, tmp_path: Path) -> None:
    """Buffers and integers too; a card without names."""
    write_cifar(data_dir, tmp_path)
    run(cifar_words("vgg11_bn_small", tmp_path, tmp_path, "epochs=1", "save_weights=true",
                    "optimizer=aswa", "schedule=constant"))  # fmt: skip
    (weights,) = tmp_path.glob("runs/*/*/*/weights")
    assert main([str(weights.parent), "--to", str(tmp_path / "out")]) == 0
    found, again = aswa.load(weights.parent), aswa.load(tmp_path / "out", data_dir=str(tmp_path))
    state, other = found.model.state_dict(), again.model.state_dict()
    assert {t.dtype for t in state.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert found.task.metrics(found.members, "test") == again.task.metrics(again.members, "test")


def test_a_graph_of_ones_own_is_found_by_the_name_of_its_folder(tmp_path: Path) -> None:
    """The export has no path of the machine."""
    shutil.copytree(EMBEDDED / "umls", tmp_path / "data" / "mine")
    run(["dataset=own", f"dataset.folder={tmp_path}/data/mine", *SMALL[1:], "epochs=2",
         f"results_dir={tmp_path}/results", "save_weights=true"])  # fmt: skip
    assert main([str(tmp_path / "results"), "--to", str(tmp_path / "out")]) == 0
    (target,) = (path.parent for path in tmp_path.glob("out/*/*/*/README.md"))
    texts = [path.read_text() for path in target.glob("*.[jm][sd]*")]
    assert texts and not any(str(tmp_path) in text for text in texts)
    assert "finds in DIR/mine" in (target / "README.md").read_text()
    shutil.rmtree(tmp_path / "results")
    assert aswa.load(target, data_dir=str(tmp_path / "data")).model is not None
