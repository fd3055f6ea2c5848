"""The averagers' state in a checkpoint of `transformers.Trainer`, tied to what it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState

from aswa.averaging.averager import Averager

STATE_FILE = "averaging.pt"


def save_averagers(checkpoint: Path, averagers: Mapping[str, Averager], metrics: Any) -> None:
    """Write the averagers' state, and `metrics`, beside the Trainer's state in `checkpoint`."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    saved = {
        "history": _digest(state),
        "averagers": {name: averager.state_dict() for name, averager in averagers.items()},
        "metrics": metrics,
    }
    torch.save(saved, checkpoint / STATE_FILE)


def restore_averagers(
    places: Sequence[Path], state: TrainerState, averagers: Mapping[str, Averager]
) -> Any:
    """Restore the averagers from the checkpoint that gave `state`; the metrics saved with them.

    Args:
        places: folders that may be that checkpoint. A callback is not told which one was loaded, so
            the log so far, times included, must be equal.
        state: of the Trainer, as it was loaded.
        averagers: by name, as new.

    Raises:
        ValueError: none of `places` is that checkpoint, or it has averages of other names.
    """
    for path in (place / STATE_FILE for place in places):
        saved = torch.load(path, map_location="cpu") if path.is_file() else {}
        if saved.get("history") == _digest(state):
            break
    else:
        raise ValueError(
            f"no averages of step {state.global_step} of this run in {[*map(str, places)]}: resume "
            f"from a checkpoint with a file {STATE_FILE}, and if it is not one of this output_dir, "
            "set TrainingArguments(resume_from_checkpoint=...) to its folder as well"
        )
    if saved["averagers"].keys() != averagers.keys():
        raise ValueError(
            f"{path} has averages {[*saved['averagers']]}, this callback {[*averagers]}: give it "
            "the methods of the run that is resumed"
        )
    for name, averager in averagers.items():
        averager.load_state_dict(saved["averagers"][name])
    return saved["metrics"]


def _digest(state: TrainerState) -> str:
    """Of all that was logged."""
    return hashlib.sha256(json.dumps(state.log_history, sort_keys=True).encode()).hexdigest()
