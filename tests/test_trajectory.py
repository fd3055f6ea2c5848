"""A trajectory on a toy task: plain training to the last bit, riders, and several learners."""

from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aswa.averaging import has_batch_norm
from aswa.averaging.averager import Averager
from aswa.config import RunConfig, load
from aswa.registry import methods, mixings
from aswa.training import riders
from aswa.training import trajectory as trajectory_module
from aswa.training.record import run_record
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory

EPOCHS, BATCHES, BATCH = 6, 3, 16


class ToyTask:
    """Regression of a random linear map by a network with batch-norm and dropout.

    `score` is minus the squared error. Several members are judged by their mean prediction.
    """

    selection_metric, chance, sparse_gradient = "mrr", -1e9, False
    device = torch.device("cpu")

    def __init__(self, *_: Any) -> None:
        generator = torch.Generator().manual_seed(1)
        self._inputs = torch.randn(BATCHES * BATCH, 4, generator=generator)
        self._targets = self._inputs @ torch.randn(4, 1, generator=generator)
        self.batch_norm_batches = list(self._inputs.split(BATCH))

    def build_model(self, generator: torch.Generator) -> nn.Module:
        model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        return model

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        order = torch.randperm(len(self._inputs), generator=generator)
        for chosen in order.split(BATCH)[start:]:
            loss = (model(self._inputs[chosen]) - self._targets[chosen]).square().mean()
            yield loss, len(chosen)

    def score(self, model: nn.Module) -> float:
        return self.metrics([model], "valid")["mrr"]

    @torch.no_grad()
    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        mean = sum(model.eval()(self._inputs) for model in members) / len(members)
        return {"mrr": -float((mean - self._targets).square().mean())}


def config(*overrides: str) -> RunConfig:
    words = ("optimizer=all", "base_optimizer=sgd", "lr=0.1", f"epochs={EPOCHS}", *overrides)
    return load(["dataset=umls", "model=distmult", *words])


def trained(trajectory: Trajectory) -> Trajectory:
    while not trajectory.finished:
        trajectory.advance()
    return trajectory


def flat(module: nn.Module) -> Tensor:
    return torch.cat([t.detach().flatten().double() for t in module.state_dict().values()])


def saved(trajectory: Trajectory) -> dict[str, Any]:
    """The state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(trajectory.state_dict(), buffer)
    buffer.seek(0)
    state: dict[str, Any] = torch.load(buffer, weights_only=True)
    return state


def test_one_learner_is_a_plain_loop() -> None:
    """Written out here with torch alone, whoever watches; with dropout and batch-norm."""
    found = trained(Trajectory(config(), ToyTask()))
    run, task = config(), ToyTask()
    source = Trajectory(run, task).learners[0]
    model = source.model
    rule = run.base_optimizer
    optimizer = torch.optim.SGD(
        model.parameters(), run.lr, rule.momentum, weight_decay=rule.weight_decay, fused=True
    )
    for epoch in range(EPOCHS):
        model.train()
        stream = source._stream(f"epoch {epoch}")
        torch.manual_seed(int(torch.randint(2**62, (), generator=stream)))
        for loss, _ in task.losses(model, stream):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert torch.equal(flat(found.model), flat(model))


@pytest.mark.parametrize("optimizer", ["all", "ablation"])
def test_the_epoch_of_a_row_is_the_epoch_of_its_weights(optimizer: str) -> None:
    """The last epoch in which what the method offers moved, by its parameters."""
    trajectory = Trajectory(config(f"optimizer={optimizer}"), ToyTask())

    def offered() -> dict[str, list[Tensor]]:
        return {name: [p.detach().clone() for p in rider.averager.module.parameters()]
                for name, rider in trajectory.riders.items()}  # fmt: skip

    moved, before = dict.fromkeys(trajectory.riders, 0), offered()
    while not trajectory.finished:
        trajectory.advance()
        now = offered()
        for name in moved:
            same = all(map(torch.equal, now[name], before[name]))
            averager = trajectory.riders[name].averager
            offers = averager.n_averaged > 0 or averager.score is not None
            if offers and not same:
                moved[name] = trajectory.epoch
        before = now
    rows = trajectory.record()["rows"]
    assert {row["optimizer"]: row["epoch"] for row in rows} == moved
    assert moved["sgd"] == EPOCHS
    assert moved.get("ema", EPOCHS) == EPOCHS


def test_curves_say_what_is_known() -> None:
    """Methods that measure themselves, the running model, averages once there are some."""
    trajectory = trained(Trajectory(config("optimizer.swa.start=4"), ToyTask()))
    valid = trajectory.history["valid"]
    v = valid["sgd"]
    assert valid["early_stopping"] == [max(v[: n + 1]) for n in range(EPOCHS)]
    scores = trajectory.history["scores"]["aswa"]
    assert [pair[0] for pair in scores] == v
    assert scores[0][1] != scores[0][1]  # nothing to look ahead from
    best = [max(max(pair) for pair in scores[1 : n + 1]) if n else v[0] for n in range(EPOCHS)]
    assert valid["aswa"] == [max(v[0], each) for each in best]
    assert None not in valid["ema"]
    by_method = {row["optimizer"]: row["value"] for row in trajectory.record()["rows"]
                 if row["split"] == "valid"}  # fmt: skip
    assert by_method == {name: curve[-1] for name, curve in valid.items()}


class Averaged:
    """A toy mixing: after every epoch all members are their mean."""

    def __init__(self) -> None:
        self.steps = self.epochs = 0

    def step(self, members: Any, optimizers: Any, rate: float) -> int:
        assert len(members) == len(optimizers) == 2 and rate == 1
        self.steps += 1
        return 0

    @torch.no_grad()
    def epoch(self, members: Sequence[nn.Module], optimizers: Any, epoch: int) -> int:
        self.epochs += 1
        assert epoch == self.epochs
        for own in zip(*(member.parameters() for member in members), strict=True):
            mean = torch.stack(own).mean(0)
            for parameter in own:
                parameter.copy_(mean)
        return len(members)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.epochs = state["steps"], state["epochs"]


def pair(mixing: str = "independent") -> Trajectory:
    """Two learners; `mixing` is independent or averaged."""
    run = config("population.members=2")
    population = dataclasses.replace(run.population, name=mixing)
    return Trajectory(dataclasses.replace(run, population=population), ToyTask())


@pytest.fixture(autouse=True)
def toy_mixing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**mixings(), "averaged": f"{__name__}:Averaged"}
    monkeypatch.setattr(trajectory_module, "mixings", lambda: known)


def test_without_a_mixing_learners_go_the_way_they_go_alone() -> None:
    """Number 0 to the last bit, though dropout of both draws from the same global generator."""
    alone, both = trained(Trajectory(config(), ToyTask())), trained(pair())
    assert torch.equal(flat(alone.model), flat(both.learners[0].model))
    assert not torch.equal(flat(alone.model), flat(both.learners[1].model))


def test_methods_ride_on_the_mean_of_several_learners() -> None:
    """All rows are those of methods that were fed that mean by hand, and its own is SGD's."""
    trajectory = pair("averaged")
    by_hand = riders.build_riders(trajectory.config, trajectory.model, trajectory._batches)
    original = trajectory._mean.refresh

    def fed(batches: Any = None) -> None:
        original(batches)
        if batches is None:  # else an epoch is over
            for rider in by_hand.values():
                rider.averager.step(trajectory.model)

    trajectory._mean.refresh = fed  # type: ignore[method-assign]
    while not trajectory.finished:
        trajectory.advance()
        first, second = (learner.model for learner in trajectory.learners)
        for a, b, mean in zip(first.parameters(), second.parameters(),
                              trajectory.model.parameters(), strict=True):  # fmt: skip
            assert torch.equal(a, b) and torch.equal(a, mean)
        for rider in by_hand.values():
            rider.update(trajectory.model, trajectory.task.score, trajectory.epoch)
    assert trajectory.mixing.state_dict() == {"steps": BATCHES * EPOCHS, "epochs": EPOCHS}
    for name, rider in trajectory.riders.items():
        (module,), (other,) = rider.averager.members(), by_hand[name].averager.members()
        assert torch.equal(flat(module), flat(other)), name
    assert trajectory.riders["sgd"].averager.module is trajectory.model
    assert trajectory.record()["rows"]


def test_batch_norm_statistics_belong_to_the_mean() -> None:
    """Recomputed for its weights, not the mean of the members' statistics."""
    trajectory = trained(pair())
    assert has_batch_norm(trajectory.model)
    layer = trajectory.model[1]
    with torch.no_grad():
        hidden = [trajectory.model[0](batch) for batch in trajectory.task.batch_norm_batches]
    expected = torch.stack([batch.mean(0) for batch in hidden]).mean(0)
    torch.testing.assert_close(layer.running_mean, expected)


@pytest.mark.parametrize("n_learners", [1, 2])
def test_a_trajectory_resumes_after_any_batch_and_any_rider(n_learners: int) -> None:
    """States of a run, each carried on by another object: same end, to the last bit."""

    def build() -> Trajectory:
        return Trajectory(config(), ToyTask()) if n_learners == 1 else pair("averaged")

    states: list[dict[str, Any]] = []
    straight = build()
    straight.pause = lambda: states.append(saved(straight))
    expected = trained(straight).record()
    assert len(states) == EPOCHS * (BATCHES + len(straight.riders))
    for state in states[:: 5 if n_learners == 1 else 11]:
        other = build()
        torch.manual_seed(99)  # what another process would have drawn
        other.load_state_dict(state)
        found = trained(other).record()
        assert found["rows"] == expected["rows"]
        assert found["decisions"] == expected["decisions"]
        assert str(other.history) == str(straight.history)  # NaN is no equal of itself


def test_a_state_of_version_0_1_goes_on() -> None:
    """It has no numbers sent, no first epoch, no time of mixing, no members an epoch."""
    straight = Trajectory(config(), ToyTask())
    straight.advance()
    state = saved(straight)
    for key in ("moved", "first_epoch"):
        del state[key]
    del state["seconds"]["mix"]
    for rider in state["riders"].values():
        del rider["members"]
    other = Trajectory(config(), ToyTask())
    other.load_state_dict(state)
    assert trained(other).record()["rows"] == trained(straight).record()["rows"]


class Interrupted(BaseException):
    """As a signal raises it."""


def test_an_evaluation_that_is_broken_off_is_as_if_it_had_not_begun() -> None:
    """Each in turn; the state saved then, within a method's update, goes the usual way."""
    run = config("optimizer=released", "optimizer.early_stopping.patience=2")
    measuring = ("early_stopping", "aswa", "aswa_released")
    run = dataclasses.replace(run, methods={name: run.methods[name] for name in measuring})
    expected = trained(Trajectory(run, ToyTask())).record()["rows"]
    broken_off = 0
    while True:
        trajectory = Trajectory(run, ToyTask())
        left, original = broken_off, trajectory.task.score

        def score(
            model: nn.Module, trajectory: Any = trajectory, original: Any = original
        ) -> float:
            nonlocal left
            assert trajectory.interruptible
            if left == 0:
                raise Interrupted
            left -= 1
            return original(model)

        trajectory.task.score = score  # type: ignore[method-assign]
        try:
            trained(trajectory)
            break
        except Interrupted:
            assert not trajectory.interruptible
        broken_off += 1
        other = Trajectory(run, ToyTask())
        other.load_state_dict(saved(trajectory))
        assert trained(other).record()["rows"] == expected
    assert broken_off > 2 * EPOCHS


class Sampler(Averager):
    """A toy sampling method: the running model of the last epoch, and two copies moved off it."""

    def update(self, model: nn.Module, evaluate: Any) -> None:
        self._restart(model)

    def members(self) -> list[nn.Module]:
        generator = torch.Generator().manual_seed(0)
        (module,) = super().members()
        copies = [copy.deepcopy(module) for _ in range(2)]
        with torch.no_grad():
            for parameter in (p for other in copies for p in other.parameters()):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return [module, *copies]


def test_a_method_that_samples_is_judged_with_all_its_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its curve, its rows and what is saved of it."""
    sgd = methods()["sgd"]
    monkeypatch.setattr(riders, "load", lambda path: Sampler if path == "toy" else None)
    monkeypatch.setattr(riders, "methods", lambda: {"sgd": sgd._replace(path="toy")})
    from aswa.training import session

    made = {"aswa.tasks.link_prediction:LinkPrediction": ToyTask}
    monkeypatch.setattr(session, "load", lambda path: made.get(path, Trajectory))
    words = ("optimizer=sgd", f"results_dir={tmp_path}", "save_weights=true", "precision=fp32")
    run = dataclasses.replace(config(*words), methods={"sgd": {}})
    ended: list[Trajectory] = []
    record = execute(run, on_epoch=ended.append)
    (rider,) = ended[-1].riders.values()
    members = rider.averager.members()
    expected = ToyTask().metrics(members, "valid")["mrr"]
    assert expected != ToyTask().score(members[0])
    assert {row["value"] for row in record["rows"]} == {expected}
    assert rider.valid[-1] == expected
    for number, member in enumerate(members):
        state = torch.load(run.folder / "weights" / f"sgd-{number}.pt", weights_only=True)
        assert all(torch.equal(state[key], value) for key, value in member.state_dict().items())


def test_a_record_takes_what_the_work_found() -> None:
    record = run_record(config(), torch.device("cpu"), trained(pair()).record())
    assert record["members"]["ema"] == EPOCHS * BATCHES
    assert set(record["decisions"]) == {"aswa"}
    assert set(record["method_seconds"]) == {"running_score", *record["methods"]}
