"""What records of schema 1 do not say: names of metrics and methods, settings, who decided.

The only table of names in the analysis. Later records carry all of it themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson

from aswa.analysis.records.names import Names, declared_names
from aswa.files import canonical_json

METHODS = {
    "sgd": "SGD",
    "swa": "SWA",
    "ema": "EMA",
    "early_stopping": "Early stopping",
    "aswa": "ASWA",
    "aswa_released": "ASWA as released",
    "aswa_unrestored": "ASWA (rejected kept)",
    "aswa_forgetful": "ASWA (member forgotten)",
    "aswa_soft_only": "ASWA (no hard update)",
    "aswa_ties": "ASWA (ties accepted)",
    "polynomial_decay": "Polynomial decay",
}
DECIDING = ("aswa", "aswa_released", "aswa_unrestored", "aswa_forgetful", "aswa_soft_only",
            "aswa_ties")  # fmt: skip

# Name → label, whether higher is better, family.
METRICS: dict[str, tuple[str, bool | None, str | None]] = {
    "mrr": ("MRR", True, "triples"),
    "hits@1": ("Hits@1", True, "triples"),
    "hits@3": ("Hits@3", True, "triples"),
    "hits@10": ("Hits@10", True, "triples"),
    "accuracy": ("Accuracy", True, "classification"),
    "loss": ("Loss", False, "loss"),
    "perplexity": ("Perplexity", False, "loss"),
    "bits_per_byte": ("Bits per byte", False, "loss"),
    "ece": ("ECE", False, "classification"),
    "brier": ("Brier score", False, "classification"),
}
STRUCTURES = ("1p", "2p", "3p", "2i", "3i", "ip", "pi", "2u", "up", "2in", "3in", "inp", "pin",
              "pni")  # fmt: skip
# Ending of a metric of triples → part, family.
PARTS = {
    "head": ("heads", "triples"),
    "tail": ("tails", "triples"),
    "epfo": ("EPFO queries", "queries"),
    "negation": ("queries with negation", "queries"),
    **{name: (f"{name} queries", "queries") for name in STRUCTURES},
}

# Config keys, at any depth, that say where and how a run was executed; a dataset's folder and
# table of searched rates (the rate used is `lr`); and the seed.
NEUTRAL = {
    "seed", "device", "threads", "tracker", "memory_budget", "save_weights", "data_dir",
    "results_dir", "checkpoint_seconds", "folder", "tuned_lr",
}  # fmt: skip


def completed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with what it lacks of schema 2."""
    rows = record["rows"]
    methods = sorted({str(row["optimizer"]) for row in rows})
    splits, reduced = ({row.get(key) for row in rows} for key in ("dataset_split", "reduced"))
    notes = {f"split: {split}" for split in splits if split} | {str(r) for r in reduced if r}
    config = record.get("config")
    config = {**config, "seed": None} if isinstance(config, dict) else {}
    setting, ids = settings(orjson.dumps(config, option=orjson.OPT_SORT_KEYS), *methods)
    return {
        "metrics": {m: metric(m) for m in dict.fromkeys(str(row["metric"]) for row in rows)},
        "methods": {m: {"label": METHODS.get(m, m)} for m in [*METHODS, *methods]},
        "setting": setting,
        "setting_ids": ids,
        "notes": {"reduced": ", ".join(sorted(notes))},
        "decisions": {},
        **record,
    }


def metric(name: str) -> dict[str, Any]:
    """The declaration of a metric by its name; empty for one that no old record has."""
    whole, _, end = name.partition("_")
    label, higher, family = METRICS.get(name) or METRICS.get(whole, ("", None, None))
    part = None
    if name not in METRICS:
        if family != "triples" or end not in PARTS:
            return {}
        part, family = PARTS[end]
    return {"label": label, "higher_is_better": higher, "family": family, "part": part}


def names(metrics: Iterable[str]) -> Names:
    """Of a table of numbers alone, as results/*/results.parquet is."""
    labels = {name: {"label": label} for name, label in METHODS.items()}
    return declared_names({name: metric(name) for name in metrics}, labels)


def by_method(decisions: dict[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """Decisions of a run that has those of one method, under the name of that method."""
    nested = {key: value for key, value in decisions.items() if isinstance(value, dict)}
    return nested or {owner: decisions for owner in _owner(methods) if decisions}


def history(record: dict[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """A history with `decisions` and `scores` by method."""
    if "decisions" in record:
        return record
    said = {"decisions": record.get("decision"), "scores": record.get("scores")}
    return record | {key: {m: v for m in _owner(methods) if v} for key, v in said.items()}


def _owner(methods: Sequence[str]) -> list[str]:
    """The method that a record of decisions without a name is about, or none."""
    return [name for name in DECIDING if name in methods][:1]


@cache  # thousands of runs have few configs, but for the seed
def settings(config: bytes, *methods: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`setting` and `setting_ids` of a run: shared, by method, of the evaluation.

    `config` is JSON. With schedule=fair the schedule follows from what is averaged and is the
    methods'. An id is the setting as text.
    """
    flat = flatten(orjson.loads(config))
    flat = {k: v for k, v in flat.items() if NEUTRAL.isdisjoint(k.split("."))}

    def under(*groups: str) -> dict[str, Any]:
        return {k: v for k, v in flat.items() if k.startswith(groups)}

    own = under("schedule.") if flat.get("schedule.name") == "fair" else {}
    own.pop("schedule.name", None)
    evaluation, apart = under("task."), {*under("optimizer.", "task."), *own}
    shared = {k: v for k, v in flat.items() if k not in apart}
    parts = {method: under(f"optimizer.{method}.") | own for method in methods}
    ids = {
        "shared": canonical_json(shared),
        "methods": {method: canonical_json(part) for method, part in parts.items()},
        "evaluation": canonical_json(evaluation) if evaluation else None,
    }
    return {"shared": shared, "methods": parts, "evaluation": evaluation}, ids


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping → {"a.b.c": leaf}. Lists and empty mappings are leaves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
