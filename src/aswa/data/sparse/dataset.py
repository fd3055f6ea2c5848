"""The rows of a member of conf/dataset of kind `sparse`."""

from __future__ import annotations

import functools
import hashlib
import lzma
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aswa.config.schema import ConfigError
from aswa.data.folders import find_folder
from aswa.data.sparse import libsvm, synthetic
from aswa.data.sparse.labelled_rows import FILE, SPLITS, LabelledRows, read_rows
from aswa.kinds.declaration import Filled, Plain


def _rows(options: Mapping[str, Any], folder: Path | None) -> LabelledRows:
    assert folder is not None
    return read_rows(folder / FILE, (options["sha256"] or {}).get("rows"))


def _libsvm(options: Mapping[str, Any], folder: Path | None) -> LabelledRows:
    assert folder is not None
    return libsvm.read_folder(folder)


def _owa_chapter(options: Mapping[str, Any], folder: Path | None) -> LabelledRows:
    made = options["generated_rows"], options["features"]
    return synthetic.generate(*made, seed=options["data_seed"])


def _hashed(options: Mapping[str, Any], folder: Path | None) -> LabelledRows:
    return synthetic.hashed(
        options["generated_rows"], options["features"], seed=options["data_seed"]
    )


READERS: dict[str, Callable[[Mapping[str, Any], Path | None], LabelledRows]] = {
    "rows": _rows,
    "libsvm": _libsvm,
    "owa_chapter": _owa_chapter,
    "hashed": _hashed,
}
# Readers of files → the files that a folder can have.
FILES: dict[str, tuple[str, ...]] = {
    "rows": (FILE,),
    "libsvm": tuple(f"{split}{ending}" for split in SPLITS for ending in libsvm.UNPACK),
}


def read_dataset(
    name: str, folder: str, options: Mapping[str, Any], data_dir: str | None
) -> LabelledRows:
    """The rows of a dataset, checked against its declared counts.

    Raises:
        FileNotFoundError: its folder is not there.
        ValueError: a file is damaged or malformed, or has other counts.
    """
    reader = options["reader"]
    place = find_folder(folder, data_dir) if reader in FILES else None
    found = READERS[reader](options, place)
    counts = {split: int(np.sum(found.split == i)) for i, split in enumerate(SPLITS)}
    for split, expected in (options["rows"] or {}).items():
        if expected not in (None, counts[split]):
            raise ValueError(f"{name}: {counts[split]} rows of {split}, expected {expected}")
    if options["features"] not in (None, found.X.shape[1]):
        raise ValueError(f"{name}: {found.X.shape[1]} features, expected {options['features']}")
    if not all(counts.values()):
        raise ValueError(f"{name}: no row of {', '.join(s for s, n in counts.items() if not n)}")
    if size := options["train_size"]:
        late = np.flatnonzero(found.split == 0)
        late = np.random.default_rng(0).permutation(late)[size:]
        kept = np.delete(np.arange(len(found.y)), late)
        found = replace(found, X=found.X[kept], y=found.y[kept], split=found.split[kept])
    return found


def name_bytes(plain: Plain, hyperparameters: Mapping[str, Any]) -> Filled:
    """Name the bytes of files that have no published sha256: a run on other bytes is another."""
    dataset = plain["dataset"]
    size = dataset.get("train_size")
    reduced = f"{size} training rows" if size else None
    if dataset.get("sha256") or dataset.get("reader") not in FILES:
        return Filled(reduced=reduced)
    try:
        folder = find_folder(dataset["folder"], plain.get("data_dir"))
    except FileNotFoundError:  # said when the rows are to be read
        return Filled(reduced=reduced)
    paths = [folder / name for name in FILES[dataset["reader"]]]
    there = {path.name.partition(".")[0]: path for path in paths if path.is_file()}
    states = {name: (path, path.stat()) for name, path in there.items()}
    try:
        dataset["sha256"] = {
            name: _checksum(path, state.st_mtime_ns, state.st_size)
            for name, (path, state) in states.items()
        }
    except (lzma.LZMAError, EOFError) as error:
        raise ConfigError(f"dataset={dataset['name']}: a file is damaged ({error})") from None
    return Filled(tuple(there.values()), reduced)


@functools.lru_cache(maxsize=64)
def _checksum(path: Path, mtime_ns: int, size: int) -> str:
    """Of the rows of `rows.bin.xz`, of other files as they are stored; read once a process.

    Read again where the file's time or size changes.
    """
    stored = path.read_bytes()
    return hashlib.sha256(lzma.decompress(stored) if path.name == FILE else stored).hexdigest()
