"""CIFAR files in all their forms, what is wrong with them, the validation list, crops and flips."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from aswa.data.augmentation import crop_and_flip, draw_crops, normalise
from aswa.data.cifar import Cifar, read_cifar
from aswa.data.validation_split import split_indices

SEED = np.random.Generator(np.random.PCG64(0))
PIXELS = {"train": SEED.integers(0, 256, (100, 32, 32, 3), np.uint8),
          "test": SEED.integers(0, 256, (20, 32, 32, 3), np.uint8)}  # fmt: skip
NAMES = {10: {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
         100: {"train": ["train"], "test": ["test"]}}  # fmt: skip
COUNTS = {"train": 100, "test": 20}


def labels(split: str, classes: int) -> np.ndarray:
    """All classes that fit occur."""
    return np.arange(len(PIXELS[split]) * 5)[::5][: len(PIXELS[split])] // 5 % classes


class Python2Pickler(pickle._Pickler):  # type: ignore[misc,name-defined]
    """Writes bytes as Python 2 wrote its strings, which is what the published files hold."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def python_form(folder: Path, classes: int) -> None:
    """As the publisher's: pickles of Python 2, pixels by channel."""
    for split, stems in NAMES[classes].items():
        parts = zip(stems, np.array_split(np.arange(len(PIXELS[split])), len(stems)), strict=True)
        for stem, part in parts:
            pixels = PIXELS[split][part].transpose(0, 3, 1, 2).reshape(len(part), 3072)
            found = [int(label) for label in labels(split, classes)[part]]
            key = b"labels" if classes == 10 else b"fine_labels"
            batch = {b"data": pixels, key: found, b"coarse_labels": found, b"filenames": [b"x"]}
            with (folder / stem).open("wb") as file:
                Python2Pickler(file, protocol=2).dump(batch)


def binary_form(folder: Path, classes: int) -> None:
    for split, stems in NAMES[classes].items():
        for stem, part in zip(
            stems, np.array_split(np.arange(len(PIXELS[split])), len(stems)), strict=True
        ):
            columns = [labels(split, classes)[part].astype(np.uint8)[:, None]]
            columns = columns if classes == 10 else [columns[0] // 5, *columns]
            columns.append(PIXELS[split][part].transpose(0, 3, 1, 2).reshape(len(part), 3072))
            (folder / f"{stem}.bin").write_bytes(np.concatenate(columns, 1).tobytes())


def packed_form(folder: Path, classes: int) -> None:
    for split, pixels in PIXELS.items():
        with tarfile.open(folder / f"{split}_images.tar", "w") as archive:
            for i, part in enumerate(np.array_split(pixels, 3)):
                buffer = io.BytesIO()
                Image.fromarray(part.reshape(-1, 32, 3)).save(buffer, "PNG")
                member = tarfile.TarInfo(f"{i}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(member, buffer)
        np.save(folder / f"{split}_labels.npy", labels(split, classes).astype(np.uint8))


FORMS = {"python": python_form, "binary": binary_form, "packed": packed_form}
SUBFOLDERS = {
    ("python", 10): "cifar-10-batches-py",
    ("binary", 10): "cifar-10-batches-bin",
    ("python", 100): "cifar-100-python",
    ("binary", 100): "cifar-100-binary",
}


@pytest.fixture(autouse=True)
def enough_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 100 classes the test split has to show all of them."""
    more = np.resize(PIXELS["test"], (100, 32, 32, 3))
    monkeypatch.setitem(PIXELS, "test", more)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_arrays(form: str, classes: int, tmp_path: Path) -> None:
    """In the folder itself, or in one named as in the publisher's archive."""
    FORMS[form](tmp_path, classes)
    places = [tmp_path]
    if name := SUBFOLDERS.get((form, classes)):
        shutil.copytree(tmp_path, tmp_path / "inside" / name)
        places.append(tmp_path / "inside")
    sums = {split: hashlib.sha256(pixels).hexdigest() for split, pixels in PIXELS.items()}
    for place in places:
        data = read_cifar(place, classes, sums, {"train": 100, "test": 100})
        for split in PIXELS:
            images = getattr(data, f"{split}_images")
            assert images.dtype == torch.uint8
            assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), PIXELS[split])
            assert getattr(data, f"{split}_labels").tolist() == list(labels(split, classes))


@pytest.fixture(scope="module")
def real(data_dir: Path) -> Cifar:
    return read_cifar(data_dir / "cifar10", 10)


def test_the_real_images_are_the_published_ones(real: Cifar) -> None:
    """md5 of the publisher's binary files, made again from what was read."""
    published = {
        "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
    }
    batches = zip(real.train_images.split(10_000), real.train_labels.split(10_000), strict=True)
    found = {f"data_batch_{i}": batch for i, batch in enumerate(batches, 1)}
    found["test_batch"] = (real.test_images, real.test_labels)
    for name, md5 in published.items():
        images, classes = found[name]
        rows = torch.cat([classes.to(torch.uint8)[:, None], images.flatten(1)], 1)
        assert hashlib.md5(rows.numpy()).hexdigest() == md5


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch stolen",)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2 + 7])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(b"\x80garbage" * 500)
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["cut", "empty", "garbage", "missing"])
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("python", "data_batch_3"),
        ("binary", "test_batch.bin"),
        ("packed", "train_images.tar"),
        ("packed", "test_labels.npy"),
    ],
)
def test_a_damaged_file_is_named(form: str, name: str, how: str, tmp_path: Path) -> None:
    """And nothing of the folder is used."""
    FORMS[form](tmp_path, 10)
    damage(tmp_path / name, how)
    if (name, how) == ("train_images.tar", "missing"):
        with pytest.raises(FileNotFoundError, match=r"train_images\.tar"):
            read_cifar(tmp_path, 10)
        return
    with pytest.raises(ValueError, match=str(tmp_path / name)):
        read_cifar(tmp_path, 10)


def test_a_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python_form(tmp_path, 10)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=r"data_batch_1.*posix\.system"):
        read_cifar(tmp_path, 10)
    assert not Path("stolen").exists()


def test_other_content_than_published_is_refused(tmp_path: Path) -> None:
    """Other classes, another number of images, other pixels."""
    packed_form(tmp_path, 100)
    with pytest.raises(ValueError, match=r"100 classes.*dataset\.classes=10"):
        read_cifar(tmp_path, 10)
    with pytest.raises(ValueError, match="50,000"):
        read_cifar(tmp_path, 100, images={"train": 50_000})
    with pytest.raises(ValueError, match="sha256"):
        read_cifar(tmp_path, 100, {"train": "0" * 64})


def test_the_validation_list_never_changes() -> None:
    """Its first numbers; every size contains the smaller ones; train and validation are apart."""
    train, valid = split_indices(50_000, 0.05)
    assert valid[:5].tolist() == [66, 72, 94, 140, 157]
    assert (len(train), len(valid)) == (47_500, 2_500)
    assert sorted([*train.tolist(), *valid.tolist()]) == list(range(50_000))
    _, larger = split_indices(50_000, 0.3)
    assert set(valid.tolist()) < set(larger.tolist())
    fewer, same = split_indices(50_000, 0.05, 4_000)
    assert len(fewer) == 4_000
    assert torch.equal(same, valid)
    assert set(fewer.tolist()) < set(train.tolist())


@pytest.mark.parametrize(
    ("n", "ratio", "size"), [(50_001, 0.05, None), (50, 0.001, None), (50_000, 0.05, 47_501)]
)
def test_a_split_that_cannot_be(n: int, ratio: float, size: int | None) -> None:
    """More images than are listed, none held out, too few left."""
    with pytest.raises(ValueError):
        split_indices(n, ratio, size)


def test_crops_are_those_of_pillow(real: Cifar) -> None:
    """One image at a time, padded, cropped and mirrored by Pillow; given the same numbers."""
    images = real.train_images[:64]
    top, left, flip = draw_crops(64, torch.Generator().manual_seed(0))
    found = crop_and_flip(images, top, left, flip)
    for i in range(64):
        picture = Image.fromarray(images[i].permute(1, 2, 0).numpy())
        canvas = Image.new("RGB", (40, 40))
        canvas.paste(picture, (4, 4))
        a, b = int(left[i]), int(top[i])
        crop = canvas.crop((a, b, a + 32, b + 32))
        if flip[i]:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert np.array_equal(np.asarray(crop), found[i].permute(1, 2, 0).numpy())


def test_crops_are_distributed_as_those_of_torchvision() -> None:
    """Offsets uniform in 0 … 8, independent, half of the images mirrored; by χ² at 5 σ."""
    n = 81 * 2 * 400
    top, left, flip = draw_crops(n, torch.Generator().manual_seed(1))
    counts = torch.bincount((top * 9 + left) * 2 + flip, minlength=162).double()
    assert len(counts) == 162
    chi2 = ((counts - 400).square() / 400).sum()
    assert abs(chi2 - 161) < 5 * (2 * 161) ** 0.5


def test_torchvision_agrees(real: Cifar) -> None:
    """Its own crop, flip and normalisation, where it is installed for this torch."""
    try:
        from torchvision.transforms import functional
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    images = real.train_images[:32]
    top, left, flip = draw_crops(32, torch.Generator().manual_seed(0))
    found = normalise(crop_and_flip(images, top, left, flip), torch.tensor(mean), torch.tensor(std))
    for i in range(32):
        picture = functional.pad(Image.fromarray(images[i].permute(1, 2, 0).numpy()), [4])
        crop = functional.crop(picture, int(top[i]), int(left[i]), 32, 32)
        crop = functional.hflip(crop) if flip[i] else crop
        expected = functional.normalize(functional.to_tensor(crop), mean, std)
        torch.testing.assert_close(found[i], expected, rtol=1e-6, atol=1e-6)
