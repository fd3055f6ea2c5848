"""Writes CIFAR in each of the forms in which it is kept, and the noise that most tests write."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

# Split → pixels uint8 [n, 32, 32, 3], labels [n].
Data = Mapping[str, tuple[np.ndarray, np.ndarray]]

STEMS = {10: {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
         100: {"train": ["train"], "test": ["test"]}}  # fmt: skip
SUBFOLDERS = {
    ("python", 10): "cifar-10-batches-py",
    ("binary", 10): "cifar-10-batches-bin",
    ("python", 100): "cifar-100-python",
    ("binary", 100): "cifar-100-binary",
}
FIVE_EACH = np.arange(100, dtype=np.uint8) // 5  # a coarse class for every fine one


def noise(classes: int) -> Data:
    """100 training and 100 test images, in which all classes occur."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(100) % classes
    return {
        split: (generator.integers(0, 256, (100, 32, 32, 3), np.uint8), labels)
        for split in ("train", "test")
    }


class Python2Pickler(pickle._Pickler):  # type: ignore[misc,name-defined]
    """Writes bytes as Python 2 wrote its strings, which is what the published files hold."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def batches(classes: int, data: Data) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, pixels [n, 3072] by channel and labels uint8 [n] of each of the publisher's files."""
    for split, stems in STEMS[classes].items():
        pixels, labels = data[split]
        for stem, part in zip(
            stems, np.array_split(np.arange(len(labels)), len(stems)), strict=True
        ):
            planes = pixels[part].transpose(0, 3, 1, 2).reshape(len(part), 3072)
            yield stem, planes, labels[part].astype(np.uint8)


def python_form(folder: Path, classes: int, data: Data, coarse: np.ndarray = FIVE_EACH) -> None:
    """As the publisher's: pickles of Python 2, labels in lists."""
    for stem, planes, labels in batches(classes, data):
        batch = {b"data": planes, b"filenames": [b"x"]}
        if classes == 10:
            batch |= {b"labels": labels.tolist()}
        else:
            batch |= {b"coarse_labels": coarse[labels].tolist(), b"fine_labels": labels.tolist()}
        with (folder / stem).open("wb") as file:
            Python2Pickler(file, protocol=2).dump(batch)


def binary_form(folder: Path, classes: int, data: Data, coarse: np.ndarray = FIVE_EACH) -> None:
    """Rows of a label, or of a coarse and a fine one, and pixels."""
    for stem, planes, labels in batches(classes, data):
        columns = [labels] if classes == 10 else [coarse[labels], labels]
        rows = np.concatenate([np.stack(columns, 1), planes], 1)
        (folder / f"{stem}.bin").write_bytes(rows.tobytes())


def packed_form(folder: Path, classes: int, data: Data) -> None:
    """Archives of pictures, three each."""
    for split, (pixels, labels) in data.items():
        with tarfile.open(folder / f"{split}_images.tar", "w") as archive:
            for i, part in enumerate(np.array_split(pixels, 3)):
                buffer = io.BytesIO()
                Image.fromarray(part.reshape(-1, 32, 3)).save(buffer, "PNG")
                member = tarfile.TarInfo(f"{i}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(member, buffer)
        np.save(folder / f"{split}_labels.npy", labels.astype(np.uint8))


FORMS = {"python": python_form, "binary": binary_form, "packed": packed_form}
