"""Data sets of sparse rows on their way to a data folder: made from packages of Debian.

`builder` in conf/dataset names the function that makes the file. A published sha256 decides whether
what it made is right; where none is published the file is taken as it is, and runs name its bytes.
"""

from __future__ import annotations

from pathlib import Path

from aswa import registry
from aswa.data.fetching import FetchFailed
from aswa.data.fetching.checks import MISSING, OK, UNRECORDED, WRONG, FileState
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import DatasetFiles
from aswa.data.sparse.labelled_rows import FILE, read_content


def fetch(files: DatasetFiles, data_dir: Path, downloads: Downloads, from_dir: Path | None) -> str:
    """Make a data set in `data_dir`; see `aswa.data.fetching.command`."""
    folder = data_dir / files.folder
    found = inspect(files, folder)["rows"]
    if found.usable:
        return "was there already"
    if found.state == WRONG:
        raise FetchFailed(f"{found.detail}\n  move {folder / FILE} away to have it made")
    made = downloads.folder / f"{files.folder}-{FILE}"
    sha256 = registry.load(files.builder)(from_dir, made)
    expected = files.sha256.get("rows")
    if expected not in (None, sha256):
        made.unlink()
        raise FetchFailed(
            f"the rows made here have sha256 {sha256}, and conf/dataset/{files.name}.yaml says "
            f"{expected}: the sources are of another version"
        )
    folder.mkdir(parents=True, exist_ok=True)
    made.replace(folder / FILE)
    return "made from Debian's packages" if from_dir is None else f"made from {from_dir}"


def inspect(files: DatasetFiles, folder: Path) -> dict[str, FileState]:
    """The state of a folder, under the one name `rows`."""
    path = folder / FILE
    if not path.is_file():
        return {"rows": FileState(MISSING, detail=f"no {FILE} in {folder}")}
    try:
        read_content(path, files.sha256.get("rows"))
    except ValueError as error:
        return {"rows": FileState(WRONG, path, str(error))}
    return {"rows": FileState(OK if files.sha256.get("rows") else UNRECORDED, path)}
