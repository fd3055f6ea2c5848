"""CIFAR on its way to a data folder: by torchvision, which checks every file, or from a folder.

torchvision is imported here alone, and only when something has to be downloaded. Files come to a
folder beside the data, are read as training reads them, and are then renamed to their final name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from aswa.data.cifar import find_files, read_cifar
from aswa.data.fetching.checks import MISSING, OK, WRONG, FileState
from aswa.data.fetching.disk import lock, storing
from aswa.data.fetching.gathering import Say, downloads_folder
from aswa.data.fetching.graphs import FetchFailed
from aswa.data.fetching.sources import Published


def fetch_cifar(
    published: Published, data_dir: Path, say: Say, from_dir: Path | None = None
) -> str:
    """Bring CIFAR to `data_dir`, unless it is there and right.

    Args:
        say: called with a line for a person.
        from_dir: take it from this folder, which has it in one of the forms of `aswa.data.cifar`,
            itself or in a folder of the dataset's name, or holds the publisher's archive.

    Returns:
        what was done, in words.

    Raises:
        FetchFailed: it could not be had; nothing has changed.
        StorageFailed: the data folder cannot be written to.
    """
    final = data_dir / published.folder
    waiting = f"{published.name}: another process is fetching it; waiting for that"
    with lock(downloads_folder(data_dir) / f"{published.folder}.lock", lambda: say(waiting)):
        wrong = check_cifar(published, final)
        if not wrong:
            return "was there already"
        if final.is_dir() and any(final.iterdir()):
            raise FetchFailed(f"{published.name}: {wrong}\n  move {final} away to have it fetched")
        stage = downloads_folder(data_dir) / f"{published.folder}.new"
        with storing(stage):
            stage.mkdir(parents=True, exist_ok=True)  # an archive that was begun stays there
        try:
            if from_dir is None or not _copy(published, from_dir, stage):
                _torchvision(published, stage, from_dir)
            if reason := check_cifar(published, stage):
                raise FetchFailed(f"{published.name}: {reason}")
        except FetchFailed:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        with storing(final):
            for archive in stage.glob("*.tar.gz"):
                archive.unlink()
            if final.is_dir():
                final.rmdir()
            os.replace(stage, final)
    return "fetched" if from_dir is None else f"taken from {from_dir}"


def check_cifar(published: Published, folder: Path) -> str:
    """What is wrong with the files of a folder, in words; nothing if they are right."""
    try:
        read_cifar(folder, published.classes or 0, published.sha256, published.images)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return ""


def inspect_cifar(published: Published, folder: Path) -> dict[str, FileState]:
    """The state of a folder, under the one name `images`, as `checks.inspect`."""
    try:
        find_files(folder, published.classes or 0)
    except FileNotFoundError:
        return {"images": FileState(MISSING)}
    wrong = check_cifar(published, folder)
    return {"images": FileState(WRONG if wrong else OK, folder, detail=wrong)}


def _copy(published: Published, from_dir: Path, stage: Path) -> bool:
    """Copy the files of a folder that has them; False if it has none."""
    for place in (from_dir / published.folder, from_dir):
        try:
            files = find_files(place, published.classes or 0)
        except FileNotFoundError:
            continue
        with storing(stage):
            for file in files:
                shutil.copyfile(file, stage / file.name)
        return True
    return False


def _torchvision(published: Published, stage: Path, from_dir: Path | None) -> None:
    """Have torchvision download, check and unpack the archive, or unpack the one in a folder."""
    fix = (
        "try again later, or get the archive by other means and use --from DIR with the folder "
        "that holds it"
    )
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise FetchFailed(
            f"{published.name}: torchvision cannot be imported ({error}); install the one that "
            "belongs to this torch, or use --from DIR with a folder that holds the unpacked files"
        ) from None
    dataset = {10: datasets.CIFAR10, 100: datasets.CIFAR100}[published.classes or 0]
    if from_dir is not None:
        archive = from_dir / dataset.filename
        if not archive.is_file():
            raise FetchFailed(
                f"{published.name}: {from_dir} has neither its files nor {dataset.filename}"
            )
        if not _is_published(archive, dataset.tgz_md5):
            raise FetchFailed(f"{archive}: not the published archive; get it again")
        with storing(stage):
            shutil.copyfile(archive, stage / archive.name)
    try:
        dataset(str(stage), download=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise FetchFailed(f"{published.name}: {dataset.url}: {error}\n  {fix}") from None


def _is_published(archive: Path, md5: str) -> bool:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5
