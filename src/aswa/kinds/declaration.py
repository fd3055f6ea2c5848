"""What a kind of problem declares of itself: schemas, tasks, metrics, how its data are fetched.

Configuration, fetching and runs read declarations; none of them asks which kind it is. What touches
files or belongs to a higher room is named by a dotted path, `package.module:name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aswa.config.schema import NoOptions

Plain = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """A number that a task measures."""

    name: str  # in rows
    label: str  # in tables and sentences
    higher_is_better: bool
    family: str  # metrics that are about the same thing, such as `triples`, `queries`
    part: str | None = None  # of the split, such as `heads`; None for all of it

    def described(self) -> Plain:
        """What a record says of the metric."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass(frozen=True)
class TaskDeclaration:
    """A task of a kind."""

    path: str  # of the class, with the protocol of `aswa.tasks.task.Task`
    metrics: Callable[[Mapping[str, Any]], Sequence[Metric]]  # all that a task of options can give
    options: type[Any] = NoOptions  # schema
    headline: tuple[str, ...] = ()  # metrics of a run's one line; none: the first that is declared
    work: str = "aswa.training.trajectory:Trajectory"  # path of the `Work` that a session runs
    # Path of a function that completes the task's group in place and returns the files whose bytes
    # it named.
    fill: str | None = None
    check: str | None = None  # path of a function: ConfigError for options that do not fit together
    # Path of a function of a `RunConfig`: ConfigError for a model that cannot be built or data that
    # are not here. A sweep asks it before anything is launched.
    check_run: str | None = None
    names: str | None = None  # path of a function of a task: what its ids stand for
    # Path of a function of a task: its optimizer steps an epoch, which schedules by step need.
    steps: str | None = None
    # Path of a function of a task and a method's members: a text that they write, for sample.txt.
    sample: str | None = None
    # Path of a function of a task, members and a split, in place of the task's `metrics`: these,
    # and diagrams of predicted probabilities, as of `aswa.tasks.probabilistic.diagrams`.
    assess: str | None = None
    # Path of a function of a task, a model and the task that trained it: the model as the first
    # task has to call it, where models of unlike options see unlike inputs.
    adopt: str | None = None
    # Path of a function of a task, several models and a split: metrics of another way to combine
    # them than that of `metrics`, which `aswa-ensemble` gives too.
    combined: str | None = None
    # Schema of a member's recipe, `population.recipes`; the task's losses then take a `Stage`.
    recipe: type[Any] | None = None


@dataclass(frozen=True)
class Filled:
    """What a kind found while it completed a configuration."""

    files: tuple[Path, ...] = ()  # whose bytes or absence decided what was filled in
    reduced: str | None = None  # what makes the run smaller than the published one, in words


def fewer_epochs(plain: Plain, published: Mapping[str, Any]) -> str | None:
    """`100 of 300 epochs` for a run shorter than the row of the table that it was filled from."""
    epochs, whole = plain["epochs"], published.get("epochs", 0)
    return f"{epochs} of {whole} epochs" if isinstance(epochs, int) and epochs < whole else None


@dataclass(frozen=True)
class Kind:
    """A kind of problem."""

    name: str  # in conf/, key `kind`
    words: str  # for sentences, such as `knowledge graph`
    dataset: type[Any]  # schema of what its datasets have beside name, kind, folder and rates
    model: type[Any]  # schema of what all its models have
    # The first is what its datasets are for unless `task=` names another.
    tasks: Mapping[str, TaskDeclaration]
    fetching: str  # module with `fetch` and `inspect` of its datasets
    # Path of a function that completes a configuration in place, given the row of its
    # hyper-parameter table, and returns `Filled`.
    fill: str | None = None
    models: Mapping[str, type[Any]] = field(default_factory=dict)  # schemas of single models' own
    check: str | None = None  # path of a function: ConfigError for model options that do not fit
    remark: str | None = None  # path of a function: what a dataset of these options hides, or ""
    torchrun: bool = False  # several processes can share one run
    methods: str = "averaging"  # the family of `aswa.registry.Method` that its runs take
    # Keys of a training in epochs, and what each is set to where nothing is trained so; none may be
    # given then.
    untrained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usual_task(self) -> str:
        """The name of the task that its datasets are for."""
        return next(iter(self.tasks))
