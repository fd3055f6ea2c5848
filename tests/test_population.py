"""Operators on populations: what each keeps, what each changes, and its slow twin."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, Adam

from aswa.averaging import EMA, SWA
from aswa.averaging.mixing import (
    Average,
    Independent,
    Mixing,
    Pairs,
    Population,
    Pull,
    Shuffle,
    SparseAverage,
    mean_logit,
    mean_probability,
    mixing,
    sparse,
)
from aswa.averaging.mixing.reference import (
    average_matrix,
    distance,
    pairs_matrix,
    pull_matrix,
    shuffled,
    sparsely_averaged,
)
from aswa.averaging.mixing.sparse import distinct, permutations
from drifting_model import Odd, batch_norm_model, bits, drift, small_model

pytestmark = pytest.mark.numeric
ALL: dict[str, Callable[[], Mixing]] = {
    "independent": Independent,
    "pull": lambda: Pull(0.9, every=2),
    "average": lambda: Average(every=2),
    "pairs": lambda: Pairs(every=1),
    "shuffle": lambda: Shuffle(0.3, seed=5),
    "shuffle with moments": lambda: Shuffle(0.3, moments=True),
    "sparse average": lambda: SparseAverage(0.3),
}
WITHOUT_EXCHANGE = ("pull", "average", "pairs", "sparse average")


def members(n: int = 3, make: Callable[[], nn.Module] = small_model, seed: int = 0) -> list[Any]:
    torch.manual_seed(seed)
    return [make() for _ in range(n)]


def adams(models: list[Any]) -> list[Adam]:
    return [Adam(model.parameters(), lr=0.1) for model in models]


def thetas(models: list[Any]) -> Tensor:
    """fp64 [N, P]."""
    return torch.stack(
        [torch.cat([p.detach().double().flatten() for p in m.parameters()]) for m in models]
    )


def learn(models: list[Any], optimizers: list[Any], seed: int, same: bool = False) -> None:
    """An optimizer step of each member on a batch of its own, or on one batch of all."""
    for number, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        generator = torch.Generator().manual_seed(100 * seed + (0 if same else number))
        x = torch.randn(8, 3, generator=generator)
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def run(mixing: Mixing, models: list[Any], optimizers: list[Any], epochs: range) -> None:
    for epoch in epochs:
        for step in range(3):
            learn(models, optimizers, 10 * epoch + step)
            mixing.step(models, optimizers, 1.0)
        mixing.epoch(models, optimizers, epoch)


@pytest.mark.parametrize("name", ALL)
def test_a_population_resumes_exactly_and_leaves_randomness_alone(name: str) -> None:
    straight = members()
    optimizers, mixing = adams(straight), ALL[name]()
    state = torch.get_rng_state()
    run(mixing, straight, optimizers, range(1, 3))
    models = copy.deepcopy(straight)
    again = adams(models)
    for optimizer, saved in zip(again, optimizers, strict=True):
        optimizer.load_state_dict(copy.deepcopy(saved.state_dict()))
    resumed = ALL[name]()
    resumed.load_state_dict(mixing.state_dict())
    run(mixing, straight, optimizers, range(3, 6))
    run(resumed, models, again, range(3, 6))
    assert [bits(m) for m in models] == [bits(m) for m in straight]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ALL)
def test_one_member_is_a_run_alone(name: str) -> None:
    (model,), (alone,) = members(1), members(1)
    run(ALL[name](), [model], adams([model]), range(1, 4))
    run(Independent(), [alone], adams([alone]), range(1, 4))
    assert bits(model) == bits(alone)


@pytest.mark.parametrize("name", ALL)
def test_equal_members_stay_as_they_are(name: str) -> None:
    """But for the rounding of a mean, which an exchange does not make."""
    (model,) = members(1)
    models = [copy.deepcopy(model) for _ in range(3)]
    mixing = ALL[name]()
    for epoch in range(1, 5):
        mixing.step(models, adams(models), 1.0)
        mixing.epoch(models, adams(models), epoch)
    torch.testing.assert_close(thetas(models), thetas([model] * 3), rtol=1e-6, atol=1e-7)
    if name not in WITHOUT_EXCHANGE:
        assert {tuple(bits(m)) for m in models} == {tuple(bits(model))}


@pytest.mark.parametrize(
    "mixing", [Shuffle(0.0), SparseAverage(0.0), Pull(1.0, 1), Average(100), Pairs(100)]
)
def test_a_mixing_of_nothing_is_independent(mixing: Mixing) -> None:
    """And draws no random number."""
    models, alone = members(), members()
    before = mixing.state_dict().get("generator")
    run(mixing, models, adams(models), range(1, 3))
    run(Independent(), alone, adams(alone), range(1, 3))
    assert [bits(m) for m in models] == [bits(m) for m in alone]
    assert before is None or torch.equal(mixing.state_dict()["generator"], before)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 6), p=st.floats(0.01, 1.0), seed=st.integers(0, 99), moments=st.booleans())
def test_wash_exchanges_and_nothing_else(n: int, p: float, seed: int, moments: bool) -> None:
    """Each coordinate keeps its values as a set, to the last bit: so mean and distance stay."""
    models = members(n, seed=seed)
    optimizers, mixing = adams(models), Shuffle(p, moments=moments, seed=seed)
    learn(models, optimizers, seed)
    before = thetas(models)
    moved = mixing.step(models, optimizers, 1.0)
    after = thetas(models)
    assert torch.equal(before.sort(0).values, after.sort(0).values)
    changed = int((before != after).sum())  # values of different members differ
    assert moved == (3 if moments else 1) * changed
    torch.testing.assert_close(torch.tensor(distance(after)), torch.tensor(distance(before)))
    last = models[0][-1].weight.numel()
    assert torch.equal(before[:, -last:], after[:, -last:])  # p_l = 0


def test_values_moved_are_as_many_as_expected() -> None:
    """A uniform permutation leaves 1 / N in place; layers have p, p / 2 and none."""
    n, p, steps, sizes = 5, 0.05, 300, (2000, 1000, 500)
    models = [nn.Sequential(*(nn.Linear(s, 1, bias=False) for s in sizes)) for _ in range(n)]
    mixing = Shuffle(p)
    moved = sum(mixing.step(models, [], 1.0) for _ in range(steps))
    expected = (n - 1) * (sizes[0] * p + sizes[1] * p / 2) * steps
    assert abs(moved - expected) < 5 * (n * expected) ** 0.5


def test_one_permutation_of_weights_and_moments_only_renames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On common batches; true with all the optimizer state, false without it."""

    step = 0

    def renaming(n: int, k: int, generator: torch.Generator) -> Tensor:
        """One order of the members for all coordinates of a step."""
        order = torch.randperm(n, generator=torch.Generator().manual_seed(step))
        return order[:, None].expand(n, k)

    monkeypatch.setattr(sparse, "permutations", renaming)
    for moments in (True, False):
        models, alone = members(), members()
        optimizers, others = adams(models), adams(alone)
        mixing = Shuffle(1.0, decrease=False, moments=moments)
        for step in range(20):
            learn(models, optimizers, step, same=True)
            mixing.step(models, optimizers, 1.0)
            learn(alone, others, step, same=True)
        found, expected = ({tuple(bits(m)) for m in some} for some in (models, alone))
        assert (found == expected) is moments


def test_weights_and_their_moments_change_places_together() -> None:
    """The same coordinates by the same permutation; a count of steps is no moment."""

    class WithScalar(nn.Linear):
        def __init__(self) -> None:
            super().__init__(30, 4)
            self.scale = nn.Parameter(torch.tensor(2.0))

    models = members(4, WithScalar)
    optimizers = adams(models)
    for number, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        with torch.no_grad():
            model.scale.add_(number)
        for p in model.parameters():
            moments = {"exp_avg": 2 * p.detach(), "exp_avg_sq": 3 * p.detach()}
            optimizer.state[p] = {"step": torch.tensor(float(number)), **moments}
    before = thetas(models)
    moved = Shuffle(0.3, decrease=False, moments=True, seed=3).step(models, optimizers, 1.0)
    assert moved == 3 * int((thetas(models) != before).sum()) > 0
    for number, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        for p in model.parameters():
            state = optimizer.state[p]
            assert torch.equal(state["exp_avg"], 2 * p.detach())
            assert torch.equal(state["exp_avg_sq"], 3 * p.detach())
            assert state["step"] == number


@pytest.mark.parametrize("n", [2, 5, 8])
def test_exchanges_and_sparse_averages_are_their_slow_twins(n: int) -> None:
    """On what the same generator draws: coordinates of all tensors first, then permutations."""
    shapes = (7, 40)
    makers = [nn.Sequential(*(nn.Linear(s, 1, bias=False) for s in shapes)) for _ in range(n)]
    before, generator = thetas(makers), torch.Generator().manual_seed(9)
    chosen = [distinct(size, 0.4, generator) for size in shapes]
    orders = [permutations(n, len(c), generator) for c in chosen]
    flat_chosen = [*chosen[0].tolist(), *(7 + chosen[1]).tolist()]
    expected = shuffled(before, flat_chosen, torch.cat(orders, 1).T.tolist())
    exchanged, averaged = (copy.deepcopy(makers) for _ in range(2))
    Shuffle(0.4, decrease=False, seed=9).step(exchanged, [], 1.0)
    assert torch.equal(thetas(exchanged), expected)
    SparseAverage(0.4, decrease=False, seed=9).step(averaged, [], 1.0)
    expected = sparsely_averaged(before, flat_chosen)
    torch.testing.assert_close(thetas(averaged), expected, rtol=1e-6, atol=1e-6)


class Masked(nn.Linear):
    """With a mask of −inf, and statistics that are mixed."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("mean", torch.rand(2))


@pytest.mark.parametrize("name", ["pull", "average", "pairs"])
def test_masks_stay_as_they_are(name: str) -> None:
    models = members(3, Masked)
    means = torch.stack([m.mean.clone() for m in models])
    mixing = ALL[name]()
    for epoch in (1, 2):
        mixing.step(models, [], 1.0)
        mixing.step(models, [], 1.0)
        mixing.epoch(models, [], epoch)
    assert all(m.mask.tolist() == [0.0, -torch.inf] for m in models)
    assert not torch.equal(torch.stack([m.mean for m in models]), means)


def test_weights_without_memory_of_their_own_are_refused() -> None:
    models = members(2, lambda: nn.Linear(3, 2))
    for model in models:
        model.weight = nn.Parameter(torch.rand(2, 6)[:, ::2])
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Average(every=1).epoch(models, [], 1)


def test_without_coupling_and_alpha_members_are_one_after_a_pull() -> None:
    models = members(3)
    Pull(0.0, every=1, coupled=False).step(models, [], 0.5)
    assert len({tuple(bits(m)) for m in models}) == 1


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 400), p=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_drawn_coordinates_are_distinct(n: int, p: float, seed: int) -> None:
    drawn = distinct(n, p, torch.Generator().manual_seed(seed))
    assert len(set(drawn.tolist())) == len(drawn) <= n
    assert not len(drawn) or (int(drawn.min()) >= 0 and int(drawn.max()) < n)


@pytest.mark.parametrize("n", [3, 7])
def test_permutations_are_uniform(n: int) -> None:
    """From a table, and by sorting."""
    k = 6000
    drawn = permutations(n, k, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.sort(0).values, torch.arange(n)[:, None].expand(n, k))
    for member in range(n):
        counts = torch.bincount(drawn[member], minlength=n)
        assert (counts - k / n).abs().max() < 5 * (k / n) ** 0.5


def test_coordinates_are_drawn_equally_often() -> None:
    generator, n, p, times = torch.Generator().manual_seed(0), 40, 0.1, 4000
    counts = Counter(i for _ in range(times) for i in distinct(n, p, generator).tolist())
    assert max(abs(counts[i] - times * p) for i in range(n)) < 5 * (times * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_papa_is_its_matrix(alpha: float, rate: float) -> None:
    """The mean is kept and the distance shrinks by a²; members in another order do the same."""
    models = members(4)
    reverse = copy.deepcopy(models)[::-1]
    before = thetas(models)
    assert Pull(alpha, every=1).step(models, [], rate) == before.numel()
    a = 1 - (1 - alpha) * rate
    torch.testing.assert_close(thetas(models), pull_matrix(4, a) @ before, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(thetas(models).mean(0), before.mean(0), rtol=1e-6, atol=1e-6)
    expected = torch.tensor(a * a * distance(before))
    torch.testing.assert_close(
        torch.tensor(distance(thetas(models))), expected, rtol=1e-5, atol=1e-9
    )
    Pull(alpha, every=1).step(reverse, [], rate)
    torch.testing.assert_close(thetas(reverse[::-1]), thetas(models), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_a_pull_in_pieces_is_the_pull_of_whole_tensors(
    weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty ones, at the limit, of several pieces, with a rest."""
    sizes = (2, 3, 0, 4, 5, 6, 1, 12, 15, 1)
    torch.manual_seed(0)
    before = [[torch.randn(size) for size in sizes] for _ in range(3)]
    whole, pieces = copy.deepcopy(before), copy.deepcopy(before)
    mixing.pull(whole, weight, mixing.Carrier())
    monkeypatch.setattr(mixing, "PIECE", 5)
    mixing.pull(pieces, weight, mixing.Carrier())
    for same in zip(before, whole, pieces, strict=True):
        for old, expected, found in zip(*same, strict=True):
            assert torch.equal(found, expected)
            assert not len(old) or not torch.equal(found, old)


def test_a_coupled_pull_ends_with_the_rate() -> None:
    models = members()
    before = [bits(m) for m in models]
    assert Pull(0.5, every=1).step(models, [], 0.0) == 0
    assert [bits(m) for m in models] == before
    assert Pull(0.5, every=1, coupled=False).step(models, [], 0.0) > 0


def test_pulls_are_counted_over_epochs_or_as_released() -> None:
    due: dict[bool, list[bool]] = {}
    for released in (False, True):
        mixing = Pull(0.5, every=3, restart_count=released)
        due[released] = []
        for epoch in (1, 2):
            for _ in range(5):
                due[released].append(mixing.step(members(), [], 1.0) > 0)
            mixing.epoch(members(), [], epoch)
    assert [i for i, is_due in enumerate(due[False]) if is_due] == [2, 5, 8]
    assert [i for i, is_due in enumerate(due[True]) if is_due] == [0, 3, 5, 8]


@pytest.mark.parametrize(("start", "merges"), [(0, [3, 6, 9]), (1, [1, 4, 7, 10]), (5, [5, 8])])
def test_merges_make_members_equal(start: int, merges: list[int]) -> None:
    models = members(4)
    optimizers = adams(models)
    mixing = Average(every=3, start=start)
    for epoch in range(1, 11):
        learn(models, optimizers, epoch)
        before = thetas(models)
        moved = mixing.epoch(models, optimizers, epoch)
        assert (moved > 0) is (epoch in merges)
        if moved:
            assert len({tuple(bits(m)) for m in models}) == 1
            expected = average_matrix(4) @ before
            torch.testing.assert_close(thetas(models), expected, rtol=1e-6, atol=1e-6)
            assert all(o.state for o in optimizers)


def test_a_merge_may_reset_the_optimizers() -> None:
    models = members()
    optimizers = adams(models)
    learn(models, optimizers, 0)
    Average(every=1, reset=True).epoch(models, optimizers, 1)
    assert not any(o.state for o in optimizers)


def test_merging_every_step_is_one_model_on_the_mean_gradient() -> None:
    """Plain SGD: batch M · B."""
    (model,) = members(1)
    models = [copy.deepcopy(model) for _ in range(3)]
    optimizers = [SGD(m.parameters(), lr=0.01) for m in models]
    optimizer, mixing = SGD(model.parameters(), lr=0.01), Average(every=1)
    for step in range(5):
        learn(models, optimizers, step)
        mixing.epoch(models, optimizers, step + 1)
        optimizer.zero_grad()
        for number in range(3):
            generator = torch.Generator().manual_seed(100 * step + number)
            x = torch.randn(8, 3, generator=generator)
            (model(x).square().sum() / 3).backward()
        optimizer.step()
    torch.testing.assert_close(thetas(models), thetas([model] * 3), rtol=1e-5, atol=1e-6)


def test_pairs_are_random_and_as_released_on_demand() -> None:
    """Over many draws all pairs are parents equally often; released ones are always the first."""
    n, times = 5, 2000
    mixing, released = Pairs(every=1), Pairs(every=1, first_pairs=True)
    counts = Counter(pair for _ in range(times) for pair in mixing._draw(n))
    expected = times * n / 10
    assert len(counts) == 10
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5
    assert {pair for _ in range(50) for pair in released._draw(n)} == {
        (0, 1), (0, 2), (0, 3), (0, 4), (1, 2)
    }  # fmt: skip
    models = members(n)
    before, draws = thetas(models), Pairs(every=1)
    parents = Pairs(every=1)._draw(n)
    draws.epoch(models, [], 1)
    expected_thetas = pairs_matrix(parents) @ before
    torch.testing.assert_close(thetas(models), expected_thetas, rtol=1e-6, atol=1e-6)
    two = members(2)
    mean = thetas(two).mean(0)
    Pairs(every=1).epoch(two, [], 1)
    torch.testing.assert_close(thetas(two), mean.expand(2, -1), rtol=1e-6, atol=1e-6)


def test_sparse_averages_contract_the_same_coordinates() -> None:
    """That the exchange of the same seed permutes."""
    models, others = members(4), members(4)
    before = thetas(models)
    exchange, average = Shuffle(0.4), SparseAverage(0.4)
    exchange.step(models, [], 1.0)
    average.step(others, [], 1.0)
    touched = (thetas(others) != before).any(0)
    assert not ((thetas(models) != before).any(0) & ~touched).any()
    expected = torch.where(touched, before.mean(0), before)
    torch.testing.assert_close(thetas(others), expected, rtol=1e-6, atol=1e-6)
    assert distance(thetas(others)) < distance(before)


def test_averages_of_the_mean_are_means_of_averages() -> None:
    """EMA and SWA are linear; they ride on the soup as on any model."""
    models = members()
    population = Population(models, adams(models), Pull(0.9, every=1))
    on_mean = [EMA(population.module, decay=0.8), SWA(population.module)]
    on_each = [[EMA(m, decay=0.8), SWA(m)] for m in models]
    for step in range(6):
        learn(models, population.optimizers, step)
        population.step()
        population.epoch()
        for averager in on_mean:
            averager.step(population.module)
            averager.update(population.module, lambda _: 0.0)
        for model, averagers in zip(models, on_each, strict=True):
            for averager in averagers:
                averager.step(model)
                averager.update(model, lambda _: 0.0)
    for number, averager in enumerate(on_mean):
        expected = thetas([each[number].module for each in on_each]).mean(0)
        torch.testing.assert_close(thetas([averager.module])[0], expected, rtol=1e-5, atol=1e-6)


def closeness(module: nn.Module) -> float:
    return -float(sum((p.detach() - 1).square().sum() for p in module.parameters()))


def test_soups_and_ensembles() -> None:
    models = members(4)
    population = Population(models, adams(models), Independent())
    soup = population.module
    torch.testing.assert_close(thetas([soup])[0], thetas(models).mean(0), rtol=1e-6, atol=1e-6)
    scores = [closeness(m) for m in models]
    assert population.best(closeness) is models[scores.index(max(scores))]
    greedy, n = population.greedy(closeness)
    assert closeness(greedy) >= max(scores) and 1 <= n <= 4
    x = torch.randn(5, 3)
    outputs = torch.stack([m(x) for m in models])
    torch.testing.assert_close(population.ensemble(mean_logit)(x), outputs.mean(0))
    expected = outputs.softmax(-1).mean(0).log()
    torch.testing.assert_close(population.ensemble()(x), expected)
    torch.testing.assert_close(mean_probability(outputs[:1]), outputs[0].log_softmax(-1))
    for model in models:
        drift(model)
    population.step()
    assert population.module is soup  # one object, with the weights of now
    torch.testing.assert_close(thetas([soup])[0], thetas(models).mean(0), rtol=1e-6, atol=1e-6)
    (alone,) = members(1)
    single = Population([alone], adams([alone]), Independent())
    assert bits(single.module) == bits(alone) and single.greedy(closeness)[1] == 1


def test_statistics_of_a_soup_are_recomputed() -> None:
    """On the same batches for all; those of one member are its own."""
    models = members(2, batch_norm_model)
    batches = [torch.randn(16, 3) for _ in range(3)]
    population = Population(models, adams(models), Independent(), batches=batches)
    norm = population.module[1]
    inputs = torch.cat(batches) @ population.module[0].weight.T + population.module[0].bias
    torch.testing.assert_close(norm.running_mean, inputs.mean(0), rtol=1e-5, atol=1e-5)


def test_channels_last_weights_are_exchanged() -> None:
    """Views follow the memory, so strides may be any that are dense."""
    models = [nn.Conv2d(4, 3, 3).to(memory_format=torch.channels_last) for _ in range(3)]
    before = thetas(models)
    assert Shuffle(0.5).step(models, [], 1.0) > 0
    assert torch.equal(before.sort(0).values, thetas(models).sort(0).values)


def test_tied_weights_are_exchanged_once_and_stay_tied() -> None:
    """With the probability of the first module that has them."""
    models = members(3, Odd)
    before = [m.first.weight.detach().clone() for m in models]
    moved = Shuffle(1.0, decrease=False).step(models, [], 1.0)
    assert all(m.tied.weight is m.first.weight for m in models)
    now = torch.stack([m.first.weight.detach() for m in models])
    assert torch.equal(now.sort(0).values, torch.stack(before).sort(0).values)
    trained = {p for p in models[0].parameters() if p.requires_grad}
    assert moved <= 3 * sum(p.numel() for p in trained)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pull(1.5), lambda: Pull(0.5, every=0), lambda: Average(0), lambda: Average(1, -1),
        lambda: Pairs(0), lambda: Shuffle(-0.1), lambda: SparseAverage(2),
        lambda: Population(members(2), [], Independent()),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(wrong: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):
        wrong()


def test_members_on_the_same_batches_are_plain_training() -> None:
    """Whatever merges them: of one start and one order, all members are one model."""
    (model,) = members(1)
    models = [copy.deepcopy(model) for _ in range(3)]
    optimizers, mixing = [SGD(m.parameters(), lr=0.01) for m in models], Average(every=2)
    optimizer = SGD(model.parameters(), lr=0.01)
    for epoch in range(1, 6):
        learn(models, optimizers, epoch, same=True)
        learn([model], [optimizer], epoch, same=True)
        mixing.epoch(models, optimizers, epoch)
    torch.testing.assert_close(thetas(models), thetas([model] * 3), rtol=1e-5, atol=1e-6)


def test_one_episode_is_the_soup_of_runs_apart() -> None:
    """IMWA with a single merge, at the end."""
    (model,) = members(1)
    models, apart = ([copy.deepcopy(model) for _ in range(3)] for _ in range(2))
    optimizers, others = adams(models), adams(apart)
    mixing = Average(every=4)
    for epoch in range(1, 5):
        learn(models, optimizers, epoch)
        learn(apart, others, epoch)
        mixing.epoch(models, optimizers, epoch)
    soup = Population(apart, others, Independent()).module
    torch.testing.assert_close(thetas(models), thetas([soup] * 3), rtol=1e-5, atol=1e-6)


def test_coordinates_are_touched_as_often_as_chance_says() -> None:
    """At least once in n steps: 1 − (1 − p)ⁿ of them."""
    size, p, steps = 4000, 0.02, 40
    generator, touched = torch.Generator().manual_seed(0), torch.zeros(size, dtype=torch.bool)
    for _ in range(steps):
        touched[distinct(size, p, generator)] = True
    expected = 1 - (1 - p) ** steps
    assert abs(touched.double().mean() - expected) < 5 * (expected * (1 - expected) / size) ** 0.5
