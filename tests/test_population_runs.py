"""Populations in a run: each resumes after any batch, and the recipes are what they say."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import small_text
from aswa.config import ConfigError, RunConfig, load
from aswa.config.loading import remarks
from aswa.config.members import members, template
from aswa.registry import AGGREGATES
from aswa.sweeping.plan import check_run
from aswa.tasks.language_modeling import LanguageModeling
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.record import run_record
from aswa.training.trajectory import Trajectory
from drifting_model import bits

SMALL = ("dataset=umls", "model=complex", "model.dim=8", "model.input_dropout=0.2", "epochs=4",
         "batch_size=400", "lr=0.1", "device=cpu")  # fmt: skip
LR = OmegaConf.create({"lr": 0.1, "hyperparameters": None})
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


def test_branches_have_a_common_start() -> None:
    """Until epoch `start` the run is plain training; then copies part, and meet every 2 epochs."""
    dart = "population=dart", "population.members=3", "population.start=2", "population.every=2"
    work, plain = trajectory(config(*dart, "epochs=6")), trajectory(config("epochs=6"))
    apart = []
    for _ in range(6):
        work.advance()
        plain.advance()
        if work.epoch <= 2:
            assert bits(work.model) == bits(plain.model)
        else:
            apart.append(len({tuple(bits(learner.model)) for learner in work.learners}))
    assert work.losses[:2] == plain.losses[:2] and work.losses[2] != plain.losses[2]
    assert apart == [3, 1, 3, 1]
    work = trajectory(config(*dart, "epochs=3"))
    for _ in range(2):
        work.advance()
    again = trajectory(config(*dart, "epochs=3"))
    again.load_state_dict(copy.deepcopy(work.state_dict()))
    assert {tuple(bits(m)) for m in (again.model, *again._models)} == {tuple(bits(work.model))}


def test_a_run_that_ends_in_its_common_start_has_equal_members() -> None:
    early = "optimizer=early_stopping", "optimizer.early_stopping.patience=1", "lr=1"
    work = trajectory(config("population=dart", "epochs=40", "population.start=39", *early))
    found = finish(work)
    assert work.epoch < 39
    assert found["population"] == {"relative_distance": 0.0, "numbers_sent": 0}


def test_a_pull_falls_with_the_rate_of_the_step(tmp_path: Path, data_dir: Path) -> None:
    """Also where the schedule goes by steps, and where the run is resumed within an epoch."""
    run = small_text.config(
        tmp_path, "population=papa", "population.members=2", "population.every=1", "epochs=1",
        "schedule=warmup_cosine", "schedule.warmup=4", f"data_dir={data_dir}",
    )  # fmt: skip
    task, states = LanguageModeling(run, torch.device("cpu")), []
    straight = Trajectory(run, task)
    straight.pause = lambda: states.append(copy.deepcopy(straight.state_dict()))
    straight.advance()
    for state in states[:6]:
        other = Trajectory(run, task)
        other.load_state_dict(state)
        other.advance()
        assert bits(other.model) == bits(straight.model)


@pytest.mark.parametrize(
    "wrong",
    [
        ("population=wash", "population.p=2"),
        ("population=papa_all", "population.every=0"),
        ("population=papa", "population.alpha=null"),
        ("population=wash", "population.seed=1.5"),
        ("population=wash", f"population.seed={2**70}"),
        ("population=wash", "+population.common_start=true"),
        ("population=imwa", "+population.common_start=true"),
    ],
)
def test_wrong_options_of_a_mixing_are_refused_before_a_run(wrong: tuple[str, ...]) -> None:
    named = "|".join((wrong[0], wrong[1].partition("=")[0].lstrip("+")))
    with pytest.raises(ConfigError, match=rf"^({named})[:=]"):
        check_run(config(*wrong))


@pytest.mark.parametrize(("name", "first"), [("dart", 168), ("imwa", 16), ("papa_2", 5)])
def test_a_population_that_would_never_merge_is_told(name: str, first: int) -> None:
    found = [remarks(config(f"population={name}", f"epochs={n}"), LR) for n in (first - 1, first)]
    assert [len(each) for each in found] == [1, 0]


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
