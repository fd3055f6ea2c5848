"""The interface of torch.optim.swa_utils, over our methods."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import swa_utils

from aswa.averaging import ASWA, EMA, SWA, AveragedModel

pytestmark = pytest.mark.numeric


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


def walk(model: nn.Module, steps: int, seed: int = 1) -> Any:
    """Weights that move at random, once an epoch."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape, generator=generator), alpha=0.3)
        yield


def closeness(module: nn.Module) -> float:
    return -float(sum((p - 1).square().sum() for p in module.parameters()))


@pytest.mark.parametrize(
    ("method", "options", "torchs"),
    [
        (SWA, {}, {}),
        (EMA, {"decay": 0.9}, {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)}),
    ],
)
def test_weights_are_those_of_torch(method: Any, options: Any, torchs: Any) -> None:
    """Also the batch-norm statistics that torch's `update_bn` makes."""
    model, loader = net(), [torch.randn(8, 4) for _ in range(3)]
    ours, theirs = AveragedModel(model, method, **options), swa_utils.AveragedModel(model, **torchs)
    for _ in walk(model, 7):
        ours.update_parameters(model)
        theirs.update_parameters(model)
    for averaged in (ours, theirs):
        swa_utils.update_bn(loader, averaged)
    assert ours.n_averaged == theirs.n_averaged == 7
    expected = theirs.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)
    x = torch.randn(5, 4)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)


def test_a_resumed_model_goes_on_exactly() -> None:
    model = net().pop(0)
    straight = AveragedModel(model, evaluate=closeness)
    assert isinstance(straight.averager, ASWA)
    decisions: list[Any] = []
    for epoch, _ in enumerate(walk(model, 8)):
        if epoch == 4:
            file = io.BytesIO()
            torch.save(straight.state_dict(), file)
            half = copy.deepcopy(model)
        straight.update_parameters(model)
        decisions.append(straight.averager.decision)
    file.seek(0)
    resumed = AveragedModel(half, evaluate=closeness)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    other = net().pop(0)
    for epoch, _ in enumerate(walk(other, 8)):
        if epoch >= 4:
            resumed.update_parameters(other)
            assert resumed.averager.decision == decisions[epoch]
    assert resumed.n_averaged == straight.n_averaged
    for name, tensor in straight.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], tensor)


def test_a_method_that_scores_needs_a_score() -> None:
    with pytest.raises(ValueError, match="evaluate="):
        AveragedModel(net())
