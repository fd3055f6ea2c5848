"""Where datasets are on this machine, and the bytes of their files."""

from __future__ import annotations

import functools
import gzip
import hashlib
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from aswa.files import cache_folder

EMBEDDED = Path(__file__).parent / "embedded"
VARIABLE = "ASWA_DATA_DIR"
SPLITS = ("train", "valid", "test")
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".txt": lambda stored: stored,
    ".txt.gz": gzip.decompress,
    ".txt.xz": lzma.decompress,
}
ENDINGS = tuple(_UNPACK)  # of a split's file, in the order of preference


def find_folder(folder: str, data_dir: str | None) -> Path:
    """The folder of a dataset: in `data_dir`; without one, in the first place that has it.

    Args:
        folder: its name, such as `fb15k-237`, or an absolute path.
        data_dir: `data_dir=` of the configuration. None: $ASWA_DATA_DIR, the user's cache, the
            package.

    Raises:
        FileNotFoundError: it is not there; says where it was looked for, and the fix.
    """
    bases = _bases(data_dir)
    for base in bases if data_dir else [*bases, EMBEDDED]:
        if (base / folder).is_dir():
            return base / folder
    if data_dir:
        raise FileNotFoundError(
            f"data_dir={data_dir}: no folder {folder!r} in it; get it with `aswa-fetch {folder} "
            f"--data-dir {data_dir}`, or leave data_dir out: {VARIABLE}, the cache and the package "
            "are then looked at"
        )
    if len(Path(folder).parts) > 1:
        raise FileNotFoundError(
            f"no folder {folder}, seen from {Path.cwd()}; it holds train.txt, valid.txt, test.txt"
        )
    raise FileNotFoundError(
        f"no folder {folder!r} in {', '.join(map(str, bases))} or the package; get it with "
        f"`aswa-fetch {folder}`, or put it under a folder named by data_dir=... or by the variable "
        f"{VARIABLE}"
    )


def _bases(data_dir: str | None) -> list[Path]:
    places = [data_dir] if data_dir else [os.environ.get(VARIABLE), cache_folder() / "data"]
    return [Path(place) for place in places if place]


def data_folders(data_dir: str | None) -> list[Path]:
    """Every folder of a dataset under the places where `find_folder` looks, but the package."""
    return sorted(path for base in _bases(data_dir) for path in base.glob("[!.]*/"))


def find_split(folder: Path, split: str) -> Path | None:
    """`<split>.txt`, `.txt.gz` or `.txt.xz` of a folder, None if there is none."""
    paths = (folder / f"{split}{ending}" for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def read_split(path: Path, stored: bytes | None = None) -> bytes:
    """The uncompressed bytes of a split's file.

    Args:
        stored: its bytes, where they were read already.

    Raises:
        ValueError: they cannot be had; names the file.
    """
    try:
        unpack = _UNPACK[path.name[path.name.index(".txt") :]]
        return unpack(path.read_bytes() if stored is None else stored)
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); get the file again") from None


def file_checksums(folder: Path) -> dict[str, str]:
    """sha256 of the uncompressed bytes of every split that the folder has.

    A file is read once a process, unless its time or size changes.

    Raises:
        ValueError: a file cannot be read; names it.
    """
    found = {split: find_split(folder, split) for split in SPLITS}
    states = {split: (path, path.stat()) for split, path in found.items() if path}
    return {s: _checksum(path, st.st_mtime_ns, st.st_size) for s, (path, st) in states.items()}


@functools.lru_cache(maxsize=256)
def _checksum(path: Path, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(read_split(path)).hexdigest()
