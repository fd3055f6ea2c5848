"""The model card of exported weights: README.md, from the record of their run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aswa.config.schema import flat

CARD = """---
library_name: aswa
tags: [{tags}]
---

# {model} on {dataset}: weights of {label}

{facts}

## Metrics

Methods select by the validation split; the test split was read once, after selection.

{metrics}

## Load

With `pip install 'aswa[export]'` and the dataset, which `data_dir=DIR` finds in DIR/{data_folder}
and `aswa-fetch` gets if the package knows it; `FOLDER` is this one:

```python
import aswa

found = aswa.load(FOLDER, "{method}")
print(found.task.metrics(found.members, "test"))
```

The tensors alone:

```python
from safetensors.torch import load_file

state = load_file("{file}")
```

{tensors}

## Files

{files}

## Setting

{setting}
"""
KINDS_OF_FILES = {".safetensors": "weights", ".txt": "a name a line, in the order of ids"}


def model_card(
    record: Mapping[str, Any],
    method: str,
    files: Sequence[str],
    tensors: Mapping[str, tuple[str, list[int]]],
    names: Mapping[str, int],
) -> str:
    """Markdown.

    Args:
        record: of the run.
        files: that lie beside the card.
        tensors: dtype and shape by name.
        names: how many names each list of names has.
    """
    config = record["config"]
    label = record["methods"][method]["label"]
    shapes = [
        (f"`{name}`", dtype, " × ".join(map(str, shape)))
        for name, (dtype, shape) in tensors.items()
    ]
    said = {file: KINDS_OF_FILES[f".{file.rpartition('.')[2]}"] for file in files}
    said |= {"result.json": "the record of the run", "plan.json": "its configuration"}
    tags = ("weight-averaging", config["dataset"]["kind"], record["model"], method)
    return CARD.format(
        tags=", ".join(tags),
        model=record["model"],
        dataset=record["dataset"],
        data_folder=config["dataset"]["folder"],
        label=label,
        method=method,
        facts=_table(("", ""), _facts(record, method, names)),
        metrics=_table(*_metrics(record, method)),
        file=files[0],
        tensors=_table(("tensor", "type", "shape"), shapes),
        files="\n".join(f"- `{file}`: {words}" for file, words in said.items()),
        setting=_table(("key", "value"), _setting(record, method)),
    )


def _facts(
    record: Mapping[str, Any], method: str, names: Mapping[str, int]
) -> list[tuple[str, str]]:
    config, git = record["config"], record.get("git") or {}
    epoch = next(row["epoch"] for row in record["rows"] if row["optimizer"] == method)
    dirty = ", with changes that were not committed" if git.get("dirty") else ""
    facts = {
        "method": f"{record['methods'][method]['label']} (`optimizer={method}`)",
        "averaged models": record["members"].get(method),
        "epoch of the weights": f"{epoch} of {config['epochs']}",
        **{f"decisions, {name}": n for name, n in record["decisions"].get(method, {}).items()},
        **names,
        "seed": record["seed"],
        "run": f"`{record['run_id']}`",
        "setting": f"`{record['setting_id']}`",
        "commit of aswa": f"`{git['sha']}`{dirty}" if git.get("sha") else "not known",
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "trained on": record["device"],
        **{name: words for name, words in record["notes"].items()},
    }
    return [(key, str(value)) for key, value in facts.items() if value is not None]


def _metrics(
    record: Mapping[str, Any], method: str
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A row a metric: validation, which the method may have selected by, and test."""
    values = {
        (row["metric"], row["split"]): row["value"]
        for row in record["rows"]
        if row["optimizer"] == method
    }
    splits = [split for split in ("train", "valid", "test") if any(split in key for key in values)]
    rows = []
    for name in dict.fromkeys(metric for metric, _ in values):
        better = record["metrics"][name]["higher_is_better"]
        arrow = {True: " ↑", False: " ↓", None: ""}[better]
        found = (values.get((name, split)) for split in splits)
        rows.append((f"`{name}`{arrow}", *("" if v is None else f"{v:.4f}" for v in found)))
    return ("metric", *splits), rows


def _setting(record: Mapping[str, Any], method: str) -> list[tuple[str, str]]:
    """All that can change the result, but for the seed."""
    parts = record["setting"]
    values = parts["shared"] | parts["methods"][method] | parts["evaluation"]
    return [(f"`{key}`", f"`{value}`") for key, value in flat(values).items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
