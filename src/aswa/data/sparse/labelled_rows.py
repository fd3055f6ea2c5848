"""Labelled sparse rows in three splits, and the file that holds sets of features.

`rows.bin.xz` holds rows of features that are there or not, as base-128 numbers: n, d, of each row
its label and split (label + 2 · split), of each row the number of its features, and of each feature
how many are skipped before it.
"""

from __future__ import annotations

import hashlib
import itertools
import lzma
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aswa.files import write_bytes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FILE = "rows.bin.xz"
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class LabelledRows:
    """X [n, d] CSR of float64, y in {−1, 1} [n], and the split of each row [n].

    Attributes:
        split: 0 train, 1 valid, 2 test.
    """

    X: csr_matrix
    y: NDArray[np.float64]
    split: NDArray[np.int8]

    def of(self, split: str) -> tuple[csr_matrix, NDArray[np.float64]]:
        """Rows and labels of a split, in their order."""
        from scipy.sparse import csr_matrix

        chosen = np.flatnonzero(self.split == SPLITS.index(split))
        return csr_matrix(self.X[chosen]), self.y[chosen]


def split_number(key: str, salt: str) -> int:
    """The split of a row, from a hash of `key`: 15 of 20 train, 1 valid, 4 test.

    Rows that belong together, such as copies, have one key.
    """
    part = int.from_bytes(hashlib.sha256(f"{salt} {key}".encode()).digest()[:8]) % 20
    return 0 if part < 15 else 1 if part == 15 else 2


def write_rows(
    path: Path,
    rows: Sequence[Iterable[int]],
    labels: Sequence[bool],
    splits: Sequence[int],
    features: int,
) -> str:
    """Write `rows.bin.xz`; the sha256 of its uncompressed bytes.

    Args:
        rows: the features of each row, from 0.
        labels: True is class 1.
        splits: see `LabelledRows`.
        features: d.
    """
    sets = [sorted(set(row)) for row in rows]
    codes = [int(label) + 2 * split for label, split in zip(labels, splits, strict=True)]
    gaps = [b - a - 1 for ids in sets for a, b in itertools.pairwise([-1, *ids])]
    numbers = [len(rows), features, *codes, *map(len, sets), *gaps]
    content = _base_128(np.array(numbers, np.int64))
    write_bytes(path, lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return hashlib.sha256(content).hexdigest()


def read_content(path: Path, sha256: str | None = None) -> bytes:
    """The uncompressed bytes of `rows.bin.xz`.

    Raises:
        ValueError: the file is damaged, or its content has another sha256; names it.
    """
    try:
        content = lzma.decompress(path.read_bytes())
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); get the file again") from None
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise ValueError(f"{path}: not the published rows; expected sha256 {sha256}")
    return content


def read_rows(path: Path, sha256: str | None = None) -> LabelledRows:
    """Read `rows.bin.xz`. ValueError: see `read_content`."""
    from scipy.sparse import csr_matrix

    content = read_content(path, sha256)
    numbers = _numbers(content)
    n, d = int(numbers[0]), int(numbers[1])
    codes, counts = numbers[2 : n + 2], numbers[n + 2 : 2 * n + 2]
    starts = np.concatenate([[0], np.cumsum(counts)])
    steps = np.cumsum(numbers[2 * n + 2 :] + 1)
    before = np.concatenate([[0], steps])[starts[:-1]]
    indices = (steps - np.repeat(before, counts) - 1).astype(np.int32)
    X = csr_matrix((np.ones(len(indices)), indices, starts), shape=(n, d))
    y = np.where(codes % 2 == 1, 1.0, -1.0)
    return LabelledRows(X, y, (codes // 2).astype(np.int8))


def _base_128(numbers: NDArray[np.int64]) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    sizes = np.ones(len(numbers), np.int64)
    for bits in range(7, 63, 7):
        sizes += numbers >= (1 << bits)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    content = np.zeros(starts[-1], np.uint8)
    for byte in range(int(sizes.max(initial=0))):
        longer = np.flatnonzero(sizes > byte)
        more = np.where(sizes[longer] > byte + 1, 128, 0)
        content[starts[longer] + byte] = (numbers[longer] >> (7 * byte)) % 128 + more
    return content.tobytes()


def _numbers(content: bytes) -> NDArray[np.int64]:
    """What `_base_128` was given."""
    stored = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(stored < 128)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    place = np.arange(int(ends[-1]) + 1) - np.repeat(starts, sizes)
    values = (stored[: len(place)] % 128).astype(np.int64) << (7 * place)
    return np.add.reduceat(values, starts)
