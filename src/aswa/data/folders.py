"""Where datasets are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from aswa.files import cache_folder

EMBEDDED = Path(__file__).parent / "embedded"
VARIABLE = "ASWA_DATA_DIR"
SPLITS = ("train", "valid", "test")
ENDINGS = (".txt", ".txt.gz", ".txt.xz")  # of a split's file, in the order of preference


def find_folder(folder: str, data_dir: str | None) -> Path:
    """The folder of a dataset: under `data_dir`, $ASWA_DATA_DIR, the user's cache or the package.

    Args:
        folder: its name, such as `fb15k-237`.
        data_dir: `data_dir=` of the configuration; looked at first.

    Raises:
        FileNotFoundError: it is nowhere; says where it was looked for.
    """
    bases = _bases(data_dir)
    for base in [*bases, EMBEDDED]:
        if (base / folder).is_dir():
            return base / folder
    looked = ", ".join([*map(str, bases), "the package"])
    raise FileNotFoundError(
        f"no folder {folder!r} in {looked}; get it with "
        f"`aswa-fetch {folder}`, or put it under a folder named by data_dir=... or by the variable "
        f"{VARIABLE}"
    )


def _bases(data_dir: str | None) -> list[Path]:
    given = (data_dir, os.environ.get(VARIABLE), str(cache_folder() / "data"))
    return [Path(base) for base in given if base]


def data_folders(data_dir: str | None) -> list[Path]:
    """Every folder of a dataset under the places where `find_folder` looks, but the package."""
    found = [base.iterdir() for base in _bases(data_dir) if base.is_dir()]
    return sorted(path for folders in found for path in folders if path.is_dir())


def find_split(folder: Path, split: str) -> Path | None:
    """`<split>.txt`, `.txt.gz` or `.txt.xz` of a folder, None if there is none."""
    paths = (folder / f"{split}{ending}" for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def file_checksums(folder: Path) -> dict[str, str]:
    import hashlib

    return {
        s: hashlib.sha256(find_split(folder, s).read_bytes()).hexdigest()
        for s in SPLITS
        if find_split(folder, s)
    }
