"""Winograd's convolution beside torch's direct one."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aswa.models.image.winograd import WinogradConv2d, winograd_conv2d, with_winograd

# Sides with tiles of 4 × 4, of 2 × 2, one tile only, several of them, height unlike width.
SHAPES = [(8, 8), (4, 4), (4, 12), (2, 2), (6, 6), (6, 10), (4, 2)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_value_and_gradients_are_those_of_the_direct_sum(
    height: int, width: int, layout: torch.memory_format
) -> None:
    """In fp64, where rounding cannot hide a wrong border or a tile in a wrong place."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    x = torch.randn(3, 5, height, width, dtype=torch.float64, generator=generator)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, generator=generator)
    towards = torch.randn(3, 7, height, width, dtype=torch.float64, generator=generator)
    results = []
    for convolve in (lambda x, w: F.conv2d(x, w, padding=1), winograd_conv2d):
        inputs = [x.to(memory_format=layout).requires_grad_(), weight.clone().requires_grad_()]
        out = convolve(*inputs)
        results.append((out, *torch.autograd.grad(out, inputs, towards)))
    for ours, direct in zip(*reversed(results), strict=True):
        torch.testing.assert_close(ours, direct, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("side", "worst"), [(8, 5e-6), (2, 1e-6)])
def test_the_error_in_fp32_is_what_the_documentation_says(side: int, worst: float) -> None:
    """Relative to the norm of the result, of activations and weights of a VGG at its start."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 256, side, side, generator=generator).relu()
    weight = torch.randn(256, 256, 3, 3, generator=generator) * (2 / (9 * 256)) ** 0.5
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    error = (winograd_conv2d(x, weight).double() - exact).norm() / exact.norm()
    assert error < worst


def test_only_convolutions_that_gain_by_it_are_changed() -> None:
    """Others stay, parameters are the same objects, and a copy is a copy."""
    model = nn.Sequential(
        nn.Conv2d(3, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3, stride=2, padding=1),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1),
    )
    x = torch.randn(2, 3, 8, 8)
    before, parameters = model(x), list(model.parameters())
    changed = with_winograd(model)
    assert [type(m) is WinogradConv2d for m in changed] == [True, False, False, False, True]
    assert all(a is b for a, b in zip(changed.parameters(), parameters, strict=True))
    torch.testing.assert_close(changed(x), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(copy.deepcopy(changed)(x), changed(x), rtol=0, atol=0)


def test_what_follows_may_change_the_result_in_place() -> None:
    """As wide residual networks do, whose convolutions have no bias."""
    layer = with_winograd(nn.Sequential(nn.Conv2d(128, 128, 3, padding=1, bias=False)))
    x = torch.randn(2, 128, 4, 4, requires_grad=True)
    expected = torch.autograd.grad((layer(x) + x).relu().square().sum(), x)
    (changed,) = torch.autograd.grad(layer(x).add_(x).relu_().square().sum(), x)
    torch.testing.assert_close(changed, expected[0])


def test_elsewhere_the_convolution_is_torchs() -> None:
    """Few channels for the size, odd sides, half precision: bit for bit what `Conv2d` gives."""
    layer = nn.Conv2d(128, 128, 3, padding=1)
    x = torch.randn(2, 128, 4, 4)
    large, odd = torch.randn(1, 128, 32, 32), torch.randn(2, 128, 5, 5)
    direct = [layer(large), layer(odd), layer.double()(x.double())]
    with_winograd(nn.Sequential(layer.float()))
    ours = [layer(large), layer(odd), layer.double()(x.double())]
    assert all(torch.equal(a, b) for a, b in zip(ours, direct, strict=True))
    layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="5 × 5 cannot be cut into tiles"):
        winograd_conv2d(odd, layer.weight)
