"""`aswa-fetch` for images: from a folder, from torchvision's archive, and what goes wrong."""

from __future__ import annotations

import hashlib
import pickle
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
from fetch_server import Answer, Server
from test_cifar import PIXELS, packed_form, python_form

SUMS = {split: hashlib.sha256(pixels).hexdigest() for split, pixels in PIXELS.items()}
COUNTS = {split: len(pixels) for split, pixels in PIXELS.items()}


@pytest.fixture
def datasets() -> dict[str, DatasetFiles]:
    """CIFAR-10 as published, but for the content, which is that of the test's own files."""
    published = read_datasets(conf_dir() / "dataset")["cifar10"]
    return {"cifar10": replace(published, sha256=SUMS, images=COUNTS)}


def fetch(datasets: dict[str, DatasetFiles], data_dir: Path, *words: str) -> int:
    return main(["cifar10", "--data-dir", str(data_dir), *words], datasets)


def test_files_of_a_folder_are_checked_and_copied(
    datasets: dict[str, DatasetFiles], tmp_path: Path
) -> None:
    """Then they are there already, are listed and verified; damaged ones are found."""
    (tmp_path / "given").mkdir()
    packed_form(tmp_path / "given", 10)
    data_dir = tmp_path / "data"
    assert fetch(datasets, data_dir, "--from", str(tmp_path / "given")) == 0
    assert len(read_cifar(data_dir / "cifar10", 10, SUMS, COUNTS).train_labels) == 100
    assert fetch(datasets, data_dir) == 0
    assert fetch(datasets, data_dir, "--verify") == 0
    (data_dir / "cifar10" / "train_images.tar").write_bytes(b"half")
    assert inspect(datasets["cifar10"], data_dir / "cifar10")["images"].state == WRONG
    assert fetch(datasets, data_dir, "--verify") == 1
    assert fetch(datasets, data_dir) == 1  # nothing of the user's is overwritten
    assert (data_dir / "cifar10" / "train_images.tar").read_bytes() == b"half"


def test_wrong_files_are_never_put_in_place(
    datasets: dict[str, DatasetFiles], tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    packed_form(tmp_path / "given", 10)
    other = {"cifar10": replace(datasets["cifar10"], sha256={"train": "0" * 64})}
    assert fetch(other, tmp_path / "data", "--from", str(tmp_path / "given")) == 1
    assert not (tmp_path / "data" / "cifar10").exists()
    assert not list((tmp_path / "data" / ".downloads").glob("*.new"))


@pytest.mark.parametrize("by", ["folder", "network"])
def test_the_publishers_archive_goes_through_torchvision(
    datasets: dict[str, DatasetFiles],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    by: str,
) -> None:
    """Its checksums, here those of the test's own archive; another archive is refused."""
    try:
        from torchvision.datasets import CIFAR10
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    given, folder = tmp_path / "given", tmp_path / CIFAR10.base_folder
    given.mkdir()
    folder.mkdir()
    python_form(folder, 10)
    names = {"label_names": [str(i) for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    with tarfile.open(given / CIFAR10.filename, "w:gz") as archive:
        archive.add(folder, CIFAR10.base_folder)
    data_dir = tmp_path / "data"
    words = ["--from", str(given)] if by == "folder" else []
    server.answers["/c.tar.gz"] = Answer((given / CIFAR10.filename).read_bytes())
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}/c.tar.gz")
    assert fetch(datasets, data_dir, *words) == 1  # not the published archive
    assert not (data_dir / "cifar10").exists()

    def md5(path: Path) -> str:
        return hashlib.md5(path.read_bytes()).hexdigest()

    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(given / CIFAR10.filename))
    for name in ("train_list", "test_list"):
        files = [[file, md5(folder / file)] for file, _ in getattr(CIFAR10, name)]
        monkeypatch.setattr(CIFAR10, name, files)
    meta = {**CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    assert fetch(datasets, data_dir, *words) == 0
    assert len(read_cifar(data_dir / "cifar10", 10, SUMS, COUNTS).test_labels) == 20
    assert not list(data_dir.rglob("*.tar.gz"))
    assert len(server.log) == 2 * (by == "network")
