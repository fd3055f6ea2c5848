"""Run records with made-up numbers, as training writes them."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aswa.results.store import write_record

METHODS = ("sgd", "swa", "ema", "early_stopping", "aswa")
GAIN = {"sgd": 0.0, "swa": 0.01, "ema": -0.02, "early_stopping": 0.012, "aswa": 0.02}
LABELS = {"sgd": "SGD", "swa": "SWA", "ema": "EMA", "early_stopping": "Early stopping",
          "aswa": "ASWA", "aswa_ties": "ASWA (ties accepted)"}  # fmt: skip
METRICS = ("mrr", "hits@10")
TITLES = {"mrr": "MRR", "hits@10": "Hits@10"}
EPOCHS = 24
OF_SCHEMA_2 = ("setting_id", "setting", "setting_ids", "metrics", "methods", "notes", "hardware")


def declared(
    label: str, higher: bool = True, family: str = "triples", part: str | None = None
) -> dict:
    """A metric as a record declares it."""
    return {"label": label, "higher_is_better": higher, "family": family, "part": part}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def write_run(
    root: Path, dataset="umls", model="keci", seed=0, methods: Sequence[str] = METHODS,
    epochs=EPOCHS, shift=0.0, history=True, schema=2, options=None, deciding=("aswa",), **record,
) -> Path:  # fmt: skip
    """One run on disk; its numbers follow from its names.

    Args:
        options: method → its own options.
        deciding: methods with decisions, if they are among `methods`.
        record: fields to replace.
    """
    draw = random.Random(f"{dataset} {model} {seed}")
    level = 0.6 + 0.2 * draw.random()
    own = {m: (options or {}).get(m, {}) for m in methods}
    config = {
        "dataset": {"name": dataset},
        "model": {"name": model, "dim": 128},
        "optimizer": {"name": "all" if len(methods) > 1 else methods[0], **own},
        "seed": seed,
        "epochs": epochs,
        "lr": 0.01,
        "results_dir": str(root),
    }
    shared = {"dataset.name": dataset, "model.name": model, "model.dim": 128, "epochs": epochs,
              "lr": 0.01}  # fmt: skip
    flat = {m: {f"optimizer.{m}.{key}": v for key, v in own[m].items()} for m in methods}
    rows = [
        {"optimizer": m, "split": split, "metric": metric, "epoch": epochs,
         "value": level + gain(m) + shift + 0.05 * k + noise(dataset, model, seed, m, metric)}
        for m in methods for split in ("valid", "test") for k, metric in enumerate(METRICS)
    ]  # fmt: skip
    counts = {"hard": 5, "soft": epochs - 8, "reject": 3}
    decided = [m for m in deciding if m in methods]
    run_id = str(record.get("run_id", digest([config, shift])))
    result = {
        "schema": schema, "run_id": run_id, "status": "done", "dataset": dataset, "model": model,
        "seed": seed, "config": config, "versions": {"torch": "2.11.0", "aswa": "0.1.0"},
        "git": {"sha": "0123abc", "dirty": False}, "device": "cpu", "rows": rows,
        "seconds": {"train": 2.0, "evaluate": 0.5, "average": 0.25, "total": 3.0},
        "decisions": {m: counts for m in decided}, "setting_id": digest([shared, flat]),
        "setting": {"shared": shared, "methods": flat, "evaluation": {}},
        "setting_ids": {"shared": digest(shared), "methods": {m: digest(flat[m]) for m in methods},
                        "evaluation": None},
        "metrics": {name: declared(title) for name, title in TITLES.items()},
        "methods": {m: {"label": LABELS.get(m, m)} for m in methods}, "notes": {},
        "hardware": {"cpu": "a processor", "cores": 2, "gpu": None},
    }  # fmt: skip
    if schema == 1:
        result = {key: value for key, value in result.items() if key not in OF_SCHEMA_2}
        result["decisions"] = counts
    folder = root / "runs" / dataset / model / run_id
    write_record(folder / "result.json", {**result, **record})
    if history:
        curves = make_history(level, methods, draw, epochs, decided, schema)
        write_record(folder / "history.json", {"run_id": run_id, **curves})
    return folder / "result.json"


def gain(method: str) -> float:
    return GAIN.get(method, 0.015)


def noise(*names) -> float:
    return 0.01 * (random.Random(" ".join(map(str, names))).random() - 0.5)


def make_history(level, methods, draw, epochs, decided, schema) -> dict[str, Any]:
    def curve(method):
        late = 3 * epochs // 4 if method == "swa" else 0
        scores = [
            (level + gain(method)) * (1 - math.exp(-6 * (t + 1) / epochs)) + draw.gauss(0, 0.004)
            for t in range(epochs)
        ]
        return [None if t < late else score for t, score in enumerate(scores)]

    valid = {m: curve(m) for m in methods}
    decisions = {m: ["hard", *["soft"] * (epochs - 2), "reject"] for m in decided}
    scores = {m: [[score, None] for score in valid[m]] for m in decided}
    history = {"schema": schema, "selection_metric": "mrr", "epoch": list(range(1, epochs + 1)),
               "train_loss": [1.0] * epochs, "valid": valid}  # fmt: skip
    if schema == 1:
        made = next(iter(decisions.values()), [None] * epochs)
        return {**history, "decision": made, "scores": next(iter(scores.values()), None)}
    return {**history, "decisions": decisions, "scores": scores}


def write_grid(root: Path, seeds=2, models=("keci", "distmult"), **options) -> None:
    for dataset in ("umls", "kinship"):
        for model in models:
            for seed in range(seeds):
                write_run(root, dataset, model, seed, **options)


def edit(path: Path, **changes: Any) -> dict[str, Any]:
    """Write a record anew with other fields, under a digest that is right."""
    record = {**json.loads(path.read_bytes()), **changes}
    record.pop("sha256", None)
    write_record(path, record)
    return record
