"""CIFAR on its way to a data folder: torchvision's archive and checksums, or a folder's files.

torchvision is imported here alone, and only for an archive. The files are read as training reads
them before they get their final name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from pathlib import Path

import pooch

from aswa.data.cifar import find_files, read_cifar
from aswa.data.fetching import FetchFailed
from aswa.data.fetching.checks import MISSING, OK, WRONG, FileState
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import DatasetFiles


def fetch(files: DatasetFiles, data_dir: Path, downloads: Downloads, from_dir: Path | None) -> str:
    """Bring CIFAR to `data_dir`; see `aswa.data.fetching.command`.

    `from_dir` has it in one of the forms of `aswa.data.cifar`, itself or in a folder of the
    dataset's name, or holds the publisher's archive.
    """
    final = data_dir / files.folder
    found = inspect(files, final)["images"]
    if found.usable:
        return "was there already"
    if any(final.glob("*")):
        raise FetchFailed(f"{found.detail}\n  move {final} away to have it fetched")
    stage = downloads.folder / f"{files.folder}.new"
    shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed
    stage.mkdir(parents=True)
    try:
        if from_dir is None or not _copy(files, from_dir, stage):
            _unpack(files, stage, downloads, from_dir)
        found = inspect(files, stage)["images"]
        if not found.usable:
            raise FetchFailed(found.detail)
        os.replace(stage, final)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return "fetched" if from_dir is None else f"taken from {from_dir}"


def inspect(files: DatasetFiles, folder: Path) -> dict[str, FileState]:
    """The state of a folder, under the one name `images`."""
    try:
        read_cifar(folder, files.classes, files.sha256, files.images)
    except FileNotFoundError as error:
        return {"images": FileState(MISSING, detail=str(error))}
    except ValueError as error:
        return {"images": FileState(WRONG, folder, str(error))}
    return {"images": FileState(OK, folder)}


def _copy(files: DatasetFiles, from_dir: Path, stage: Path) -> bool:
    """Copy the files of a folder; False if it has none."""
    for place in (from_dir / files.folder, from_dir):
        with contextlib.suppress(FileNotFoundError):
            _, found = find_files(place, files.classes)
            for file in filter(Path.is_file, found["train"] + found["test"]):
                shutil.copyfile(file, stage / file.name)
            return True
    return False


def _unpack(files: DatasetFiles, stage: Path, downloads: Downloads, from_dir: Path | None) -> None:
    """Unpack the publisher's archive; torchvision knows its URL and md5."""
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise FetchFailed(
            f"torchvision cannot be imported ({error}); install the one that belongs to this "
            "torch, or use --from DIR with a folder that holds the unpacked files"
        ) from None
    dataset = {10: datasets.CIFAR10, 100: datasets.CIFAR100}[files.classes]
    try:
        archive = from_dir / dataset.filename if from_dir else downloads.get(dataset.url)
        if not archive.is_file():
            raise FetchFailed(f"{from_dir} has neither its files nor {dataset.filename}")
        if pooch.file_hash(str(archive), "md5") != dataset.tgz_md5:
            raise FetchFailed(f"{archive}: not the published archive")
        with tarfile.open(archive, "r:gz") as tar:  # its md5 is right, so it holds what it should
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            tar.extractall(stage)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise FetchFailed(
            f"{error}\n  try again later, or get {dataset.filename} by other means "
            "and use --from DIR with the folder that holds it"
        ) from None
