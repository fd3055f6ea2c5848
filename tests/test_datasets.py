"""Datasets of conf/dataset: found, the published ones, and marked where they are not."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
import torch
import yaml
from aswa.config.files_of_dataset import settle_files

from aswa.analysis.runs import read_runs
from aswa.config import ConfigError, load
from aswa.data import folders as sources
from aswa.data.fetching.checks import new_record, write_records
from aswa.data.fetching.sources import is_rebuilt
from aswa.data.folders import EMBEDDED, SPLITS, find_folder
from aswa.data.knowledge_graph import read_graph
from aswa.files import conf_dir
from aswa.results.store import write_record
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.record import run_record
from aswa.training.trajectory import Trajectory
from written_graph import text, write, write_graph

DATASETS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((conf_dir() / "dataset").glob("*.yaml"))
}
GRAPHS = [name for name, values in DATASETS.items() if values["kind"] == "knowledge_graph"]


def check_published(name: str, folder: Path) -> None:
    """Checksums and counts are those of conf/dataset."""
    published = DATASETS[name]
    assert any(published["sha256"].values())
    graph = read_graph(folder, published["sha256"])
    assert len(graph.entities) == published["entities"]
    assert len(graph.relations) == published["relations"]
    assert {split: len(getattr(graph, split)) for split in SPLITS} == published["triples"]


@pytest.mark.parametrize("name", GRAPHS)
def test_datasets_are_the_published_ones(name: str, data_dir: Path) -> None:
    """Those that are in the data folder."""
    folder = data_dir / DATASETS[name]["folder"]
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    if is_rebuilt(folder):
        pytest.skip(f"{folder}: the train file is rebuilt, not the published one")
    check_published(name, folder)


@pytest.mark.parametrize("name", [name for name in GRAPHS if "rebuilt" in DATASETS[name]])
def test_a_rebuilt_split_is_marked_wherever_it_goes(
    name: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has counts, a checksum and a run_id of its own; every row and the results table say so."""
    if not is_rebuilt(data_dir / DATASETS[name]["folder"]):
        pytest.skip(f"no rebuilt {name} in {data_dir}")
    words = [f"dataset={name}", "model=distmult", "model.dim=2", "lr=0.1", "optimizer=sgd"]
    words += ["model.objective=negative_sampling"]  # whose training loss is quickly had
    here = [f"data_dir={data_dir}", f"results_dir={tmp_path}"]
    run = load([*words, *here])
    assert run.rebuilt_split
    monkeypatch.setattr(sources, "EMBEDDED", tmp_path)
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
    assert not load(words).rebuilt_split
    assert load(words).run_id != run.run_id
    task = LinkPrediction(run, torch.device("cpu"))
    assert task.n_entities == DATASETS[name]["rebuilt"]["entities"]
    trajectory = Trajectory(run, task)  # not trained: what is of interest are its rows
    record = run_record(run, task, trajectory)
    assert {row["dataset_split"] for row in record["rows"]} == {"rebuilt"}
    write_record(run.folder / "result.json", {**record, "seconds": {"total": 0.0}})
    (read,), problems = read_runs(tmp_path)
    assert not problems
    assert read.dataset == f"{name} (split: rebuilt)"


def test_a_rebuilt_file_is_never_taken_unasked(tmp_path: Path) -> None:
    """Only where the dataset's YAML declares it."""
    write_graph(tmp_path / "umls")
    (tmp_path / "umls" / "train.txt").rename(tmp_path / "umls" / "train.REBUILT.txt")
    words = [f"data_dir={tmp_path}", "lr=0.1"]
    with pytest.raises(FileNotFoundError, match=r"no train split.*train\.REBUILT\.txt.*rebuilt:"):
        LinkPrediction(load(words), torch.device("cpu"))
    declared = {"entities": 6, "train": 4, "sha256": None}
    dataset = {"folder": "umls", "sha256": None, "rebuilt": declared}
    settle_files(dataset, str(tmp_path))
    assert dataset["split"] == "rebuilt"
    assert dataset["triples"] == {"train": 4}
    assert len(read_graph(tmp_path / "umls", rebuilt=True).train) == 4


@pytest.mark.parametrize("name", ["umls", "kinship"])
def test_embedded_graphs_are_the_published_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come with the package, and are found when nothing else is there."""
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
    folder = find_folder(DATASETS[name]["folder"], None)
    assert folder.parent == EMBEDDED
    check_published(name, folder)


def test_a_graph_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """data_dir, then $ASWA_DATA_DIR, then the package; the error lists where it was not."""
    given, variable = tmp_path / "given", tmp_path / "variable"
    monkeypatch.setenv("ASWA_DATA_DIR", str(variable))
    assert find_folder("umls", str(given)) == EMBEDDED / "umls"
    (variable / "umls").mkdir(parents=True)
    assert find_folder("umls", str(given)) == variable / "umls"
    (given / "umls").mkdir(parents=True)
    assert find_folder("umls", str(given)) == given / "umls"
    with pytest.raises(FileNotFoundError, match=r"'no-such'.*given.*variable.*data_dir="):
        find_folder("no-such", str(given))


def test_a_changed_file_is_not_the_published_one(tmp_path: Path) -> None:
    """One swapped line changes no count, but the checksum; the file is named."""
    sha256 = DATASETS["umls"]["sha256"]
    for split in SPLITS:
        content = (EMBEDDED / "umls" / f"{split}.txt").read_bytes()
        write(tmp_path, split, lzma.compress(content), ".txt.xz")
    read_graph(tmp_path, sha256)  # checksums are of what is inside
    first, second, *others = content.splitlines(keepends=True)
    write(tmp_path, "test", lzma.compress(b"".join([second, first, *others])), ".txt.xz")
    with pytest.raises(ValueError, match=r"test\.txt\.xz: not the published file.*conf/dataset"):
        read_graph(tmp_path, sha256)


def test_a_record_of_first_use_holds(tmp_path: Path) -> None:
    """A file without a published checksum has to be the one that aswa-fetch recorded."""
    write_graph(tmp_path / "graph")
    write(tmp_path / "graph", "valid", text([("d", "in", "nl")]))
    words = [f"data_dir={tmp_path}", "dataset.folder=graph", "lr=0.1"]
    unknown = ("entities", "relations", "triples", "sha256")
    words += [f"dataset.{key}=null" for key in unknown]
    before = load(words)
    LinkPrediction(before, torch.device("cpu"))
    write_records(tmp_path / "graph", {"train": new_record("0" * 64, "http://127.0.0.1/train.txt")})
    after = load(words)
    assert after.run_id != before.run_id
    with pytest.raises(ValueError, match=r"train\.txt: not the published file"):
        LinkPrediction(after, torch.device("cpu"))


@pytest.mark.parametrize("key", ["entities", "relations", "triples.valid"])
def test_counts_of_the_configuration_are_checked(key: str) -> None:
    """A dataset described with a wrong number does not run."""
    with pytest.raises(ConfigError, match=rf"dataset=umls: {key} should be 7 "):
        LinkPrediction(load([f"dataset.{key}=7"]), torch.device("cpu"))
