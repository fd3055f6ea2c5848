"""The protocol that all methods share: what they promise the loop around them."""

from __future__ import annotations

import copy
import io
import subprocess
import sys

import pytest
import torch
from torch import nn

import aswa
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
)
from drifting_model import METHODS, bits, drift, scores, small_model

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("cls", METHODS)
def test_what_every_method_declares(cls: type[Averager]) -> None:
    model = small_model()
    averager = cls(model)
    assert (averager.n_averaged, averager.version, averager.score) == (0, 0, None)
    assert (averager.decision, averager.last_scores) == (None, None)
    assert averager.should_stop is False
    averager.step(model)
    decision = averager.update(model, lambda _: 0.25)
    assert averager.decision is decision
    assert (decision is not None) == issubclass(cls, ASWA)
    assert averager.n_averaged == 1
    assert averager.version == 1
    assert averager.score == (0.25 if issubclass(cls, (ASWA, EarlyStopping)) else None)
    assert averager.members() == [averager.module]


@pytest.mark.parametrize("cls", [SWA, EMA, ASWA, ReleasedASWA, PolynomialDecay])
def test_before_the_first_average_the_module_is_a_copy_that_follows(cls: type[Averager]) -> None:
    model = small_model()
    averager = cls(model) if cls is EMA else cls(model, start=3)
    held = averager.module
    assert held is not model
    for _ in range(3):
        assert bits(held) == bits(model)
        drift(model)
        version = averager.version
        averager.update(model, lambda _: 0.0)
        assert averager.version == version + 1
    assert bits(held) == bits(model)
    assert averager.members() == [held]


def test_sgds_module_is_the_running_model() -> None:
    model = small_model()
    sgd = SGD(model)
    assert sgd.module is model
    sgd.update(model, lambda _: 0.0)
    assert sgd.members() == [model]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("early", [True, False])
def test_the_module_is_one_object_for_life(dtype: torch.dtype, early: bool) -> None:
    """What was held from the first epoch shows the ensemble, never a rejected look-ahead."""
    model = small_model(dtype)
    aswa = ASWA(model)
    held = [aswa.module] if early else []
    ensemble: list[bytes] = []
    for pair in ((0.1, 0.0), (0.0, 0.2), (0.0, 0.3), (0.0, 0.1), (0.9, 0.5), (0.0, 0.0)):
        drift(model)
        seen: list[nn.Module] = []
        looks: list[list[bytes]] = []

        def evaluate(module: nn.Module, seen=seen, looks=looks, pair=pair) -> float:  # type: ignore[no-untyped-def]
            seen.append(module)
            looks.append(bits(module))
            return pair[len(looks) - 1]

        decision = aswa.update(model, evaluate)
        held = held or [aswa.module]
        assert held[0] not in seen
        if decision is not Decision.REJECT:
            ensemble = looks[0 if decision is Decision.HARD else 1]
        assert aswa.module is held[0]
        assert bits(held[0]) == ensemble


@pytest.mark.parametrize("cls", METHODS)
def test_the_version_grows_when_the_offered_weights_change(cls: type[Averager]) -> None:
    """EMA's in `step`, all others' in `update`."""
    model = small_model()
    averager = cls(model)
    for epoch in range(6):
        drift(model)
        before, version = bits(averager.module), averager.version
        averager.step(model)
        assert averager.version == version + (cls is EMA)
        assert cls is EMA or bits(averager.module) == before
        before, version = bits(averager.module), averager.version
        averager.update(model, scores(0.5 if epoch == 2 else 0.1, 0.2 if epoch == 4 else 0.0))
        assert averager.version > version or (bits(averager.module) == before and cls is not SGD)
        assert averager.version == version or cls is not EMA


def test_a_rejection_that_is_not_restored_grows_the_version() -> None:
    model = small_model()
    released = ReleasedASWA(model)
    for pair in ((0.5, 0.5), (0.1, 0.2)):
        drift(model)
        decision = released.update(model, scores(*pair))
    assert (decision, released.version) == (Decision.REJECT, 2)


@pytest.mark.parametrize("cls", METHODS)
def test_averagers_only_watch(cls: type[Averager]) -> None:
    """Weights, gradients, modes and random state of the running model are left as they are."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()

    def rude(module: nn.Module) -> float:
        module.eval()
        return float(torch.rand(())) if next(module.parameters()).grad is None else 0.5

    averager = cls(model, batches=[torch.randn(8, 3)])
    for _ in range(4):
        drift(model)
        before, random_state = bits(model), torch.get_rng_state()
        averager.step(model)
        averager.update(model, rude)
        averager.members()
        assert bits(model) == before
        assert torch.equal(torch.get_rng_state(), random_state)
        assert [part.training for part in model] == [True, False, True]


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_state_round_trip_is_exact(cls: type[Averager], dtype: torch.dtype) -> None:
    """Going on from a saved state, through a file of plain tensors, is going on."""
    torch.manual_seed(0)
    model = small_model(dtype)
    straight, stopped = cls(model), cls(model)
    for epoch in range(8):
        drift(model)
        if epoch == 4:
            file = io.BytesIO()
            torch.save(stopped.state_dict(), file)
            file.seek(0)
            stopped = cls(model)
            stopped.load_state_dict(torch.load(file, weights_only=True))
        pair = torch.rand(2).tolist()
        for averager in (straight, stopped):
            scores = iter(pair)
            averager.step(model)
            averager.update(model, lambda _, s=scores: next(s))
    for a, b in zip(straight.module.parameters(), stopped.module.parameters(), strict=True):
        assert torch.equal(a, b)
    mine, theirs = straight.state_dict(), stopped.state_dict()
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if isinstance(value, dict):  # tensors by name
            assert all(torch.equal(tensor, theirs[key][name]) for name, tensor in value.items())
        else:
            assert value == theirs[key]


def test_a_state_of_something_else_is_refused() -> None:
    swa = SWA(small_model())
    swa.update(small_model(), lambda _: 0.0)
    with pytest.raises(ValueError, match="state of SWA, not EMA"):
        EMA(small_model()).load_state_dict(swa.state_dict())
    with pytest.raises(ValueError, match="cannot restore the average"):
        SWA(nn.Linear(2, 2)).load_state_dict(swa.state_dict())


def test_another_model_is_refused_by_name() -> None:
    swa = SWA(nn.Linear(2, 2))
    swa.update(nn.Linear(2, 2), lambda _: 0.0)
    with pytest.raises(ValueError, match=r"weight.*\(3, 2\) now, \(2, 2\) then"):
        swa.update(nn.Linear(2, 3), lambda _: 0.0)


@pytest.mark.parametrize("cls", METHODS)
def test_if_evaluate_raises_nothing_has_happened(cls: type[Averager]) -> None:
    """In the first and in the second evaluation of an epoch: going on is as if it had not been."""
    model = small_model()
    averager, untroubled = cls(model), cls(model)

    def breaks_at(n: int):  # type: ignore[no-untyped-def]
        values = iter([0.6] * (n - 1))

        def evaluate(module: nn.Module) -> float:
            try:
                return next(values)
            except StopIteration:
                raise RuntimeError("out of memory") from None

        return evaluate

    for epoch in range(5):
        drift(model)
        for each in (averager, untroubled):
            each.step(model)
        if issubclass(cls, (ASWA, EarlyStopping)):
            for n in (1, 2) if epoch and issubclass(cls, ASWA) else (1,):
                with pytest.raises(RuntimeError, match="out of memory"):
                    averager.update(model, breaks_at(n))
        for each in (averager, untroubled):
            each.update(model, scores(0.5 - epoch / 10, epoch / 5))
        assert bits(averager.module) == bits(untroubled.module)
        mine, theirs = averager.state_dict(), untroubled.state_dict()
        del mine["weights"], theirs["weights"]
        assert repr(mine) == repr(theirs)


def test_a_state_without_an_average_leaves_none() -> None:
    model = small_model()
    swa, empty = SWA(model), SWA(model).state_dict()
    swa.update(model, lambda _: 0.0)
    held = swa.module
    drift(model)
    swa.load_state_dict(empty)
    assert (swa.n_averaged, swa.version) == (0, 0)
    assert swa.module is held
    assert bits(held) == bits(model)
    with pytest.raises(ValueError, match=r"lacks.*version"):
        swa.load_state_dict({"method": "SWA", "weights": None, "n_averaged": 0})


class Noisy(SWA):
    """A toy of sampling: several members around the mean."""

    def members(self) -> list[nn.Module]:
        (mean,) = super().members()
        drawn = [copy.deepcopy(mean) for _ in range(3)]
        for member in drawn:
            drift(member)
        return drawn


def test_a_method_may_offer_several_members() -> None:
    model = small_model()
    noisy = Noisy(model)
    noisy.update(model, lambda _: 0.0)
    members = noisy.members()
    assert len({tuple(bits(member)) for member in members}) == 3
    assert bits(noisy.module) == bits(model)


def test_the_package_offers_the_methods_without_importing_torch() -> None:
    assert aswa.ASWA is ASWA
    assert set(aswa.__all__) <= set(dir(aswa))
    assert aswa.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'ADAM'"):
        aswa.ADAM  # noqa: B018
    code = "import aswa, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_average_that_is_built_is_where_the_model_is() -> None:
    """A device of its own is refused, and named."""
    with pytest.raises(ValueError, match="device="):
        ASWA(small_model(), build=small_model, device="cpu")
