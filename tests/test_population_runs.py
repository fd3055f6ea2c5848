"""Populations in a run: each resumes after any batch, and the recipes are what they say."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch

from aswa.config import RunConfig, load
from aswa.config.members import members, template
from aswa.registry import AGGREGATES
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.record import run_record
from aswa.training.trajectory import Trajectory

SMALL = ("dataset=umls", "model=complex", "model.dim=8", "model.input_dropout=0.2", "epochs=4",
         "batch_size=400", "lr=0.1", "device=cpu")  # fmt: skip
# Often enough for four epochs.
OFTEN = {
    "dart": ["population.every=1", "population.start=2"],
    **{name: ["population.every=2"] for name in ("papa", "papa_all", "papa_2", "imwa")},
    **{name: ["population.p=0.2"] for name in ("wash", "wash_opt", "sparse_average")},
}


def config(*words: str) -> RunConfig:
    return load([*SMALL, *words])


def trajectory(run: RunConfig) -> Trajectory:
    return Trajectory(run, LinkPrediction(run, torch.device("cpu")))


def finish(work: Trajectory) -> dict[str, Any]:
    while not work.finished:
        work.advance()
    return work.record()


def test_every_population_is_tried() -> None:
    named = {name: template("population", name).get("name", "") for name in members("population")}
    variants = {name for name, own in named.items() if own != name}
    assert {*OFTEN, "independent"} == set(members("population")) - variants
    for name in variants:  # the same mixings with other options
        run = config(f"population={name}")
        assert run.population.name in {*OFTEN, "independent"}
        assert len(trajectory(run).learners) == run.population.members > 1


@pytest.mark.parametrize("name", OFTEN)
def test_a_population_resumes_after_any_batch(name: str) -> None:
    run = config(f"population={name}", "population.members=3", *OFTEN[name])
    states: list[bytes] = []
    straight = trajectory(run)

    def keep() -> None:
        file = io.BytesIO()
        torch.save(straight.state_dict(), file)
        states.append(file.getvalue())

    straight.pause = keep
    expected = finish(straight)["rows"]
    for content in states[3::9]:
        torch.manual_seed(99)
        other = trajectory(run)
        other.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
        assert finish(other)["rows"] == expected


@pytest.mark.slow
def test_populations_differ_and_one_member_is_plain_training() -> None:
    """With the same members, each mixing leads elsewhere."""
    three = [f"population={name}" for name in ("independent", "papa", "wash", "papa_all")]
    rows = [
        finish(trajectory(config(word, "population.members=3", *OFTEN.get(word[11:], []))))["rows"]
        for word in three
    ]
    assert len({str(found) for found in rows}) == len(three)
    plain = finish(trajectory(config()))["rows"]
    for name in OFTEN:
        alone = config(f"population={name}", "population.members=1", *OFTEN[name])
        assert finish(trajectory(alone))["rows"] == plain


def test_initial_weights_are_shared_on_demand() -> None:
    """Orders of examples and dropout stay each member's own."""
    for shared in (True, False):
        work = trajectory(config("population=papa", f"population.shared_init={shared}"))
        first, second = (learner.model.entity for learner in work.learners[:2])
        assert torch.equal(first, second) is shared
        before = copy.deepcopy(first)
        work.pause = lambda: None
        work.advance()
        assert not torch.equal(first, before) and not torch.equal(first, second)


def test_the_random_numbers_of_a_mixing_follow_the_run() -> None:
    """And a seed of its own changes nothing else."""
    states = [
        trajectory(config("population=wash", *words)).mixing.state_dict()["generator"]
        for words in (
            ["seed=1"],
            ["seed=2"],
            ["population.seed=2"],
            ["population.seed=2", "seed=1"],
        )
    ]
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2]) and torch.equal(states[2], states[3])


def test_members_have_rows_beside_the_methods_on_their_mean() -> None:
    """The best by validation, the mean of all, a soup no worse on validation, the ensemble."""
    run = config("population=wash", "population.members=3", *OFTEN["wash"])
    work = trajectory(run)
    record = finish(work)
    values: dict[str, dict[tuple[str, str], float]] = {}
    for row in record["rows"]:
        values.setdefault(row["optimizer"], {})[row["split"], row["metric"]] = row["value"]
    assert values.keys() == {*run.methods, *AGGREGATES}
    models = [learner.model.eval() for learner in work.learners]
    for split in ("valid", "test"):
        alone = [work.task.metrics([model], split)["mrr"] for model in models]
        best = max(range(3), key=lambda m: work.task.score(models[m]))
        assert values["best_member"][split, "mrr"] == alone[best]
        assert values["mean_member"][split, "mrr"] == pytest.approx(sum(alone) / 3)
        together = work.task.metrics(models, split)["mrr"]
        assert values["ensemble"][split, "mrr"] == together
    valid = ("valid", "mrr")
    assert values["greedy_soup"][valid] >= values["best_member"][valid]
    assert record["population"]["numbers_sent"] > 0
    assert record["population"]["relative_distance"] > 0
    assert set(run_record(run, torch.device("cpu"), record)["methods"]) == values.keys()
