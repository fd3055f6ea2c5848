"""CIFAR files in all their forms, what is wrong with them, the validation list, crops and flips."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aswa.config import load
from aswa.data.augmentation import crop_and_flip, draw_crops, normalise
from aswa.data.cifar import Cifar, read_cifar
from aswa.data.validation_split import split_indices
from cifar_forms import FORMS, SUBFOLDERS, noise, packed_form, python_form


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_arrays(form: str, classes: int, tmp_path: Path) -> None:
    """In the folder itself, or in one named as in the publisher's archive."""
    data = noise(classes)
    FORMS[form](tmp_path, classes, data)
    places = [tmp_path]
    if name := SUBFOLDERS.get((form, classes)):
        shutil.copytree(tmp_path, tmp_path / "inside" / name)
        places.append(tmp_path / "inside")
    sums = {split: hashlib.sha256(pixels).hexdigest() for split, (pixels, _) in data.items()}
    for place in places:
        found = read_cifar(place, classes, sums, {"train": 100, "test": 100})
        for split, (pixels, labels) in data.items():
            images = getattr(found, f"{split}_images")
            assert images.dtype == torch.uint8
            assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), pixels)
            assert getattr(found, f"{split}_labels").tolist() == labels.tolist()


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, data_dir: Path) -> Cifar:
    """With the checksums and counts of conf/dataset; its parameter is 10 or 100."""
    name = f"cifar{request.param}"
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name} in {data_dir}")
    options = load([f"dataset={name}", "model=vgg16", "lr=1"]).dataset.options
    return read_cifar(data_dir / name, request.param, options["sha256"], options["images"])


# Of the publisher's binary files: md5 of CIFAR-10, SHA-1 of CIFAR-100.
PUBLISHED = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    "train.bin": "e207cd2e05b73b1393c74c7f5e7bea451d63e08e",
    "test.bin": "8fb6623e830365ff53cf14adec797474f5478006",
}


@pytest.mark.slow
@pytest.mark.parametrize("real", [10, 100], indirect=True)
@pytest.mark.parametrize("form", ["binary", "python"])
def test_the_real_images_are_the_published_ones_in_every_form(
    form: str, real: Cifar, data_dir: Path, tmp_path: Path
) -> None:
    """Written as binary files they have the published checksums; read again they are equal."""
    classes = len(real.train_labels.unique())
    data = {
        split: (getattr(real, f"{split}_images").permute(0, 2, 3, 1).numpy(),
                getattr(real, f"{split}_labels").numpy())
        for split in ("train", "test")
    }  # fmt: skip
    coarse_classes = data_dir / "cifar100" / "fine_to_coarse.npy"
    if classes == 100 and not coarse_classes.is_file():
        pytest.skip(f"no {coarse_classes}, which the binary form has and the reader leaves out")
    FORMS[form](tmp_path, classes, data, *([np.load(coarse_classes)] if classes == 100 else []))
    if form == "binary":
        algorithm = "md5" if classes == 10 else "sha1"
        for path in tmp_path.iterdir():
            assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == PUBLISHED[path.name]
    again = read_cifar(tmp_path, classes)
    assert all(torch.equal(found, getattr(real, name)) for name, found in vars(again).items())


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
    ("form", "classes", "name"),
    [
        ("python", 10, "data_batch_3"),
        ("binary", 10, "test_batch.bin"),
        ("packed", 10, "train_images.tar"),
        ("packed", 10, "test_labels.npy"),
        ("python", 100, "test"),
        ("binary", 100, "train.bin"),
        ("packed", 100, "test_images.tar"),
    ],
)
def test_a_damaged_file_is_named(
    form: str, classes: int, name: str, how: str, tmp_path: Path
) -> None:
    """And nothing of the folder is used."""
    FORMS[form](tmp_path, classes, noise(classes))
    damage(tmp_path / name, how)
    if (name, how) in (("train_images.tar", "missing"), ("train.bin", "missing")):
        with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
            read_cifar(tmp_path, classes)
        return
    with pytest.raises(ValueError, match=str(tmp_path / name)):
        read_cifar(tmp_path, classes)


@pytest.mark.parametrize(("classes", "name"), [(10, "data_batch_1"), (100, "train")])
def test_a_pickle_runs_no_code(
    classes: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    python_form(tmp_path, classes, noise(classes))
    (tmp_path / name).write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=rf"{name}.*posix\.system"):
        read_cifar(tmp_path, classes)
    assert not Path("stolen").exists()


def test_other_content_than_published_is_refused(tmp_path: Path) -> None:
    """Other classes, another number of images, other pixels."""
    packed_form(tmp_path, 100, noise(100))
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


@pytest.mark.parametrize("real", [10], indirect=True)
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


@pytest.mark.parametrize("real", [10], indirect=True)
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
