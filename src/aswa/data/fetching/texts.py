"""Texts on their way to a data folder: Austen comes with the package, others from a folder."""

from __future__ import annotations

from pathlib import Path

from aswa.data.fetching import FetchFailed
from aswa.data.fetching.checks import MISSING, OK, UNRECORDED, WRONG, FileState
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import DatasetFiles
from aswa.data.folders import SPLITS
from aswa.data.text.files import book_files, checksum
from aswa.files import write_bytes


def fetch(files: DatasetFiles, data_dir: Path, downloads: Downloads, from_dir: Path | None) -> str:
    """Copy the books of a text to `data_dir`; see `aswa.data.fetching.command`."""
    target = data_dir / files.folder
    if all(state.usable for state in inspect(files, target).values()):
        return "was there already"
    if from_dir is None:
        raise FetchFailed(
            "no public place has the files as they are used here; docs/language.md says from which "
            "packages they come: put them into a folder and give it with --from DIR"
        )
    places = [place for place in (from_dir / files.folder, from_dir) if place.is_dir()]
    for place in places:
        states = inspect(files, place)
        if all(state.usable for state in states.values()):
            for split in states:
                for path in book_files(place, split, files.books or None):
                    write_bytes(target / path.name, path.read_bytes())
            return f"taken from {from_dir}"
    reasons = [state.detail for place in places for state in inspect(files, place).values()]
    raise FetchFailed("\n  ".join(["the files are not the published ones", *filter(None, reasons)]))


def inspect(files: DatasetFiles, folder: Path) -> dict[str, FileState]:
    """The state of each split's files in a folder."""
    return {
        split: _state(files, folder, split)
        for split in SPLITS
        if not files.books or files.books.get(split)
    }


def _state(files: DatasetFiles, folder: Path, split: str) -> FileState:
    try:
        found = checksum(paths := book_files(folder, split, files.books or None))
    except ValueError as error:
        missing = not any(folder.glob("*")) if folder.is_dir() else True
        return FileState(MISSING if missing else WRONG, folder, str(error))
    expected = files.sha256.get(split)
    if expected is None:
        return FileState(UNRECORDED, paths[0])
    if found != expected:
        return FileState(WRONG, paths[0], f"{split}: expected sha256 {expected}, found {found}")
    return FileState(OK, paths[0])
