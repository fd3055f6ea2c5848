"""What records of schema 1 do not say: names of metrics and methods, settings, who decided.

The only table of names in the analysis. Later records carry all of it themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    "seed", "device", "threads", "tracker", "launcher", "hydra", "experiment", "analysis",
    "run_id", "resume", "progress", "path", "memory_budget", "save_weights",
    "folder", "tuned_lr",
}  # fmt: skip


def completed(record: dict[str, Any], known: dict[Any, Any]) -> dict[str, Any]:
    """The record with what it lacks of schema 2; `known` remembers settings by their config."""
    rows = record["rows"]
    methods = sorted({str(row["optimizer"]) for row in rows})
    splits, reduced = ({row.get(key) for row in rows} for key in ("dataset_split", "reduced"))
    notes = {f"split: {split}" for split in splits if split} | {str(r) for r in reduced if r}
    config = record.get("config")
    setting, ids = settings(config if isinstance(config, dict) else {}, methods, known)
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
    if nested or not decisions:
        return nested
    owner = next((name for name in DECIDING if name in methods), None)
    return {owner: decisions} if owner else {}


def history(record: dict[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """A history with `decisions` and `scores` by method."""
    if "decisions" in record:
        return record
    owner = next((name for name in DECIDING if name in methods), None)
    own = {"decisions": record.get("decision"), "scores": record.get("scores")}
    return {
        **record,
        **{key: {owner: value} if value and owner else {} for key, value in own.items()},
    }


def settings(
    config: dict[str, Any], methods: list[str], known: dict[Any, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`setting` and `setting_ids` of a run: shared, by method, of the evaluation.

    Options of a method stand under `optimizer.<method>`, `optimizer.methods.<method>`, or in the
    group itself where it is that method alone. With schedule=fair the schedule follows from what
    is averaged and is the methods'. An id is the setting as text.
    """
    key = (orjson.dumps({**config, "seed": None}, option=orjson.OPT_SORT_KEYS), *methods)
    if key not in known:
        flat = {k: v for k, v in flatten(config).items() if not _neutral(k)}
        fair = flat.get("schedule.name") == "fair"
        own = {k: v for k, v in flat.items() if fair and k.startswith("schedule.")}
        own.pop("schedule.name", None)
        apart = ("optimizer", "task")
        setting = {
            "shared": {
                k: v for k, v in flat.items() if k.split(".")[0] not in apart and k not in own
            },
            "methods": {method: _options(config, method) | own for method in methods},
            "evaluation": {k: v for k, v in flat.items() if k.startswith("task.")},
        }
        of_methods = {method: canonical_json(part) for method, part in setting["methods"].items()}
        evaluation = canonical_json(setting["evaluation"]) if setting["evaluation"] else None
        ids = {"shared": canonical_json(setting["shared"]), "methods": of_methods,
               "evaluation": evaluation}  # fmt: skip
        known[key] = setting, ids
    found: tuple[dict[str, Any], dict[str, Any]] = known[key]
    return found


def _options(config: dict[str, Any], method: str) -> dict[str, Any]:
    group = config.get("optimizer")
    if not isinstance(group, dict):
        return {}
    methods = group.get("methods")
    nested = methods.get(method) if isinstance(methods, dict) else None
    own = group.get(method, nested)
    if not isinstance(own, dict):
        alone = group.get("name") == method
        own = {k: v for k, v in group.items() if k not in ("name", "methods")} if alone else {}
    options = flatten(own, f"optimizer.{method}.")
    return {key: value for key, value in options.items() if not _neutral(key)}


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping → {"a.b.c": leaf}. Lists are leaves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _neutral(dotted: str) -> bool:
    return any(
        part in NEUTRAL or part.endswith("_dir") or part.startswith("checkpoint")
        for part in dotted.split(".")
    )
