"""Averages that ask for no score, against torch's own and their explicit sums."""

from __future__ import annotations

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from aswa.averaging import EMA, SWA, PolynomialDecay
from aswa.averaging.reference import (
    ReferenceEMA,
    ReferencePolynomialDecay,
    ReferenceSWA,
    flat,
)
from drifting_model import bits, drift, small_model

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("start", "every"), [(0, 1), (2, 1), (1, 3)])
def test_swa_is_torchs(start: int, every: int) -> None:
    model = small_model()
    swa, theirs, twin = SWA(model, start, every), AveragedModel(model), ReferenceSWA(start, every)
    for epoch in range(10):
        drift(model)
        swa.update(model, lambda _: pytest.fail("SWA has nothing to evaluate"))
        twin.update(flat(model))
        if epoch >= start and (epoch - start) % every == 0:
            theirs.update_parameters(model)
    torch.testing.assert_close(flat(swa.module), flat(theirs.module), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(flat(swa.module), twin.weights, rtol=1e-5, atol=1e-5)
    assert swa.n_averaged == int(theirs.n_averaged)


def test_ema_is_torchs() -> None:
    model, twin = small_model(), ReferenceEMA(0.9)
    ema = EMA(model, decay=0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(20):
        drift(model)
        ema.step(model)
        theirs.update_parameters(model)
        twin.step(flat(model))
    torch.testing.assert_close(flat(ema.module), flat(theirs.module), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(flat(ema.module), twin.weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("eta", "start"), [(0, 0), (3, 0), (0.5, 2)])
def test_polynomial_decay_is_its_explicit_sum(eta: float, start: int) -> None:
    """And with η = 0 the equal mean, SWA."""
    model, twin = small_model(), ReferencePolynomialDecay(eta, start)
    decay, swa = PolynomialDecay(model, eta, start), SWA(model, start)
    for _ in range(12):
        drift(model)
        for averager in (decay, swa):
            averager.update(model, lambda _: pytest.fail("there is nothing to evaluate"))
        twin.update(flat(model))
    torch.testing.assert_close(flat(decay.module), twin.weights, rtol=1e-5, atol=1e-5)
    assert decay.n_averaged == swa.n_averaged == 12 - start
    if eta == 0:
        torch.testing.assert_close(flat(decay.module), flat(swa.module), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="needs eta >= 0"):
        PolynomialDecay(model, -1)


@pytest.mark.parametrize(
    "options", [{"half_life": 3.0}, {"decay": 0.9, "warmup": 10}, {"half_life": 0.5, "warmup": 4}]
)
def test_ema_by_half_life_and_with_warm_up(options: dict[str, float]) -> None:
    model, ema, twin = small_model(), EMA(small_model(), **options), ReferenceEMA(**options)
    for _ in range(15):
        drift(model)
        ema.step(model)
        twin.step(flat(model))
        torch.testing.assert_close(flat(ema.module), twin.weights, rtol=1e-5, atol=1e-5)


def test_half_life_halves_and_warm_up_is_off_by_default() -> None:
    assert EMA(small_model(), half_life=5).decay ** 5 == pytest.approx(0.5)
    assert EMA(small_model(), warmup=True).warmup == 10
    assert EMA(small_model()).decay == 0.999
    model = small_model()
    averagers = [EMA(model, 0.9), EMA(model, 0.9, warmup=False), EMA(model, 0.9, warmup=1)]
    for _ in range(5):
        drift(model)
        for ema in averagers:
            ema.step(model)
        assert all(bits(ema.module) == bits(averagers[0].module) for ema in averagers)


@pytest.mark.parametrize(
    "options", [{"decay": 1.0}, {"decay": 0.9, "half_life": 5}, {"half_life": 0}, {"warmup": -1}]
)
def test_ema_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="EMA needs"):
        EMA(small_model(), **options)
