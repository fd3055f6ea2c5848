"""Files of libsvm's format: `label index:value …`, indices from 1, plain or packed.

A folder holds train.svm and, if they are there, valid.svm and test.svm, each also with the endings
.gz, .xz and .bz2. Without test.svm the rows of train.svm are split by their content.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aswa.data.sparse.labelled_rows import SPLITS, LabelledRows, split_number

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".svm": lambda stored: stored,
    ".svm.gz": gzip.decompress,
    ".svm.xz": lzma.decompress,
    ".svm.bz2": bz2.decompress,
}
SALT = "libsvm"


def find_file(folder: Path, split: str) -> Path | None:
    """`<split>.svm` of a folder, or a packed one."""
    paths = (folder / f"{split}{ending}" for ending in UNPACK)
    return next((path for path in paths if path.is_file()), None)


def read_folder(folder: Path) -> LabelledRows:
    """Read the files of a folder.

    Raises:
        FileNotFoundError: there is no train.svm.
        ValueError: a malformed line, which is named, or labels that are not two.
    """
    from scipy.sparse import csr_matrix, vstack

    files = {split: find_file(folder, split) for split in SPLITS}
    if files["train"] is None:
        raise FileNotFoundError(f"{folder}: no train.svm, or train.svm.gz, .xz, .bz2 in it")
    found = {split: read_file(path) for split, path in files.items() if path}
    width = max(X.shape[1] for X, _ in found.values())
    parts = [csr_matrix((X.data, X.indices, X.indptr), (X.shape[0], width)) for X, _ in
             found.values()]  # fmt: skip
    labels = np.concatenate([y for _, y in found.values()])
    X = csr_matrix(vstack(parts, format="csr"))
    split = np.concatenate(
        [np.full(len(y), SPLITS.index(name), np.int8) for name, (_, y) in found.items()]
    )
    if "test" not in found:
        ends = itertools.pairwise(X.indptr)
        keys = [X.indices[start:end].tobytes().hex() for start, end in ends]
        split = np.array([split_number(key, SALT) for key in keys], np.int8)
    elif "valid" not in found:
        train = np.flatnonzero(split == 0)
        split[train[:: max(2, len(train) // 1000)]] = 1  # about a thousand rows of train
    return LabelledRows(X, two_classes(labels, folder), split)


def two_classes(labels: NDArray[np.float64], folder: Path) -> NDArray[np.float64]:
    """−1 for the smaller label, 1 for the larger.

    Raises:
        ValueError: there are not two labels.
    """
    names = np.unique(labels)
    if len(names) != 2:
        shown = ", ".join(f"{name:g}" for name in names[:5])
        raise ValueError(f"{folder}: {len(names)} labels ({shown}); two are needed")
    return np.where(labels == names[1], 1.0, -1.0)


def read_file(path: Path) -> tuple[csr_matrix, NDArray[np.float64]]:
    """Rows and labels of a file. A line with a label alone is a row without features.

    Raises:
        ValueError: the file cannot be unpacked, or a line is malformed: names the line and what is
            wrong with it.
    """
    from scipy.sparse import csr_matrix
    from sklearn.datasets import load_svmlight_file

    try:
        content = UNPACK[path.name[path.name.index(".svm") :]](path.read_bytes())
    except (EOFError, OSError, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); get the file again") from None
    try:
        X, y = load_svmlight_file(io.BytesIO(content), zero_based=True)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}{wrong_line(content) or f': {error}'}") from None
    if not np.isfinite(X.data).all() or not np.isfinite(y).all() or (X.indices == 0).any():
        raise ValueError(f"{path}{wrong_line(content)}")
    if not len(y):
        raise ValueError(f"{path}: no rows in it")
    matrix = csr_matrix(X, dtype=np.float64)
    columns = max(1, matrix.shape[1] - 1)
    shifted = (matrix.data, matrix.indices.astype(np.int32) - 1, matrix.indptr)
    return csr_matrix(shifted, shape=(matrix.shape[0], columns)), np.asarray(y, float)


def wrong_line(content: bytes) -> str:
    """`: line 3: …` of the first malformed line; empty if there is none."""
    for number, line in enumerate(content.split(b"\n"), 1):
        words = line.split(b"#")[0].split()
        if words and (fault := _fault([word.decode(errors="replace") for word in words])):
            return f": line {number}: {fault}"
    return ""


def _fault(words: list[str]) -> str:
    if _number(words[0]) is None:
        return f"label {words[0]!r} is no number"
    last = 0
    for word in words[1:]:
        index, colon, value = word.partition(":")
        if not colon or not index.isdigit():
            return f"{word!r} is not index:value"
        if int(index) < 1:
            return f"{word!r}: indices begin with 1"
        if int(index) <= last:
            return f"{word!r}: indices must increase; the one before is {last}"
        if int(index) >= 2**31:
            return f"{word!r}: the index is too large"
        if _number(value) is None:
            return f"{word!r}: the value is no finite number"
        last = int(index)
    return ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
