"""The averaging library against slow twins, torch's own averages, and its promises."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import update_bn

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
from aswa.averaging.scored import better
from aswa.averaging.reference import (
    ReferenceASWA,
    ReferenceEarlyStopping,
    ReferenceReleasedASWA,
    flat,
)
from drifting_model import drift, small_model

METHODS = (SGD, SWA, EMA, EarlyStopping, ASWA, ReleasedASWA, PolynomialDecay)
# Few distinct values, so that ties are common; NaN and infinities among them.
SCORES = st.sampled_from([math.nan, -math.inf, 0.0, 0.1, 0.2, 0.3, 0.5, math.inf])


def bits(module: nn.Module) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in [*module.parameters(), *module.buffers()]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=25))
def test_aswa_is_its_slow_twin(scores: list[tuple[float, float]]) -> None:
    """Decisions, members, v* and weights; v* never decreases; a rejection changes no bit."""
    model, twin = small_model(), ReferenceASWA()
    aswa = ASWA(model)
    for epoch, (v, v_hat) in enumerate(scores):
        drift(model)
        before, score_before = bits(aswa.module), aswa.best_score
        given_scores = iter([v, v_hat])
        decision = aswa.update(model, lambda _, s=given_scores: next(s))
        assert decision.value == twin.update(flat(model), v, v_hat)
        assert len(list(given_scores)) == (1 if epoch == 0 else 0)  # one or two evaluations
        assert aswa.n_averaged == len(twin.members)
        assert not better(score_before, aswa.best_score) or epoch == 0
        assert torch.equal(torch.tensor(aswa.best_score), torch.tensor(twin.best_score)) or (
            math.isnan(aswa.best_score) and math.isnan(twin.best_score)
        )
        torch.testing.assert_close(flat(aswa.module), twin.weights, rtol=1e-5, atol=1e-5)
        if decision is Decision.REJECT:
            assert bits(aswa.module) == before


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20), st.booleans())
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


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=15))
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


@settings(max_examples=100, deadline=None)
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


@pytest.mark.parametrize("cls", METHODS)
def test_before_the_first_update_the_module_is_the_running_model(cls: type[Averager]) -> None:
    model = small_model()
    averager = cls(model)
    assert averager.module is model
    assert averager.n_averaged == 0


@pytest.mark.parametrize("cls", METHODS)
def test_averagers_only_watch(cls: type[Averager]) -> None:
    """Weights, gradients, modes and random state of the running model are left as they are."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()

    def rude(module: nn.Module) -> float:
        module.eval()
        return float(torch.rand(())) if next(module.parameters()).grad is None else 0.5

    averager = cls(model)
    for _ in range(4):
        drift(model)
        before, random_state = bits(model), torch.get_rng_state()
        averager.step(model)
        averager.update(model, rude)
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
    assert {k: v for k, v in mine.items() if k != "weights"} == {
        k: v for k, v in theirs.items() if k != "weights"
    }


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


class Odd(nn.Module):
    """Tied, frozen and non-contiguous parameters; counters, flags and a mask of −inf."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.frozen = nn.Parameter(torch.randn(3), requires_grad=False)
        self.transposed = nn.Parameter(torch.randn(4, 6).t())
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("flag", torch.tensor(False))
        self.register_buffer("mask", torch.full((2, 2), -math.inf).triu(1))
        self.register_buffer("statistic", torch.zeros(2))


@pytest.mark.parametrize("cls", [SWA, ASWA])
def test_odd_models(cls: type[Averager]) -> None:
    model = Odd()
    frozen, mask = model.frozen.clone(), model.mask.clone()
    averager, weights, statistics = cls(model), [], []
    for epoch in range(3):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter))
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


def test_if_evaluate_raises_the_ensemble_is_as_it_was() -> None:
    model = small_model()
    aswa = ASWA(model)
    aswa.update(model, lambda _: 0.5)
    drift(model)
    before = copy.deepcopy(aswa.state_dict())

    def breaks(module: nn.Module) -> float:
        if module is not model:
            raise RuntimeError("out of memory")
        return 0.6

    with pytest.raises(RuntimeError, match="out of memory"):
        aswa.update(model, breaks)
    after = aswa.state_dict()
    assert all(torch.equal(after["weights"][k], before["weights"][k]) for k in before["weights"])
    assert after["best_score"] == before["best_score"]


def test_evaluate_must_give_one_number() -> None:
    with pytest.raises(TypeError, match="must return one number, higher is better; got dict"):
        ASWA(small_model()).update(small_model(), lambda _: {"mrr": 0.5})


def batch_norm_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))


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
