"""Datasets of conf/dataset: where they are looked for, and whether they are the published ones."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from pathlib import Path

import pytest
import torch
import yaml

from aswa.config import ConfigError, load
from aswa.data import folders
from aswa.data.fetching.checks import RECORDS
from aswa.data.fetching.sources import read_datasets
from aswa.data.folders import EMBEDDED, SPLITS, file_checksums, find_folder
from aswa.data.knowledge_graph import read_graph
from aswa.files import conf_dir
from aswa.tasks.link_prediction import LinkPrediction
from written_graph import text, write, write_graph

DATASETS = read_datasets(conf_dir() / "dataset")
GRAPHS = [name for name, files in DATASETS.items() if files.kind == "knowledge_graph"]


COUNTS = {
    "knowledge_graph": ("entities", "relations", "triples"),
    "images": ("classes", "images"),
    "sparse": ("features", "rows"),
}


def check_published(name: str, folder: Path) -> None:
    """Checksums and counts are those of conf/dataset."""
    files = DATASETS[name]
    counts = yaml.safe_load((conf_dir() / "dataset" / f"{name}.yaml").read_text())
    graph = read_graph(folder, files.sha256)
    assert len(graph.entities) == counts["entities"]
    assert len(graph.relations) == counts["relations"]
    assert {split: len(getattr(graph, split)) for split in SPLITS} == files.triples
    known = {split: sha256 for split, sha256 in files.sha256.items() if sha256}
    assert known.items() <= file_checksums(folder).items()


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_are_the_published_ones(name: str, data_dir: Path) -> None:
    """Those that are in the data folder."""
    folder = data_dir / DATASETS[name].folder
    missing = [split for split in SPLITS if folders.find_split(folder, split) is None]
    if missing:
        pytest.skip(f"{folder}: no {', '.join(missing)}")
    check_published(name, folder)


def test_the_page_has_the_numbers_of_the_configuration() -> None:
    """Every graph and every set of images has a row in docs/datasets.md."""
    page = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
    rows = {}
    for line in page.read_text().splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
            rows[name] = [int(n.replace(",", "")) for c in cells[:-2] for n in c.split(" / ")]
    expected = {}
    for name in (n for n, files in DATASETS.items() if files.kind != "text"):
        counts = yaml.safe_load((conf_dir() / "dataset" / f"{name}.yaml").read_text())
        keys = COUNTS[DATASETS[name].kind]
        if counts[keys[-1]] is None:  # of what changes with every release of its source
            continue
        first, last = [counts[key] for key in keys[:-1]], counts[keys[-1]].values()
        expected[name] = [*first, *last]
    assert rows == expected


@pytest.mark.parametrize("name", ["umls", "kinship"])
def test_embedded_graphs_are_the_published_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come with the package, and are found when nothing else is there."""
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
    folder = find_folder(DATASETS[name].folder, None)
    assert folder.parent == EMBEDDED
    check_published(name, folder)


def test_a_graph_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$ASWA_DATA_DIR, the user's cache, the package; the error lists where it was not."""
    variable, cache = tmp_path / "variable", tmp_path / "cache"
    monkeypatch.setenv("ASWA_DATA_DIR", str(variable))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert find_folder("umls", None) == EMBEDDED / "umls"
    for base in (cache / "aswa" / "data", variable):
        (base / "umls").mkdir(parents=True)
        assert find_folder("umls", None) == base / "umls"
    with pytest.raises(FileNotFoundError, match=r"variable.*cache.*aswa-fetch no-such"):
        find_folder("no-such", None)
    with pytest.raises(FileNotFoundError, match=r"^no folder data/no-such, seen from"):
        find_folder("data/no-such", None)


def test_a_data_dir_without_the_graph_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never replaced by another place, and the error says the fix."""
    monkeypatch.setenv("ASWA_DATA_DIR", str(tmp_path / "variable"))
    (tmp_path / "variable" / "umls").mkdir(parents=True)
    given = tmp_path / "given"
    with pytest.raises(FileNotFoundError, match=rf"{given}.*'umls'.*--data-dir {given}"):
        find_folder("umls", str(given))
    (given / "umls").mkdir(parents=True)
    assert find_folder("umls", str(given)) == given / "umls"
    assert folders.data_folders(str(given)) == [given / "umls"]


def test_checksums_are_of_the_content_and_follow_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read once, until its time or size changes; packing changes no checksum."""
    write_graph(tmp_path)
    reads: list[Path] = []

    def read_split(path: Path) -> bytes:
        reads.append(path)
        return folders_read_split(path)

    folders_read_split = folders.read_split
    monkeypatch.setattr(folders, "read_split", read_split)
    first = file_checksums(tmp_path)
    content = (tmp_path / "train.txt").read_bytes()
    assert first["train"] == hashlib.sha256(content).hexdigest()
    assert file_checksums(tmp_path) == first
    assert len(reads) == 3
    (tmp_path / "train.txt").unlink()
    write(tmp_path, "train", lzma.compress(content), ".txt.xz")
    assert file_checksums(tmp_path) == first
    write(tmp_path, "test", content[::-1])
    stat = (tmp_path / "test.txt").stat()
    os.utime(tmp_path / "test.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    changed = file_checksums(tmp_path)
    assert changed.keys() == first.keys()
    assert {split for split in SPLITS if changed[split] != first[split]} == {"test"}
    (tmp_path / "valid.txt").unlink()
    assert file_checksums(tmp_path).keys() == {"train", "test"}
    write(tmp_path, "valid", b"no gzip", ".txt.gz")
    with pytest.raises(ValueError, match=r"valid\.txt\.gz"):
        file_checksums(tmp_path)


def test_a_changed_file_is_not_the_published_one(tmp_path: Path) -> None:
    """One swapped line changes no count, but the checksum; the file is named."""
    sha256 = DATASETS["umls"].sha256
    for split in SPLITS:
        content = (EMBEDDED / "umls" / f"{split}.txt").read_bytes()
        write(tmp_path, split, lzma.compress(content), ".txt.xz")
    read_graph(tmp_path, sha256)  # checksums are of what is inside
    first, second, *others = content.splitlines(keepends=True)
    write(tmp_path, "test", lzma.compress(b"".join([second, first, *others])), ".txt.xz")
    with pytest.raises(ValueError, match=r"test\.txt\.xz"):
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
    record = {"sha256": "0" * 64, "url": "http://127.0.0.1/train.txt", "date": "2026-01-01"}
    (tmp_path / "graph" / RECORDS).write_text(json.dumps({"train": record}))
    after = load(words)
    assert after.run_id != before.run_id
    with pytest.raises(ValueError, match=r"train\.txt"):
        LinkPrediction(after, torch.device("cpu"))


def test_other_bytes_are_another_run(tmp_path: Path) -> None:
    """Of a graph without checksums; packing them changes nothing."""
    write_graph(tmp_path / "graph")
    words = [f"data_dir={tmp_path}", "dataset.folder=graph", "dataset.sha256=null", "lr=0.1"]
    first = load(words).run_id
    train = tmp_path / "graph" / "train.txt"
    content = train.read_bytes()
    train.write_bytes(content + b"d\tin\td\n")
    assert load(words).run_id != first
    train.unlink()
    write(tmp_path / "graph", "train", lzma.compress(content), ".txt.xz")
    assert load(words).run_id == first
    write(tmp_path / "graph", "train", b"no xz", ".txt.xz")
    with pytest.raises(ConfigError, match=r"train\.txt\.xz"):
        load(words)


@pytest.mark.parametrize("key", ["entities", "relations", "triples.valid"])
def test_counts_of_the_configuration_are_checked(key: str) -> None:
    """A dataset described with a wrong number does not run."""
    with pytest.raises(ConfigError, match=key):
        LinkPrediction(load([f"dataset.{key}=7"]), torch.device("cpu"))


def test_a_folder_is_a_dataset_without_a_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by its folder; a path counts from where the command is given."""
    write_graph(tmp_path / "mine" / "trips")
    monkeypatch.chdir(tmp_path)
    words = ["dataset=own", "dataset.folder=mine/trips", "lr=0.1"]
    config = load(words)
    assert (config.dataset.name, config.dataset.folder) == ("trips", str(tmp_path / "mine/trips"))
    assert config.title == "trips keci all lr=0.1 seed 0"
    assert None not in config.resolved["dataset"]["sha256"].values()
    monkeypatch.chdir("/")
    assert (
        LinkPrediction(config, torch.device("cpu")).graph.entities
        == read_graph(tmp_path / "mine" / "trips").entities
    )
    assert load([*words[:1], f"dataset.folder={tmp_path}/mine/trips", "lr=0.1"]) == config


@pytest.mark.parametrize(
    "words", [["lr=0.1"], ["dataset.folder=umls", "lr=0.1"], ["dataset.folder=/nowhere/mine"]]
)
def test_a_folder_without_a_yaml_has_to_be_clear(words: list[str]) -> None:
    """None is given; it is called as a known dataset; no learning rate is known."""
    with pytest.raises(ConfigError):
        load(["dataset=own", *words])
