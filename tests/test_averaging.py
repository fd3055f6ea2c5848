"""What ASWA and its likes decide and average, against slow twins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aswa.averaging import ASWA, SWA, EarlyStopping, ReleasedASWA
from aswa.averaging.reference import (
    ReferenceASWA,
    ReferenceEarlyStopping,
    ReferenceReleasedASWA,
    flat,
)
from drifting_model import Odd, bits, drift, small_model

pytestmark = pytest.mark.numeric

# Few distinct values, so that ties are common; NaN and infinities among them.
SCORES = st.sampled_from([math.nan, -math.inf, 0.0, 0.1, 0.2, 0.3, 0.5, math.inf])
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=25)


@settings(max_examples=150)
@given(PAIRS, st.integers(0, 3), st.integers(1, 3), st.sampled_from(["max", "min"]))
def test_aswa_is_its_slow_twin(
    scores: list[tuple[float, float]], start: int, every: int, mode: str
) -> None:
    """Decisions, members, v*, evaluations, weights; a rejection or a pass changes no bit."""
    model, twin = small_model(), ReferenceASWA(start, every, mode)
    aswa = ASWA(model, start, every, mode=mode)
    for v, v_hat in scores:
        drift(model)
        before, begun, version = bits(aswa.module), bool(twin.members), aswa.version
        given_scores = iter([v, v_hat])
        decision = aswa.update(model, lambda _, s=given_scores: next(s))
        expected = twin.update(flat(model), v, v_hat)
        assert decision is aswa.decision
        assert (decision and decision.value) == expected
        assert len(list(given_scores)) == (2 if expected is None else 0 if begun else 1)
        assert aswa.last_scores is None if expected is None else aswa.last_scores[0] is v
        assert aswa.n_averaged == len(twin.members)
        assert aswa.best_score == twin.best_score or (
            math.isnan(aswa.best_score) and math.isnan(twin.best_score)
        )
        assert (aswa.score is None) == (not twin.members)
        shown = twin.weights if twin.members else flat(model)
        torch.testing.assert_close(flat(aswa.module), shown, rtol=1e-5, atol=1e-5)
        changed = expected in ("hard", "soft") or not begun
        assert aswa.version == version + changed
        assert changed or bits(aswa.module) == before


@settings(max_examples=60)
@given(PAIRS)
def test_the_best_score_never_gets_worse(scores: list[tuple[float, float]]) -> None:
    """In either direction, and lower-is-better is higher-is-better with the sign turned."""
    model = small_model()
    lower, higher = ASWA(model, mode="min"), ASWA(model)
    best = math.nan
    for pair in scores:
        drift(model)
        first, second = iter(pair), iter(-v for v in pair)
        lower.update(model, lambda _, s=first: next(s))
        higher.update(model, lambda _, s=second: next(s))
        assert lower.decision is higher.decision
        assert bits(lower.module) == bits(higher.module)
        assert not lower.best_score > best
        assert math.isnan(best) or not math.isnan(lower.best_score)
        best = lower.best_score


@settings(max_examples=60)
@given(PAIRS, st.booleans())
def test_released_aswa_is_its_slow_twin(
    scores: list[tuple[float, float]], hard_updates: bool
) -> None:
    model, twin = small_model(), ReferenceReleasedASWA(hard_updates)
    released = ReleasedASWA(model, hard_updates=hard_updates)
    for v, v_hat in scores:
        drift(model)
        given_scores = iter([v, v_hat])
        decision = released.update(model, lambda _, s=given_scores: next(s))
        assert decision.value == twin.update(flat(model), v, v_hat)
        torch.testing.assert_close(flat(released.module), twin.weights, rtol=1e-5, atol=1e-5)


@settings(max_examples=50)
@given(PAIRS)
def test_released_with_all_switches_back_is_the_papers(scores: list[tuple[float, float]]) -> None:
    model = small_model()
    paper = ASWA(model)
    switched = ReleasedASWA(model, restore_on_reject=True, keep_member=True, accept_ties=False)
    for pair in scores:
        drift(model)
        first, second = iter(pair), iter(pair)
        paper.update(model, lambda _, s=first: next(s))
        switched.update(model, lambda _, s=second: next(s))
        assert bits(paper.module) == bits(switched.module)
        assert paper.n_averaged == switched.n_averaged


def test_what_the_released_code_forgets() -> None:
    """After a hard update its next average gives the hard-updated weights no weight."""
    model = nn.Linear(1, 1, bias=False)
    held = {}
    for cls in (ASWA, ReleasedASWA):
        averager = cls(model)
        for weight, v, v_hat in ((0.0, 0.1, 0.1), (1.0, 0.9, 0.5), (3.0, 0.6, 0.95)):
            nn.init.constant_(model.weight, weight)
            scores = iter([v, v_hat])
            averager.update(model, lambda _, s=scores: next(s))
        held[cls] = averager.module.weight.item()
    assert held == {ASWA: 2.0, ReleasedASWA: 3.0}


@settings(max_examples=60)
@given(st.lists(SCORES, min_size=1, max_size=20), st.sampled_from([1, 2, 5, math.inf]))
def test_early_stopping_is_a_search_of_the_history(scores: list[float], patience: float) -> None:
    model, twin = small_model(), ReferenceEarlyStopping(patience)
    stopping = EarlyStopping(model, patience)
    for v in scores:
        drift(model)
        stopping.update(model, lambda _, v=v: v)
        twin.update(flat(model), v)
    assert stopping.best_epoch == twin.best_epoch
    assert torch.equal(flat(stopping.module), twin.history[twin.best_epoch - 1][1])


def test_bf16_is_averaged_in_fp32() -> None:
    """A thousand bf16 models: their mean is right to fp32, which bf16 arithmetic would lose."""
    model = nn.Linear(8, 8, bias=False).to(torch.bfloat16)
    swa, exact = SWA(model), torch.zeros(8, 8, dtype=torch.float64)
    for _ in range(1000):
        nn.init.normal_(model.weight, mean=1.0)
        exact += model.weight.detach().double()
        swa.update(model, lambda _: 0.0)
    assert swa.module.weight.dtype == torch.bfloat16
    kept = swa.state_dict()["weights"]["weight"]
    torch.testing.assert_close(kept.double(), exact / 1000, rtol=1e-5, atol=1e-5)
    assert torch.equal(swa.module.weight, kept.to(torch.bfloat16))


def test_evaluate_must_give_one_number() -> None:
    with pytest.raises(TypeError, match="must return one number; got dict"):
        ASWA(small_model()).update(small_model(), lambda _: {"mrr": 0.5})


@pytest.mark.parametrize("cls", [SWA, ASWA])
def test_odd_models(cls: type) -> None:
    model = Odd()
    frozen, mask = model.frozen.clone(), model.mask.clone()
    averager, weights, statistics = cls(model), [], []
    for epoch in range(3):
        drift(model)
        model.steps += 7
        model.flag.logical_not_()
        model.statistic += epoch
        weights.append(model.transposed.detach().clone())
        statistics.append(model.statistic.clone())
        scores = iter([0.0, float(epoch)])  # ASWA: soft updates all the way
        averager.update(model, lambda _, s=scores: next(s))
    average = averager.module
    torch.testing.assert_close(average.transposed.detach(), torch.stack(weights).mean(0))
    torch.testing.assert_close(average.statistic, torch.stack(statistics).mean(0))
    assert average.transposed.stride() == model.transposed.stride()
    assert average.tied.weight is average.first.weight
    assert not average.frozen.requires_grad
    assert torch.equal(average.frozen, frozen)
    assert torch.equal(average.mask, mask)
    assert average.steps.item() == 21
    assert average.flag.item() is True


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: ASWA(m, start=-1),
        lambda m: ASWA(m, every=0),
        lambda m: ReleasedASWA(m, start=0.5),
        lambda m: ASWA(m, mode="minimum"),
        lambda m: EarlyStopping(m, 0),
        lambda m: EarlyStopping(m, math.nan),
    ],
)
def test_options_out_of_range_are_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="needs"):
        wrong(small_model())
