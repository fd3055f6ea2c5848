"""Checkpoints that a kill at any moment cannot spoil.

A checkpoint is a file of plain tensors; `status.json` names the one that counts, with its sha256.
The file is written first and the status after it, both atomically, so the status always points to
a whole file. A file that does not match its checksum is reported and not used.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from aswa.files import write_bytes
from aswa.results.store import CorruptRecord


def save_checkpoint(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Write `state` under a new name and return what the status has to say of it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f"checkpoint-{state['epoch']:06d}-{sha256[:12]}.pt"  # no content has another's
    write_bytes(path, content)
    return {"file": path.name, "epoch": state["epoch"], "sha256": sha256}


def load_checkpoint(folder: Path, entry: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote.

    Raises:
        CorruptRecord: the file is missing, truncated or changed.
    """
    path = folder / str(entry["file"])
    if not path.is_file():
        raise CorruptRecord(path, "the checkpoint is missing")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CorruptRecord(path, "the checkpoint's content does not match its sha256")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state


def remove_checkpoints(folder: Path, keep: str | None = None) -> None:
    """Delete all checkpoints but the one named `keep`."""
    for path in folder.glob("checkpoint-*.pt"):
        if path.name != keep:
            path.unlink(missing_ok=True)
