"""`aswa-fetch` for images: from a folder, from torchvision's archive, and what goes wrong."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from aswa.data.cifar import read_cifar
from aswa.data.fetching.checks import WRONG
from aswa.data.fetching.cifar import inspect
from aswa.data.fetching.sources import DatasetFiles, read_datasets
from aswa.fetch import main
from aswa.files import conf_dir
from cifar_forms import noise, packed_form, python_form
from fetch_server import Answer, Server

COUNTS = {"train": 100, "test": 100}


@pytest.fixture(params=["cifar10", "cifar100"])
def dataset(request: pytest.FixtureRequest) -> DatasetFiles:
    """As published, but for the content, which is that of the test's own files."""
    published = read_datasets(conf_dir() / "dataset")[request.param]
    content = noise(published.classes).items()
    sums = {split: hashlib.sha256(pixels).hexdigest() for split, (pixels, _) in content}
    return replace(published, sha256=sums, images=COUNTS)


def fetch(dataset: DatasetFiles, data_dir: Path, *words: str) -> int:
    return main([dataset.name, "--data-dir", str(data_dir), *words], {dataset.name: dataset})


def labels(dataset: DatasetFiles, data_dir: Path) -> list[int]:
    """Of the training images, checked."""
    folder = data_dir / dataset.folder
    return read_cifar(folder, dataset.classes, dataset.sha256, COUNTS).train_labels.tolist()


def test_files_of_a_folder_are_checked_and_copied(dataset: DatasetFiles, tmp_path: Path) -> None:
    """Then they are there already, are listed and verified; damaged ones are found."""
    (tmp_path / "given").mkdir()
    packed_form(tmp_path / "given", dataset.classes, noise(dataset.classes))
    data_dir = tmp_path / "data"
    assert fetch(dataset, data_dir, "--from", str(tmp_path / "given")) == 0
    assert labels(dataset, data_dir) == noise(dataset.classes)["train"][1].tolist()
    assert fetch(dataset, data_dir) == 0
    assert fetch(dataset, data_dir, "--verify") == 0
    (data_dir / dataset.folder / "train_images.tar").write_bytes(b"half")
    assert inspect(dataset, data_dir / dataset.folder)["images"].state == WRONG
    assert fetch(dataset, data_dir, "--verify") == 1
    assert fetch(dataset, data_dir) == 1  # nothing of the user's is overwritten
    assert (data_dir / dataset.folder / "train_images.tar").read_bytes() == b"half"


def test_wrong_files_are_never_put_in_place(dataset: DatasetFiles, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    packed_form(tmp_path / "given", dataset.classes, noise(dataset.classes))
    other = replace(dataset, sha256={"train": "0" * 64})
    assert fetch(other, tmp_path / "data", "--from", str(tmp_path / "given")) == 1
    assert not (tmp_path / "data" / dataset.folder).exists()
    assert not list((tmp_path / "data" / ".downloads").glob("*.new"))


@pytest.mark.parametrize("by", ["folder", "network"])
def test_the_publishers_archive_goes_through_torchvision(
    dataset: DatasetFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    by: str,
) -> None:
    """Its checksums, here those of the test's own archive; another archive is refused."""
    try:
        from torchvision.datasets import CIFAR10, CIFAR100
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    theirs = {10: CIFAR10, 100: CIFAR100}[dataset.classes]
    given, folder = tmp_path / "given", tmp_path / theirs.base_folder
    given.mkdir()
    folder.mkdir()
    python_form(folder, dataset.classes, noise(dataset.classes))
    with tarfile.open(given / theirs.filename, "w:gz") as archive:
        archive.add(folder, theirs.base_folder)
    data_dir = tmp_path / "data"
    words = ["--from", str(given)] if by == "folder" else []
    content = (given / theirs.filename).read_bytes()
    server.answers["/c.tar.gz"] = Answer(content)
    monkeypatch.setattr(theirs, "url", f"{server.url}/c.tar.gz")
    assert fetch(dataset, data_dir, *words) == 1  # not the published archive
    assert not (data_dir / dataset.folder).exists()
    monkeypatch.setattr(theirs, "tgz_md5", hashlib.md5(content).hexdigest())
    assert fetch(dataset, data_dir, *words) == 0
    assert labels(dataset, data_dir) == noise(dataset.classes)["train"][1].tolist()
    assert not list(data_dir.rglob("*.tar.gz"))
    assert len(server.log) == 2 * (by == "network")
