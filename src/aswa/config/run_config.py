"""One run, complete and typed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aswa.config import identity
from aswa.config.schema import setting
from aswa.registry import kinds, methods


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """A member of conf/dataset; what its kind declares is in `options`."""

    name: str
    kind: str
    folder: str = setting(neutral=True)
    tuned_lr: dict[str, float] = setting(neutral=True)
    options: dict[str, Any]
    tuned_at: dict[str, Any] | None = setting(None, neutral=True)


@dataclass(frozen=True)
class MemberConfig:
    """A member of conf/model or conf/task; `options` are its own."""

    name: str
    kind: str
    options: dict[str, Any]


@dataclass(frozen=True)
class BaseOptimizerConfig:
    """A member of conf/base_optimizer: the update rule under all methods."""

    name: str = setting(choices=("adam", "adamw", "sgd", "adagrad"))
    weight_decay: float = setting(0.0, least=0)
    momentum: float = setting(0.0, least=0, below=1)
    betas: list[Any] | None = setting(None)  # of adamw
    clip: float | None = setting(None, above=0)  # largest norm of the gradients


@dataclass(frozen=True)
class ScheduleConfig:
    """A member of conf/schedule: the learning rate by epoch, or by step after a warm-up."""

    name: str = setting(
        choices=("constant", "swa", "fair", "cosine", "warmup_constant", "warmup_cosine")
    )
    start: int | None = setting(None, least=0)
    swa_lr: float | None = setting(None, least=0)
    warmup: int | None = setting(None, least=0)  # optimizer steps
    last: float | None = setting(None, least=0, most=1)  # share of lr at the last step


@dataclass(frozen=True, kw_only=True)
class PopulationConfig:
    """A member of conf/population; `options` are the arguments of its mixing."""

    name: str
    members: int = setting(least=1)
    shared_init: bool = setting(False, added=True)
    # Of members in turn; of one model, alone or in the common start, by epochs.
    recipes: list[Any] | None = setting(None, added=True)
    # Until epoch `start` of the options one model trains; the members are its copies.
    common_start: bool = setting(False, added=True)
    options: dict[str, Any]

    @property
    def common_epochs(self) -> int:
        """Epochs that one model trains before there are several."""
        return int(self.options["start"]) if self.common_start else 0


@dataclass(frozen=True)
class TrackerConfig:
    """Members of conf/tracker: their names, and the options of each."""

    name: str  # `none`, `wandb`, `wandb+csv`
    options: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, complete: nothing in it is left to a default elsewhere.

    For run_id, setting_id, setting and setting_ids see `aswa.config.identity`.
    """

    dataset: DatasetConfig
    model: MemberConfig
    task: MemberConfig
    optimizer: str
    methods: dict[str, dict[str, Any]]  # options by name, in the order of tables
    base_optimizer: BaseOptimizerConfig
    schedule: ScheduleConfig
    population: PopulationConfig
    tracker: TrackerConfig = setting(neutral=True)
    seed: int = setting(least=0)
    epochs: int = setting(least=1)
    batch_size: int = setting(least=1)
    lr: float = setting(above=0)
    precision: str = setting(choices=("fp32", "tf32", "bf16", "fp16"))
    device: str = setting(neutral=True)
    threads: int = setting(neutral=True, least=1)
    memory_budget: int = setting(neutral=True, least=64)
    data_dir: str | None = setting(neutral=True)
    results_dir: str = setting(neutral=True)
    checkpoint_seconds: float = setting(neutral=True, least=0)
    save_weights: bool = setting(neutral=True)
    resume: str = setting(neutral=True, choices=("auto", "force", "restart"))
    save_snapshots: int | None = setting(None, neutral=True, least=1)
    resolved: dict[str, Any] = setting(neutral=True)  # all as plain data, recorded with results
    files: tuple[Path, ...] = setting((), neutral=True)  # whose bytes are part of it
    reduced: str | None = setting(None, neutral=True)  # why smaller than published, in words
    said: tuple[str, ...] = setting((), neutral=True)  # overrides that its title names

    @property
    def kind(self) -> Any:
        """The `aswa.kinds.declaration.Kind` of the dataset."""
        return kinds()[self.dataset.kind]

    @cached_property
    def run_id(self) -> str:
        return identity.run_id(self.resolved)

    @cached_property
    def setting_id(self) -> str:
        return identity.setting_id(self.resolved)

    @cached_property
    def setting(self) -> dict[str, Any]:
        return identity.setting(self.resolved)

    @cached_property
    def setting_ids(self) -> dict[str, Any]:
        return identity.setting_ids(self.setting)

    @property
    def method_labels(self) -> dict[str, str]:
        """What tables call the methods."""
        return {name: methods()[name].label for name in self.methods}

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics of the run's one line."""
        task = self.kind.tasks[self.task.name]
        return task.headline or (task.metrics(self.task.options)[0].name,)

    def metrics(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Label, direction and family of the named metrics.

        A metric that the task does not declare has no direction: nothing is best in it.
        """
        declared = {m.name: m for m in self.kind.tasks[self.task.name].metrics(self.task.options)}
        unknown = {"higher_is_better": None, "family": "undeclared", "part": None}
        return {
            name: declared[name].described() if name in declared else {"label": name, **unknown}
            for name in names
        }

    @property
    def title(self) -> str:
        """`dataset model optimizer seed`, for people, and what else makes this run different."""
        task = [self.task.name] if "task" in self.resolved else []
        who = (self.dataset.name, self.model.name, *task, self.optimizer, *self.said)
        return f"{' '.join(who)} seed {self.seed}"

    @property
    def folder(self) -> Path:
        """RESULTS_DIR/runs/<dataset>/<model>/<run_id>"""
        return Path(self.results_dir, "runs", self.dataset.name, self.model.name, self.run_id)
