"""Weights that a run leaves in its folder: of its methods, and of its running model on the way.

`weights/METHOD.pt` (METHOD-0.pt and on for several members) are those that were evaluated;
`weights/snapshot-EPOCH.pt` are the running model's after that epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from aswa.config import RunConfig
from aswa.files import write_bytes
from aswa.registry import methods
from aswa.tasks.task import Task
from aswa.training.checkpoint import serialised

WEIGHTS, SNAPSHOT = "weights", "snapshot"
SAMPLE = "sample.txt"  # what a language model wrote at the end


def keep_snapshot(folder: Path, epoch: int, model: nn.Module) -> None:
    """Write the running model after `epoch`; a resumed epoch writes the same file again."""
    write_bytes(folder / WEIGHTS / f"{SNAPSHOT}-{epoch}.pt", serialised(model.state_dict()))


def keep_weights(folder: Path, weights: dict[str, list[nn.Module]]) -> None:
    """Write what the methods offer, with batch-norm statistics as they were evaluated."""
    for name, members in weights.items():
        for number, module in enumerate(members):
            file = f"{name}.pt" if len(members) == 1 else f"{name}-{number}.pt"
            write_bytes(folder / WEIGHTS / file, serialised(module.state_dict()))


def keep_sample(
    config: RunConfig,
    folder: Path,
    sample: Callable[..., str],
    task: Task,
    weights: dict[str, list[nn.Module]],
    report: Callable[[str], None],
) -> None:
    """Write and report what the last method that averages into one model writes."""
    averaging = (name for name in config.methods if methods()[name].averages)
    names = [name for name in averaging if len(weights[name]) == 1]
    if names and (text := sample(task, weights[names[-1]])):
        write_bytes(folder / SAMPLE, f"{text}\n".encode())
        report(f"{config.title}: {names[-1]} writes after |:\n{text}\n")


def weight_files(folder: Path, method: str) -> list[Path]:
    """The files of a method's members, or of `snapshot`, in order; of a run, or of an export."""
    for place, ending in ((folder / WEIGHTS, ".pt"), (folder, ".safetensors")):
        if (single := place / f"{method}{ending}").is_file():
            return [single]
        several = place.glob(f"{method}-*{ending}")
        if files := sorted(several, key=lambda path: int(path.stem.rpartition("-")[2])):
            return files
    return []
