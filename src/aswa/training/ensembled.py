"""Models of finished runs, evaluated together: one by one, as one mean of weights, as an ensemble.

The predictions are combined by the task: scores of link predictors, probabilities of image
classes. The mean of weights is a soup (Wortsman et al., ICML 2022); of models with starts of their
own it is no model worth having, which its row shows.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from aswa.averaging import recompute_batch_norm
from aswa.averaging.weights import AveragedWeights, named_state
from aswa.config import ConfigError, RunConfig
from aswa.registry import AGGREGATES, load
from aswa.results.store import read_result
from aswa.tasks.task import Task
from aswa.training.loaded import Loaded, load_together

MEAN, BEST, _, ENSEMBLE = AGGREGATES
SOUP = "soup"
SPLITS = ("valid", "test")


def load_members(
    folders: Sequence[Path], method: str, last: int | None = None, **changes: Any
) -> tuple[Loaded, list[nn.Module], list[dict[str, Any]]]:
    """The first run, all models, and of each the run and its number among the run's models.

    Unlike those of `aswa.training.loaded.load_together` the runs may be of different models and
    settings; runs of one setting share their task. All models are as the first run's task has to
    call them: with image classifiers each sees inputs normalised as in its training.

    Args:
        method: of every run; `snapshot` for the running models on the way.
        last: of each run only its last models, such as the snapshots of the end.

    Raises:
        ConfigError: fewer than two models, or a run on other data or of another task.
        FileNotFoundError, ValueError: see `aswa.training.loaded.load`.
    """
    if last is not None and last < 1:
        raise ConfigError(f"--last {last}: must be at least 1")
    runs: list[Loaded] = []
    tasks: dict[str, Task] = {}
    for folder in folders:
        setting = str(read_result(folder / "result.json").get("setting_id", folder))
        runs.append(load_together([folder], method, tasks.get(setting), **changes))
        tasks[setting] = runs[-1].task
    first, *others = runs
    for run, folder in zip(others, folders[1:], strict=True):
        if unlike := _unlike(first.config, run.config):
            raise ConfigError(
                f"{folder}: {unlike} is not that of {folders[0]}; an ensemble answers one "
                "question, so all runs need the same dataset and task"
            )
    declared = first.config.kind.tasks[first.config.task.name].adopt
    adopt = load(declared) if declared else lambda task, model, trained_by: model
    members, who = [], []
    for run in runs:
        numbered = list(enumerate(run.members))[-(last or len(run.members)) :]
        members += [adopt(first.task, member, run.task) for _, member in numbered]
        who += [{"run_id": run.config.run_id, "number": number} for number, _ in numbered]
    if len(members) < 2:
        raise ConfigError("an ensemble needs two models or more; name several runs, or --snapshots")
    return first, members, who


def _unlike(one: RunConfig, other: RunConfig) -> str:
    """The keys of dataset and task that are not the same, such as `dataset.train_size`."""
    ours, theirs = (
        {
            key: value
            for key, value in {**setting["shared"], **setting["evaluation"]}.items()
            if key.partition(".")[0] in ("dataset", "task")
        }
        for setting in (one.setting, other.setting)
    )
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    named = [key for key in different if key.endswith(".name")] or different
    return ", ".join(f"{key}={theirs.get(key)}" for key in named)


def ensemble_rows(
    task: Task, members: Sequence[nn.Module], config: RunConfig | None = None
) -> list[dict[str, Any]]:
    """Rows `mean_member`, `best_member` (by validation), `soup` where shapes agree, `ensemble`.

    Args:
        config: of a run; with it `ensemble` has the metrics that its task declares as `combined`.
    """
    declared = None if config is None else config.kind.tasks[config.task.name].combined
    combined = load(declared) if declared else lambda task, members, split: {}
    found: list[dict[str, Any]] = []
    alone = {split: [task.metrics([member], split) for member in members] for split in SPLITS}
    scores = [each[task.selection_metric] for each in alone["valid"]]
    best = scores.index(max(scores))
    offered = {ENSEMBLE: list(members)}
    if (soup := _mean(task, members)) is not None:
        offered = {SOUP: [soup], **offered}
    for split in SPLITS:
        mean = {m: statistics.fmean(each[m] for each in alone[split]) for m in alone[split][0]}
        of_split = {MEAN: mean, BEST: alone[split][best]}
        of_split |= {name: task.metrics(models, split) for name, models in offered.items()}
        of_split[ENSEMBLE] |= combined(task, members, split)
        found += [
            {"optimizer": name, "split": split, "metric": metric, "value": value}
            for name, values in of_split.items()
            for metric, value in values.items()
        ]
    return found


def _mean(task: Task, members: Sequence[nn.Module]) -> nn.Module | None:
    """The mean of the weights, with batch-norm statistics of its own; None of unlike models."""
    shapes = [{name: t.shape for name, t in named_state(member).items()} for member in members]
    if any(each != shapes[0] for each in shapes):
        return None
    mean = AveragedWeights(members[0])
    mean.assign_mean(list(members))
    if task.batch_norm_batches is not None:
        recompute_batch_norm(mean.module, task.batch_norm_batches)
    return mean.module.eval()
