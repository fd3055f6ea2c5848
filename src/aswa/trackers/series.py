"""What trackers get, under one set of names for epochs and for final values.

epoch, loss, lr, epoch_seconds
SPLIT/METRIC/METHOD      such as valid/mrr/aswa; by epoch of the validation split alone
METHOD/v, METHOD/v_lookahead, METHOD/v_best, METHOD/members
METHOD/decision          hard, soft or reject
METHOD/hard, METHOD/soft, METHOD/reject      how often, at the end
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aswa.config import RunConfig
from aswa.trackers.tracker import Value, Values

SCORES = ("v", "v_lookahead")


def epoch_values(history: Mapping[str, Any], index: int, seconds: float | None = None) -> Values:
    """Entry `index` of a history. A value that is not known, or is no finite number, is left out.

    Args:
        history: of a `Work`, or of `history.json`.
        seconds: that the epoch took; None if that is not known.
    """
    metric = history["selection_metric"]
    found: dict[str, Value | None] = {
        "loss": history["train_loss"][index],
        "lr": _at(history.get("lr"), index),
        "epoch_seconds": seconds,
        **{f"valid/{metric}/{name}": valid[index] for name, valid in history["valid"].items()},
    }
    for name, decisions in history["decisions"].items():
        scores = history["scores"][name][index] or (None, None)
        found |= {f"{name}/{key}": v for key, v in zip(SCORES, scores, strict=True)}
        found[f"{name}/v_best"] = history["valid"][name][index]
        found[f"{name}/members"] = _at(history.get("members", {}).get(name), index)
        found[f"{name}/decision"] = decisions[index]
    known = {key: value for key, value in found.items() if _is_known(value)}
    return {"epoch": history["epoch"][index], **known}  # type: ignore[dict-item]


def final_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """The final values of a record."""
    values = {f"{r['split']}/{r['metric']}/{r['optimizer']}": r["value"] for r in record["rows"]}
    for name, counts in record["decisions"].items():
        values |= {f"{name}/{decision}": n for decision, n in counts.items()}
    for name, n in record["members"].items():
        values[f"{name}/members"] = n
    return {**values, "status": record["status"], "seconds": record["seconds"]["total"]}


def higher_is_better(name: str, config: RunConfig) -> bool | None:
    """The direction of a named series; None where nothing is best."""
    if name == "loss":
        return False
    parts = name.split("/")
    if len(parts) == 3:
        return config.metrics([parts[1]])[parts[1]]["higher_is_better"]
    return True if parts[-1] in (*SCORES, "v_best") else None  # methods select by the highest


def _at(values: Any, index: int) -> Any:
    """Of a history that an older version wrote, some lists are missing."""
    return None if values is None else values[index]


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
