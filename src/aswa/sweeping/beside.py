"""Our test MRR beside that of a published cell: `aswa-train published=dicee/umls/complex`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRIC = "mrr"


def beside(record: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    """One line a method of the run.

    Args:
        record: of a finished run.
        published: what a file of conf/published/ says: `source`, and `test_mrr` by our methods.
    """
    theirs = published["test_mrr"]
    rows = [r for r in record["rows"] if (r["split"], r["metric"]) == ("test", METRIC)]
    ours = {row["optimizer"]: row["value"] for row in rows}
    labels = {name: each["label"] for name, each in record.get("methods", {}).items()}
    wide = max(len(labels.get(name, name)) for name in ours)
    lines = [f"test {METRIC}: {published['source']}, a single run, beside seed {record['seed']}"]
    lines.append(f"  {'':{wide}}  theirs   ours")
    for name, value in ours.items():
        there = f"{theirs[name]:.3f}" if name in theirs else "—"
        here = "nan" if value is None else f"{value:.3f}"
        lines.append(f"  {labels.get(name, name):{wide}}  {there:>6}  {here:>5}")
    return "\n".join(lines)
