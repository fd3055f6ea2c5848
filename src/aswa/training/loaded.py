"""The weights that a finished run kept, as a model to go on with: `aswa.load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from aswa.config import RunConfig, resolve
from aswa.registry import load as load_object
from aswa.results.store import read_record, read_result
from aswa.tasks.task import Task
from aswa.training.session import pick_device


@dataclass(frozen=True)
class Loaded:
    """What a method made in a run.

    Attributes:
        members: the models that the method offers, in eval mode; nearly always one.
        task: of the run, on its data: `task.graph.entities` are the names of a graph, and
            `task.metrics(members, split)` evaluates.
        config, record: of the run.
    """

    members: Sequence[nn.Module]
    task: Task
    config: RunConfig
    record: dict[str, Any]

    @property
    def model(self) -> nn.Module:
        """The only member. Raises ValueError where there are several."""
        if len(self.members) != 1:
            raise ValueError(f"the method offers {len(self.members)} models; take .members")
        return self.members[0]


def load(folder: str | Path, method: str = "aswa", **changes: Any) -> Loaded:
    """Load what a method made in a finished run with `save_weights=true`.

    Args:
        folder: of the run, RESULTS_DIR/runs/<dataset>/<model>/<run_id>.
        method: one of the run's.
        changes: keys of the configuration that cannot change a result, such as `data_dir` or
            `device`.

    Raises:
        FileNotFoundError: the run is not finished, or kept no weights; says what to do.
        ValueError: the run has no such method, or its plan now means another run.
    """
    path = Path(folder)
    record = read_result(path / "result.json")
    known = list(dict.fromkeys(row["optimizer"] for row in record["rows"]))
    if method not in known:
        raise ValueError(f"{path}: no method {method!r}; the run has {', '.join(known)}")
    weights = path / "weights"
    files = [weights / f"{method}.pt"]
    if not files[0].is_file():
        files = sorted(weights.glob(f"{method}-*.pt"), key=lambda p: int(p.stem.split("-")[-1]))
    if not files:
        raise FileNotFoundError(
            f"{weights}: the run kept no weights of {method}; remove {path} and give the command "
            "of the run again with save_weights=true"
        )
    plan = read_record(path / "plan.json")
    composed = plan["composed"] | {"tracker": {"name": "none"}} | changes
    config = resolve(OmegaConf.create(composed), plan["overrides"])
    if config.run_id != record["run_id"]:
        raise ValueError(
            f"{path}: recorded as {record['run_id']}, but its plan now means {config.run_id}: the "
            "dataset's files, the code or a changed key make it another run"
        )
    device = pick_device(config.device)
    task: Task = load_object(config.kind.tasks[config.task.name].path)(config, device)
    members = []
    for file in files:
        model = task.build_model(torch.Generator())
        model.load_state_dict(torch.load(file, map_location=device, weights_only=True))
        members.append(model.eval())
    return Loaded(members, task, config, record)
