"""Batch-norm statistics that belong to averaged weights, and passes that leave no trace."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from aswa.averaging import (
    ASWA,
    EMA,
    SGD,
    SWA,
    Averager,
    Decision,
    EarlyStopping,
    PolynomialDecay,
    ReleasedASWA,
    recompute_batch_norm,
)
from drifting_model import METHODS, batch_norm_model, bits, drift, scores, small_model

pytestmark = pytest.mark.numeric

SCORERS = (ASWA, ReleasedASWA)
UNSCORED = (SWA, EMA, PolynomialDecay)


def test_batch_norm_statistics_are_those_of_the_data() -> None:
    """Against torch's update_bn, and the mean by hand over batches of equal size."""
    model, batches = batch_norm_model(), [torch.randn(16, 3) * 3 + 1 for _ in range(4)]
    theirs = copy.deepcopy(model)
    update_bn(batches, theirs)
    random_state = torch.get_rng_state()
    recompute_batch_norm(model, [(x, "a label") for x in batches])
    assert torch.equal(torch.get_rng_state(), random_state)  # dropout drew nothing
    assert model.training
    assert model[1].momentum == 0.1
    inputs = model[0](torch.cat(batches)).detach()
    torch.testing.assert_close(model[1].running_mean, inputs.mean(0))
    torch.testing.assert_close(model[1].running_mean, theirs[1].running_mean)
    torch.testing.assert_close(model[1].running_var, theirs[1].running_var)


def test_the_look_ahead_is_scored_with_its_own_batch_norm_statistics() -> None:
    model, batches = batch_norm_model(), [torch.randn(32, 3)]
    aswa = ASWA(model, batches=batches)
    aswa.update(model, lambda _: 0.1)
    drift(model)
    seen: list[nn.Module] = []

    def evaluate(module: nn.Module) -> float:
        seen.append(copy.deepcopy(module))
        return 0.2 if module is not model else 0.0

    assert aswa.update(model, evaluate) is Decision.SOFT
    look_ahead = seen[1]
    expected = copy.deepcopy(look_ahead)
    recompute_batch_norm(expected, batches)
    torch.testing.assert_close(look_ahead[1].running_mean, expected[1].running_mean)
    assert bits(aswa.module) == bits(look_ahead)


def test_no_batch_norm_no_batches() -> None:
    """Without batch-norm the training data is not touched; a spent iterator is an error."""

    def explode():  # type: ignore[no-untyped-def]
        pytest.fail("batches were read")
        yield

    model = small_model()
    aswa = ASWA(model, batches=explode())
    for _ in range(3):
        aswa.update(model, lambda _: 0.5)
    with pytest.raises(ValueError, match="got no batch"):
        recompute_batch_norm(batch_norm_model(), iter([]))


def statistics(module: nn.Module) -> list[bytes]:
    return [buffer.numpy().tobytes() for buffer in module.buffers()]


@pytest.mark.parametrize("cls", UNSCORED)
def test_members_have_statistics_of_their_own_weights(cls: type[Averager]) -> None:
    """Recomputed once for each version of the weights, and not again after a resume."""
    model, passes = batch_norm_model(), []
    data = [torch.randn(16, 3) for _ in range(2)]

    class Batches:
        def __iter__(self):  # type: ignore[no-untyped-def]
            passes.append(1)
            return iter(data)

    averager = cls(model, batches=Batches())
    assert averager.members() == [averager.module]
    assert statistics(averager.module) == statistics(model)  # the running model's are its own
    for epoch in range(3):
        drift(model)
        averager.step(model)
        averager.update(model, lambda _: 0.0)
        expected = copy.deepcopy(averager._weights.module)
        recompute_batch_norm(expected, data)
        for _ in range(2):
            assert statistics(averager.members()[0]) == statistics(expected)
        assert len(passes) == epoch + 1
    resumed = cls(model, batches=Batches())
    resumed.load_state_dict(averager.state_dict())
    assert bits(resumed.members()[0]) == bits(averager.module)
    assert len(passes) == 3


@pytest.mark.parametrize("cls", [SGD, EarlyStopping, *SCORERS])
def test_weights_that_were_scored_keep_the_statistics_they_were_scored_with(
    cls: type[Averager],
) -> None:
    model = batch_norm_model()
    averager = cls(model, batches=[torch.randn(16, 3)])
    for pair in ((0.1, 0.0), (0.2, 0.3), (0.9, 0.0)):
        drift(model)
        averager.update(model, scores(*pair))
        kept = statistics(averager.module)
        assert statistics(averager.members()[0]) == kept


class TwoInputs(nn.Module):
    """Takes named inputs, as many models of text do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.weight = nn.Parameter(torch.randn(3))

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        return self.norm(left * self.weight + right) * scale


@pytest.mark.parametrize("cls", [*UNSCORED, *SCORERS])
@pytest.mark.parametrize("named", [True, False])
def test_dicts_and_own_forward_reach_every_method(cls: type[Averager], named: bool) -> None:
    model, pair = TwoInputs(), (torch.randn(8, 3), torch.randn(8, 3))
    if named:
        options = {"batches": [{"left": pair[0], "right": pair[1], "scale": 2.0}]}
    else:
        options = {"batches": [pair], "forward": lambda module, batch: module(*batch)}
    averager = cls(model, **options)
    for value in (0.1, 0.2):
        drift(model)
        averager.step(model)
        averager.update(model, scores(0.0, value))
    (module,) = averager.members()
    inputs = (pair[0] * module.weight + pair[1]).detach()
    torch.testing.assert_close(module.norm.running_mean, inputs.mean(0))
    torch.testing.assert_close(module.norm.running_var, inputs.var(0))


@pytest.mark.parametrize("cls", [None, *METHODS])
@pytest.mark.parametrize("own_generator", [True, False])
def test_a_shuffling_loader_of_batches_changes_no_training(
    cls: type[Averager] | None, own_generator: bool
) -> None:
    """README's advice, with the training loader itself: bit for bit the run without averager."""
    data = TensorDataset(torch.arange(48.0).reshape(16, 3) / 48, torch.zeros(16, 2))

    def train(watched: bool) -> list[bytes]:
        torch.manual_seed(0)
        model = batch_norm_model()
        generator = torch.Generator().manual_seed(1) if own_generator else None
        loader = DataLoader(data, batch_size=4, shuffle=True, generator=generator)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        averager = cls(model, batches=loader) if watched and cls else None
        for epoch in range(3):
            for inputs, targets in loader:
                loss = (model(inputs) - targets).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if averager:
                    averager.step(model)
            if averager:
                averager.update(model, scores(0.0, epoch / 3))
                averager.members()
        return bits(model)

    assert train(watched=True) == train(watched=False)


@pytest.mark.parametrize("cls", METHODS)
def test_averaged_statistics_are_said_once(cls: type[Averager]) -> None:
    """By every method that averages, where its average is first scored or offered."""
    model = batch_norm_model()
    averager = cls(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for value in (0.1, 0.2, 0.3):
            drift(model)
            averager.step(model)
            averager.update(model, scores(0.0, value))
            averager.members()
            assert averager.module
    averages = cls not in (SGD, EarlyStopping)
    assert [w.category for w in caught] == [UserWarning] * averages
    assert all("batches=loader" in str(w.message) for w in caught)
    assert all(w.filename == __file__ for w in caught)  # the line of the caller


@pytest.mark.parametrize("cls", UNSCORED)
def test_a_module_read_before_its_members_is_said_once(cls: type[Averager]) -> None:
    model = batch_norm_model()
    averager = cls(model, batches=[torch.randn(4, 3)])
    averager.step(model)
    averager.update(model, lambda _: 0.0)
    with pytest.warns(UserWarning, match=r"members\(\)") as caught:
        stale = averager.module
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert averager.members() == [stale]
        assert averager.module is stale


@pytest.mark.parametrize("cls", METHODS)
def test_without_batch_norm_nothing_is_said(cls: type[Averager]) -> None:
    model = small_model()
    averager = cls(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (0.1, 0.2):
            averager.step(model)
            averager.update(model, scores(0.0, value))
            assert averager.members() == [averager.module]
