"""The weights of a run for others: safetensors, a model card, the names of ids, the records.

A folder of these is enough for `aswa.load` wherever the dataset is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa.files import write_bytes
from aswa.registry import load as load_object
from aswa.results.store import read_record, write_record
from aswa.training.card import model_card
from aswa.training.kept import weight_files
from aswa.training.loaded import Loaded

# Of a person's machine or account: no part of what is given away.
OWN = {"data_dir": None, "results_dir": "results", "tracker": {"name": "none"}}


def has_weights(run: Path, method: str) -> bool:
    """Whether the folder of a run has weights of a method."""
    return bool(weight_files(run, method))


def export(found: Loaded, method: str, run: Path, target: Path) -> None:
    """Write METHOD.safetensors (METHOD-0.safetensors and on for several members) and the rest.

    Args:
        found: the method's weights, on the CPU.
        run: the folder that they come from.
        target: a folder, which is made.
    """
    from safetensors.torch import save

    folder = Path(found.config.dataset.folder)
    record = {**found.record, "config": _for_others(found.record["config"], folder)}
    rows = [row for row in record["rows"] if row["optimizer"] == method]
    about = {
        "format": "pt",
        "run_id": record["run_id"],
        "dataset": record["dataset"],
        "model": record["model"],
        "method": method,
        "epoch": str(rows[0]["epoch"]),
    }
    files = {}
    for number, member in enumerate(found.members):
        ending = "" if len(found.members) == 1 else f"-{number}"
        files[f"{method}{ending}.safetensors"] = save(_tensors(member), about)
    names = {name: list(words) for name, words in _names(found).items()}
    for name, words in names.items():
        files[f"{name}.txt"] = "".join(f"{word}\n" for word in words).encode()
    weights = {name: t for name, t in found.members[0].state_dict().items()}
    described = {
        name: (str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in weights.items()
    }
    card = model_card(record, method, list(files), described, {n: len(w) for n, w in names.items()})
    for name, content in {**files, "README.md": card.encode()}.items():
        write_bytes(target / name, content)
    plan = read_record(run / "plan.json")
    said = [each for each in found.config.said if not each.startswith("dataset.folder=")]
    plan |= {"composed": _for_others(plan["composed"], folder), "overrides": said}
    plan |= {"config": _for_others(plan["config"], folder)}
    write_record(target / "plan.json", {key: v for key, v in plan.items() if key != "sha256"})
    write_record(target / "result.json", {k: v for k, v in record.items() if k != "sha256"})


def _for_others(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration without paths; a graph of one's own is looked for by its folder's name."""
    name = {"folder": folder.name} if folder.is_absolute() else {}
    return config | OWN | {"dataset": config["dataset"] | name}


def _tensors(member: nn.Module) -> dict[str, torch.Tensor]:
    """The state, each tensor in memory of its own, as the format wants it."""
    return {name: t.detach().contiguous().clone() for name, t in member.state_dict().items()}


def _names(found: Loaded) -> dict[str, Sequence[str]]:
    names = found.config.kind.tasks[found.config.task.name].names
    return load_object(names)(found.task) if names else {}
