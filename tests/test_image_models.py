"""Image classifiers: published numbers of parameters, initial weights, what they refuse."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
import yaml
from torch import nn

from aswa.config.members import template
from aswa.files import conf_dir
from aswa.models import image
from aswa.registry import MODELS

pytestmark = pytest.mark.numeric

NAMES = [name for name in MODELS if template("model", name)["kind"] == "images"]
# VGG-16 and PreResNet-164 (100 classes) are those of the networks of Izmailov et al. 2018;
# WRN-28-10 is the 36.5 M of Zagoruyko and Komodakis 2016. The others follow by hand from these:
# a batch-norm has two numbers a channel, VGG-19 three more convolutions, 90 more classes 90 rows.
PARAMETERS = {
    ("vgg16", 10): 15_245_130,
    ("vgg16", 100): 15_245_130 + 90 * 513,
    ("vgg16_bn", 10): 15_245_130 + 2 * 4224,
    ("vgg19", 10): 15_245_130 + 9 * 256**2 + 256 + 2 * (9 * 512**2 + 512),
    ("vgg19_bn", 10): 15_245_130 + 9 * 256**2 + 256 + 2 * (9 * 512**2 + 512) + 2 * 5504,
    ("preresnet164", 100): 1_726_388,
    ("preresnet164", 10): 1_726_388 - 90 * 257,
    ("wide_resnet28x10", 10): 36_479_194,
}


def build(name: str, classes: int = 10, seed: int = 0, **changes: object) -> nn.Module:
    options = yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text())
    own = {
        key: options[key]
        for key in ("depth", "batch_norm", "channels", "widen", "dropout")
        if key in options
    }
    generator = torch.Generator().manual_seed(seed)
    return image.build(name, classes, generator=generator, **{**own, **changes})


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_parameters_are_as_many_as_published(name: str, classes: int) -> None:
    """So the architecture is the one whose results are compared."""
    with torch.device("meta"):
        model = build(name, classes)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name, classes]


def basic_stages(blocks: int, widen: int) -> int:
    """Parameters of a residual network of basic blocks, 10 classes, counted layer by layer.

    Args:
        blocks: in each of three stages.
        widen: factor of their 16, 32 and 64 channels.
    """
    before, total = 16, 9 * 3 * 16
    for out in (16 * widen, 32 * widen, 64 * widen):
        for _ in range(blocks):
            total += 9 * (before * out + out * out) + 2 * (before + out)
            total += before * out if before != out else 0  # the shortcut
            before = out
    return total + 2 * before + 10 * before + 10


@pytest.mark.parametrize(
    ("name", "options", "blocks", "widen"),
    [
        ("preresnet20", {}, 3, 1),
        ("wide_resnet10x2", {}, 1, 2),
        ("wide_resnet10x2", {"depth": 16, "widen": 1}, 2, 1),
    ],
)
def test_small_residual_networks_have_the_parameters_of_their_layers(
    name: str, options: dict[str, int], blocks: int, widen: int
) -> None:
    """ResNet-20 has 0.27 M (He et al., CVPR 2016, table 6)."""
    n = sum(p.numel() for p in build(name, **options).parameters())
    assert n == basic_stages(blocks, widen)
    if name == "preresnet20":
        assert round(n / 1e6, 2) == 0.27


def test_vgg11_has_the_layers_of_table_1() -> None:
    """Of full width: eight convolutions, then the classifier; a quarter of the width keeps them."""
    widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    for part in (1, 4):
        sizes = [3, *(width // part for width in widths[1:])]
        expected = sum(9 * a * b + b for a, b in pairwise(sizes))
        expected += sum(a * b + b for a, b in pairwise([sizes[-1]] * 3 + [10]))
        with torch.device("meta"):
            model = build("vgg11_small", channels=64 // part)
        assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_reach_everything(name: str) -> None:
    """Every parameter takes part in the loss; logits have one number a class.

    A bias before batch-norm has a gradient of 0, of which rounding errors are left.
    """
    small = {"preresnet110": {"depth": 20}, "preresnet164": {"depth": 29}}.get(name, {})
    small |= {"depth": 10, "widen": 2} if name == "wide_resnet28x10" else {}
    model = build(name, classes=7, **small).train()
    logits = model(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 7)
    logits.square().sum().backward()
    parts = list(model.modules())
    unused = {id(a.bias) for a, b in pairwise(parts) if isinstance(b, nn.BatchNorm2d)
              and isinstance(a, nn.Conv2d)}  # fmt: skip
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert id(parameter) in unused or parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["vgg16_bn", "preresnet110"])
def test_initial_weights_are_those_of_the_papers(name: str) -> None:
    """He's normal for convolutions, 1 and 0 for batch-norm, ±1/√in for linear, biases 0; seeded."""
    model, again, other = build(name), build(name), build(name, seed=1)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 30_000:
            expected = math.sqrt(2 / (layer.out_channels * layer.kernel_size[0] ** 2))
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
            assert abs(layer.weight.mean().item()) < 0.03 * expected
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            assert 0.95 * bound < layer.weight.abs().max() <= bound
        if getattr(layer, "bias", None) is not None:
            assert (layer.bias == 0).all()
    pairs = zip(model.parameters(), again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not torch.equal(next(model.parameters()), next(other.parameters()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vgg16", {"depth": 13}, "model.depth=13: must be one of 11, 16, 19"),
        ("vgg11_small", {"channels": 0}, "model.channels=0: must be at least 1"),
        ("preresnet20", {"depth": 11}, r"model.depth=11: must be 6n \+ 2"),
        ("preresnet164", {"depth": 100}, r"model.depth=100: must be 9n \+ 2"),
        ("wide_resnet28x10", {"depth": 27}, r"model.depth=27: must be 6n \+ 4"),
        ("wide_resnet28x10", {"widen": 0}, "model.widen=0: must be at least 1"),
        ("vgg16", {"widen": 2}, "model vgg16: .*widen"),
    ],
)
def test_what_a_model_cannot_be_is_said(name: str, change: dict[str, int], message: str) -> None:
    """With the values that it takes."""
    with pytest.raises(ValueError, match=message):
        build(name, **change)
