"""SWAG: moments against a slow twin, samples against the dense covariance, and what it promises."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aswa.averaging import ASWA, SWA, SWAG, GatedSWAG, multi_swag, recompute_batch_norm
from aswa.averaging.reference import ReferenceSWAG, flat
from drifting_model import Odd, batch_norm_model, bits, drift, scores, small_model

pytestmark = pytest.mark.numeric


def collected(swag: SWAG, model: nn.Module, n: int) -> SWAG:
    for _ in range(n):
        drift(model)
        swag.update(model, lambda _: 0.0)
    return swag


def flattened(named: dict[str, Tensor], dim: int = 0) -> Tensor:
    return torch.cat([t.double().flatten(dim) for t in named.values()], dim)


@pytest.mark.parametrize(("start", "every"), [(0, 1), (3, 2)])
def test_the_mean_is_swas_to_the_last_bit(start: int, every: int) -> None:
    model = small_model()
    swa, swag = SWA(model, start, every), SWAG(model, start, every, rank=3)
    for _ in range(9):
        drift(model)
        before = bits(model)
        for averager in (swa, swag):
            averager.update(model, lambda _: 0.0)
        assert bits(swag.module) == bits(swa.module)
        assert (swag.n_averaged, swag.version) == (swa.n_averaged, swa.version)
        assert bits(model) == before


@pytest.mark.parametrize("rank", [3, 20])
@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_moments_are_those_of_the_stored_models(rank: int, spread: float) -> None:
    """Also of weights 1 ± 1e-4, where E[θ²] − E[θ]² has no right digit in fp32."""
    torch.manual_seed(0)
    model, twin = nn.Linear(40, 25), ReferenceSWAG(rank=rank)
    swag = SWAG(model, rank=rank)
    for n in range(1, 13):
        for parameter in model.parameters():
            parameter.data.copy_(1 + spread * torch.randn_like(parameter))
        swag.update(model, lambda _: 0.0)
        twin.update(flat(model))
        found = flattened(swag.deviations(), 1)
        assert len(found) == min(n, rank)
        if n <= rank:
            assert not found[0].any()
        assert float((found - twin.deviations).abs().max()) < 3e-6 * spread
    variances = flattened(swag.variances())
    torch.testing.assert_close(variances, twin.variances, rtol=1e-6, atol=0)
    stored = np.var([each.numpy() for each in twin.epochs], axis=0)
    np.testing.assert_allclose(variances, stored, rtol=1e-6)


def largest_error(found: Tensor, expected: Tensor, n: int) -> float:
    """In standard errors √((C_ii C_jj + C_ij²) / N) of each entry."""
    variances = expected.diagonal()
    error = ((variances[:, None] * variances + expected.square()) / n).sqrt()
    return float(((found - expected).abs() / error).max())


@pytest.mark.parametrize("n", [4_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_samples_have_the_covariance_of_the_dense_formula(n: int) -> None:
    """A z₂ for every tensor, and z₁ times the variance, are caught."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))
    swag, twin = SWAG(model, rank=4, scale=0.7), ReferenceSWAG(rank=4, scale=0.7)
    for _ in range(7):
        drift(model)
        swag.update(model, lambda _: 0.0)
        twin.update(flat(model))
    generator = torch.Generator().manual_seed(1)
    drawn = torch.empty(n, len(twin.weights), dtype=torch.float64)
    for row in range(n):
        drawn[row] = torch.cat([t.double().flatten() for t in swag.draw(generator).values()])
    assert largest_error(drawn.T.cov(), twin.covariance, n) < 5
    off_by = (drawn.mean(0) - twin.weights) / (twin.covariance.diagonal() / n).sqrt()
    assert float(off_by.abs().max()) < 5
    blocks, own = torch.zeros_like(twin.covariance), twin.covariance
    start = 0
    for parameter in model.parameters():
        part = slice(start, start + parameter.numel())
        blocks[part, part] = own[part, part]
        start += parameter.numel()
    assert largest_error(drawn.T.cov(), blocks, n) > 10
    squared = own + 0.7 * torch.diag(twin.variances.square() - twin.variances)
    assert largest_error(drawn.T.cov(), squared, n) > 10


def test_scale_zero_is_the_mean() -> None:
    swag = collected(SWAG(small_model(), scale=0), small_model(), 5)
    assert bits(swag.sample(torch.Generator())) == bits(swag.module)


def test_samples_follow_their_generator_and_touch_nothing() -> None:
    model = small_model().train()
    swag = collected(SWAG(model), model, 6)
    before, mean, state = bits(model), bits(swag.module), torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    first, second = swag.sample(generator), swag.sample(generator)
    again = swag.sample(torch.Generator().manual_seed(3))
    assert bits(first) == bits(again) != bits(second)
    assert (bits(model), bits(swag.module)) == (before, mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_the_ith_sample_depends_on_seed_and_number_alone() -> None:
    model = small_model()
    swag = collected(SWAG(model), model, 6)
    three, five = list(swag.samples(3, seed=1)), list(swag.samples(5, seed=1))
    assert [bits(each) for each in three] == [bits(each) for each in five[:3]]
    others = [*five, *swag.samples(3, seed=2)]
    assert len({tuple(bits(each)) for each in others}) == 8
    assert [bits(each) for each in swag.posterior(seed=1)][:5] == [bits(each) for each in five]


@pytest.mark.parametrize("cls", [SWAG, GatedSWAG])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_state_through_a_file_goes_on_exactly(cls: type[SWAG], dtype: torch.dtype) -> None:
    """Moments, deviations and the next sample."""
    model = small_model(dtype)
    straight = collected(cls(model, rank=3), model, 5)
    file = io.BytesIO()
    torch.save(straight.state_dict(), file)
    file.seek(0)
    resumed = cls(model, rank=3)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(3):
        drift(model)
        for averager in (straight, resumed):
            averager.update(model, scores(0.0, 1.0))
    for named in (lambda s: s.variances(), lambda s: s.deviations()):
        for a, b in zip(named(straight).values(), named(resumed).values(), strict=True):
            assert a.dtype == torch.float32
            assert torch.equal(a, b)
    pair = [each.sample(torch.Generator().manual_seed(0)) for each in (straight, resumed)]
    assert bits(pair[0]) == bits(pair[1])
    assert next(pair[0].parameters()).dtype == dtype


def test_a_state_of_another_rank_or_of_swa_is_refused() -> None:
    model = small_model()
    swag, swa = collected(SWAG(model, rank=3), model, 4), SWA(model)
    with pytest.raises(ValueError, match="rank=3, not rank=4"):
        SWAG(model, rank=4).load_state_dict(swag.state_dict())
    with pytest.raises(ValueError, match="state of SWA, not SWAG"):
        SWAG(model).load_state_dict(swa.state_dict())


def test_ties_once_frozen_and_buffers_never() -> None:
    model = Odd()
    swag = collected(SWAG(model), model, 5)
    assert [*swag.variances()] == ["transposed", "first.weight", "first.bias", "tied.bias"]
    sample = swag.sample(torch.Generator().manual_seed(0))
    assert sample.tied.weight is sample.first.weight
    assert sample.frozen.data_ptr() == model.frozen.data_ptr()
    assert not torch.equal(sample.transposed, swag.module.transposed)
    for name, buffer in sample.named_buffers():
        assert torch.equal(buffer, swag.module.get_buffer(name))


class Nested(nn.Module):
    """An own parameter of the shape of a child's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))
        self.child = nn.Linear(4, 4, bias=False)


def test_parents_and_children_of_equal_shapes_stay_apart() -> None:
    model, swag = Nested(), SWAG(Nested())
    for epoch in range(6):
        model.weight.data.fill_(100.0 + epoch)
        model.child.weight.data.fill_(-100.0)
        swag.update(model, lambda _: 0.0)
    sample = swag.sample(torch.Generator().manual_seed(0))
    assert float(sample.weight.detach().min()) > 80
    assert bool((sample.child.weight == -100).all())


def test_attention_and_tied_heads_are_no_obstacle() -> None:
    model = nn.MultiheadAttention(8, 2)
    swag = collected(SWAG(model), model, 4)
    sample, x = swag.sample(torch.Generator().manual_seed(0)), torch.randn(3, 8)
    assert torch.isfinite(sample(x, x, x)[0]).all()


@pytest.mark.parametrize("cls", [SWAG, GatedSWAG])
def test_fewer_than_two_models_have_no_variance(cls: type[SWAG]) -> None:
    """Sampling is refused; what a run evaluates is then the mean."""
    model = small_model()
    swag = cls(model)
    for n in range(2):
        for refused in (lambda s: s.sample(torch.Generator()), lambda s: list(s.samples(1))):
            with pytest.raises(ValueError, match=rf"collected {n} model\(s\)"):
                refused(swag)
        assert swag.posterior(seed=0) == [swag.module]
        collected(swag, model, 1)


def test_a_sample_has_batch_norm_statistics_of_its_own() -> None:
    model, batches = batch_norm_model(), [torch.randn(16, 3) for _ in range(3)]
    swag = collected(SWAG(model, batches=batches), model, 4)
    mean = bits(swag.members()[0])
    sample = swag.sample(torch.Generator().manual_seed(0))
    by_hand = copy.deepcopy(sample)
    by_hand[1].reset_running_stats()
    recompute_batch_norm(by_hand, batches)
    assert bits(by_hand) == bits(sample)
    assert not torch.equal(sample[1].running_mean, swag.module[1].running_mean)
    assert bits(swag.module) == mean
    other = swag.sample(torch.Generator().manual_seed(0), [torch.randn(16, 3)])
    assert not torch.equal(other[1].running_mean, sample[1].running_mean)


def test_steps_are_collected_where_steps_are_counted() -> None:
    """Four times an epoch say; equal to epochs of that length."""
    model = small_model()
    by_step, by_epoch = SWAG(model, 2, 3, unit="step"), SWAG(model, 2, 3)
    for step in range(12):
        drift(model)
        by_step.step(model)
        by_epoch.update(model, lambda _: 0.0)
        if step % 4 == 3:
            by_step.update(model, lambda _: 0.0)
    assert by_step.n_averaged == by_epoch.n_averaged == 4
    assert bits(by_step.module) == bits(by_epoch.module)
    pair = [each.sample(torch.Generator().manual_seed(0)) for each in (by_step, by_epoch)]
    assert bits(pair[0]) == bits(pair[1])


def test_the_gate_is_aswas_and_a_hard_update_forgets() -> None:
    """Moments are those of the members that ASWA holds."""
    model = small_model()
    aswa, gated = ASWA(model), GatedSWAG(model, rank=3)
    pairs = [(0.1, 0.0), (0.0, 0.2), (0.0, 0.1), (0.9, 0.5), (0.0, 0.95), (0.1, 0.2), (0.0, 0.97)]
    held: list[Tensor] = []
    for pair in pairs:
        drift(model)
        decision = aswa.update(model, scores(*pair))
        assert gated.update(model, scores(*pair)) is decision
        assert bits(gated.module) == bits(aswa.module)
        assert gated.best_score == aswa.best_score
        if decision.value != "reject":
            held = [*(held if decision.value == "soft" else []), flat(model)]
        assert gated.n_averaged == len(held)
    twin = ReferenceSWAG(rank=3)
    for theta in held:
        twin.update(theta)
    assert len(held) == 3
    torch.testing.assert_close(flattened(gated.variances()), twin.variances, rtol=1e-5, atol=0)
    torch.testing.assert_close(flattened(gated.deviations(), 1), twin.deviations)


def test_several_gaussians_take_turns() -> None:
    """Samples of each run are its own; one run alone gives its samples."""
    models = [small_model() for _ in range(3)]
    swags = [collected(SWAG(model), model, 4) for model in models]
    mixed = [bits(each) for each in multi_swag(swags, 2, seed=5)]
    expected = [[bits(each) for each in s.samples(2, seed=5 + j)] for j, s in enumerate(swags)]
    assert mixed == [of_run[i] for i in range(2) for of_run in expected]


@pytest.mark.parametrize(
    "options", [{"rank": 1}, {"rank": 2.5}, {"scale": -1}, {"n_samples": 0}, {"unit": "batch"}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="SWAG needs"):
        SWAG(small_model(), **options)


def test_shards_and_complex_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="build="):
        SWAG(small_model(), build=small_model)
    with pytest.raises(ValueError, match="'weight' is not"):
        SWAG(nn.Linear(2, 2, dtype=torch.complex64))
