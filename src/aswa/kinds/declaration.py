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
    """A number that a task measures.

    Attributes:
        name: in rows.
        label: in tables and sentences.
        higher_is_better: its direction.
        family: metrics that are about the same thing, such as `triples`, `queries`.
        part: what of the split it is about, such as `heads`; None for all of it.
    """

    name: str
    label: str
    higher_is_better: bool
    family: str
    part: str | None = None

    def described(self) -> Plain:
        """What a record says of the metric."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass(frozen=True)
class TaskDeclaration:
    """A task of a kind.

    Attributes:
        path: of the class, with the protocol of `aswa.tasks.task.Task`.
        metrics: from the task's options to all metrics that it can give.
        options: schema of the options.
        fill: path of a function that completes the task's group in place and returns the files
            whose bytes it named.
        check: path of a function that raises ConfigError for options that do not fit together.
    """

    path: str
    metrics: Callable[[Mapping[str, Any]], Sequence[Metric]]
    options: type[Any] = NoOptions
    fill: str | None = None
    check: str | None = None


@dataclass(frozen=True)
class Filled:
    """What a kind found while it completed a configuration.

    Attributes:
        files: whose bytes or absence decided what was filled in.
        reduced: what makes the run smaller than the published experiment, in words.
    """

    files: tuple[Path, ...] = ()
    reduced: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        name: in conf/, key `kind`.
        words: for sentences, such as `knowledge graph`.
        dataset: schema of what its datasets have beside name, kind, folder and rates.
        model: schema of what all its models have.
        models: schemas of what single models have beside that.
        tasks: by name; the first is what its datasets are for unless `task=` names another.
        fetching: module with `fetch` and `inspect` of its datasets.
        fill: path of a function that completes a configuration in place, given the row of its
            hyper-parameter table, and returns `Filled`.
        check: path of a function that raises ConfigError for model options that do not fit.
        torchrun: several processes can share one run.
    """

    name: str
    words: str
    dataset: type[Any]
    model: type[Any]
    tasks: Mapping[str, TaskDeclaration]
    fetching: str
    fill: str | None = None
    models: Mapping[str, type[Any]] = field(default_factory=dict)
    check: str | None = None
    torchrun: bool = False

    @property
    def usual_task(self) -> str:
        """The name of the task that its datasets are for."""
        return next(iter(self.tasks))
