"""CIFAR-10 and CIFAR-100 from any of the forms in which they are kept, always the same arrays.

| form | files of a folder, or of a folder in it that is named as in the publisher's archives |
| --- | --- |
| python | `data_batch_1` … `data_batch_5`, `test_batch`; CIFAR-100: `train`, `test` |
| binary | the same names with `.bin` |
| packed | `train_images.tar`, `train_labels.npy`; the same for `test` |

The archives of the packed form hold lossless pictures of many images, one below the other, in the
order of their names. The python form consists of pickles, which are read by an unpickler that knows
arrays and nothing else, so that a file from a stranger cannot run code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SIZE = 32  # pixels of an image's side
PIXELS = 3 * SIZE * SIZE
STEMS = {
    10: {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
    100: {"train": ["train"], "test": ["test"]},
}
FOLDERS = {
    10: ("cifar-10-batches-py", "cifar-10-batches-bin"),
    100: ("cifar-100-python", "cifar-100-binary"),
}
UNREADABLE = (pickle.UnpicklingError, tarfile.TarError, EOFError)
Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 [n, 3, 32, 32], labels [n]


@dataclass(frozen=True)
class Cifar:
    """Images and classes, in the publisher's order.

    Attributes:
        train_images, test_images: uint8 [n, 3, 32, 32], red, green, blue.
        train_labels, test_labels: int64 [n].
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def read_cifar(
    folder: Path,
    classes: int,
    sha256: Mapping[str, str | None] | None = None,
    images: Mapping[str, int | None] | None = None,
) -> Cifar:
    """Read both splits of a folder, and check them.

    Args:
        folder: in one of the forms above.
        classes: 10 or 100, which decides on the names of files.
        sha256: by split (train, test), of the pixels as uint8 [n, 32, 32, 3]; None: not known.
        images: number of images by split; None: not known.

    Raises:
        FileNotFoundError: the folder has none of the forms; says what was looked for.
        ValueError: a file is damaged, not the published one, or has other classes; names it.
    """
    form, paths = find_files(folder, classes)
    arrays = []
    for split in paths:
        if form == "packed":
            pictures, stored = paths[split]
            with _reading(pictures):
                pixels = _packed(pictures)
            with _reading(stored):
                labels = np.load(stored, allow_pickle=False)
        else:
            parts = []
            for path in paths[split]:
                with _reading(path):
                    parts.append((_pickled if form == "python" else _binary)(path, classes))
            pixels, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        where = f"{paths[split][0].parent}: {split} images"
        _check_counts(where, pixels, labels, classes, (images or {}).get(split))
        _check_sha256(where, pixels, (sha256 or {}).get(split))
        arrays += [torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))]
    return Cifar(*arrays)


def find_files(folder: Path, classes: int) -> tuple[str, dict[str, list[Path]]]:
    """The form of a folder's files, and the files of each split; some may be missing.

    Raises:
        FileNotFoundError, ValueError: as `read_cifar`.
    """
    if classes not in FOLDERS:
        raise ValueError(f"dataset.classes={classes}: CIFAR has 10 or 100")
    stems = STEMS[classes]
    forms = {
        "packed": {split: [f"{split}_images.tar", f"{split}_labels.npy"] for split in stems},
        "python": stems,
        "binary": {split: [f"{stem}.bin" for stem in stems[split]] for split in stems},
    }
    python, binary = FOLDERS[classes]
    for place in (folder, folder / python, folder / binary):
        for form, names in forms.items():
            if (place / names["train"][0]).is_file():
                return form, {split: [place / name for name in names[split]] for split in names}
    first = stems["train"][0]
    raise FileNotFoundError(
        f"{folder}: no CIFAR-{classes} in it; looked for {first}, {first}.bin and "
        f"train_images.tar there and in {python}/ and {binary}/"
    )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (*UNREADABLE, OSError, LookupError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: damaged ({reason}); get the file again") from None


class _ArraysOnly(pickle.Unpickler):
    """Knows what the published batches are made of: numpy arrays, and bytes for their content."""

    ALLOWED = (
        *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR batch does")
        return super().find_class(module, name)


def _pickled(path: Path, classes: int) -> Arrays:
    """A batch of the python form: a dictionary of data [n, 3072] and labels."""
    with path.open("rb") as file:
        batch = _ArraysOnly(file, encoding="bytes").load()
    pixels = np.asarray(batch[b"data"])
    labels = np.asarray(batch[b"labels" if classes == 10 else b"fine_labels"])
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise ValueError(f"data of {pixels.dtype} {pixels.shape} for {len(labels)} labels")
    return pixels.reshape(-1, 3, SIZE, SIZE), labels


def _binary(path: Path, classes: int) -> Arrays:
    """Rows of labels and pixels; the last label is the class, CIFAR-100 has a coarser one too."""
    content = np.fromfile(path, np.uint8)
    n_labels = 1 if classes == 10 else 2
    row = n_labels + PIXELS
    if not len(content) or len(content) % row:
        raise ValueError(f"{len(content):,} bytes are not a number of images of {row:,}")
    rows = content.reshape(-1, row)
    return rows[:, n_labels:].reshape(-1, 3, SIZE, SIZE), rows[:, n_labels - 1]


def _packed(path: Path) -> np.ndarray:
    """Pictures in the order of their names."""
    from PIL import Image

    pictures = []
    with tarfile.open(path, "r:") as archive:
        for name in sorted(archive.getnames()):
            member = archive.extractfile(name)
            if member is None:
                raise ValueError(f"{name} is no picture")
            picture = np.asarray(Image.open(io.BytesIO(member.read())).convert("RGB"))
            pictures.append(picture.reshape(-1, SIZE, SIZE, 3))
    return np.ascontiguousarray(np.concatenate(pictures).transpose(0, 3, 1, 2))


def _check_counts(
    where: str, pixels: np.ndarray, labels: np.ndarray, classes: int, expected: int | None
) -> None:
    if labels.shape != (len(pixels),) or (expected is not None and len(pixels) != expected):
        wanted = "" if expected is None else f"; {expected:,} of each are right"
        raise ValueError(
            f"{where}: {len(pixels):,} images and {labels.size:,} labels{wanted}; a file is cut or "
            "missing, get them again"
        )
    found = np.unique(labels)
    if found[0] < 0 or len(found) != classes or found[-1] != classes - 1:
        raise ValueError(
            f"{where}: {len(found)} classes, numbered {found[0]} to {found[-1]}, and the "
            f"configuration says dataset.classes={classes}"
        )


def _check_sha256(where: str, pixels: np.ndarray, expected: str | None) -> None:
    if not expected:
        return
    rows = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    if hashlib.sha256(rows.data).hexdigest() != expected:
        raise ValueError(
            f"{where}: not the published ones, the sha256 of their pixels is not "
            f"{expected[:12]}...; get them again, or describe your own version in a file of its "
            "own under conf/dataset/"
        )
