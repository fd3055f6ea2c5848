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
from aswa.config.members import add_recorded
from aswa.registry import load as load_object
from aswa.results.store import read_record, read_result
from aswa.tasks.task import Task
from aswa.training.kept import SNAPSHOT, weight_files
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
    """Load what a method made in a finished run with `save_weights=true`, or an export of it.

    Args:
        folder: of the run, RESULTS_DIR/runs/<dataset>/<model>/<run_id>, or of `aswa-export`.
        method: one of the run's; `snapshot` for the running model on the way, of a run with
            `save_snapshots`, in the order of epochs.
        changes: keys of the configuration that cannot change a result, such as `data_dir` or
            `device`.

    Raises:
        FileNotFoundError: the run is not finished, or kept no weights; says what to do.
        ValueError: the run has no such method, or its plan now means another run.
    """
    return load_together([folder], method, **changes)


def load_together(
    folders: Sequence[str | Path], method: str = "aswa", task: Task | None = None, **changes: Any
) -> Loaded:
    """What a method made in several runs that differ in their seeds, as one: an ensemble.

    The samples of several runs' SWAG together are MultiSWAG (Wilson, Izmailov 2020). Configuration
    and record are those of the first run.

    Args:
        folders: at least one; as of `load`.
        method: one of all runs.
        task: of these runs, if it is there already; else it is built.
        changes: as of `load`.

    Raises:
        FileNotFoundError, ValueError: as `load`; or the runs are of different settings.
    """
    found = [_described(Path(folder), method, changes) for folder in folders]
    config, record, _ = found[0]
    for (other, _, _), folder in zip(found, folders, strict=True):
        if other.setting_id != config.setting_id:
            raise ValueError(f"{folder}: its setting is not that of {folders[0]}; seeds may differ")
    device = pick_device(config.device)
    if task is None:
        task = load_object(config.kind.tasks[config.task.name].path)(config, device)
    members = []
    for file in [file for _, _, files in found for file in files]:
        model = task.build_model(torch.Generator())
        model.load_state_dict(_read(file, device))
        members.append(model.eval())
    return Loaded(members, task, config, record)


def _described(
    path: Path, method: str, changes: dict[str, Any]
) -> tuple[RunConfig, dict[str, Any], list[Path]]:
    """Configuration, record and files of a method's weights of a run; raises as `load`."""
    record = read_result(path / "result.json")
    known = list(dict.fromkeys(row["optimizer"] for row in record["rows"]))
    if method not in (*known, SNAPSHOT):
        raise ValueError(f"{path}: no method {method!r}; the run has {', '.join(known)}")
    files = weight_files(path, method)
    if not files:
        key = "save_snapshots=10, say" if method == SNAPSHOT else "save_weights=true"
        raise FileNotFoundError(
            f"{path / 'weights'}: the run kept no weights of {method}; remove {path} and give the "
            f"command of the run again with {key}"
        )
    try:
        plan = read_record(path / "plan.json")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no plan.json in it, which aswa-train writes, so its model cannot be built; "
            "remove the folder and give the run's command to aswa-train"
        ) from None
    add_recorded(plan["composed"])
    composed = plan["composed"] | {"tracker": {"name": "none"}} | changes
    config = resolve(OmegaConf.create(composed), plan["overrides"])
    if config.run_id != record["run_id"]:
        raise ValueError(
            f"{path}: recorded as {record['run_id']}, but its plan now means {config.run_id}: the "
            "dataset's files, the code or a changed key make it another run"
        )
    return config, record, files


def _read(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    if file.suffix == ".pt":
        return torch.load(file, map_location=device, weights_only=True)
    from safetensors.torch import load_file

    return load_file(file, str(device))
