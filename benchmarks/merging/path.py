"""Merges of hashed text: a whole path of penalties against a target, and growth with n, d and P.

- 50,000 rows × 10^6 features, 32 parts, six penalties, six methods, one process of one thread.
  Target: 10 minutes and 4 GB. CPU seconds are given beside, as other work may share the machine.
- One penalty, with n, d and P varied one at a time: critical path and work of each method.

    python -m benchmarks.merging.path
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from benchmarks import side_by_side as sbs
from scripts.pages import fill

PAGE = sbs.ROOT / "docs" / "one_shot.md"
SHARES = (0.333, 0.133, 0.0531, 0.0212, 0.00844, 0.00336)
MINUTES, GIGABYTES = 10, 4
BASE = {"rows": 12500, "features": 250_000, "parts": 16}
GROWTH = {
    "rows": (3125, 6250, 12500, 25000),
    "features": (15_625, 62_500, 250_000, 1_000_000),
    "parts": (4, 8, 16, 32),
}
LABELS = {"rows": "n", "features": "d", "parts": "P"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--growth-only", action="store_true")
    parser.add_argument("--target-only", action="store_true")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    return parser.parse_args()


def row(**arguments: Any) -> dict[str, Any]:
    """The record of path_row.py."""
    words: list[Any] = []
    for key, value in arguments.items():
        words += [f"--{key}", *(value if isinstance(value, tuple) else [value])]
    found = sbs.run(sys.executable, sbs.HERE / "merging" / "path_row.py", words, 1)
    return {**arguments, **found}


def main() -> None:
    options = parse()
    if not options.growth_only:
        target = {"machine": sbs.machine(1), **row(
            rows=50_000, features=1_000_000, parts=32, shares=SHARES
        )}  # fmt: skip
        sbs.save("merging_path", target, describe_target(target), options.results)
    if not options.target_only:
        rows = [
            {"axis": axis, **row(**{**BASE, axis: value})}
            for axis, values in GROWTH.items()
            for value in values
        ]
        record = {"machine": sbs.machine(1), "rows": rows}
        sbs.save("merging_growth", record, describe_growth(record), options.results)
        draw(record, options.results / "merging_growth.png")
    texts = [options.results / f"{name}.md" for name in ("merging_path", "merging_growth")]
    figure = "![growth](../benchmarks/results/merging_growth.png)"
    found = [path.read_text().strip() for path in texts if path.is_file()]
    fill(PAGE, "growth", "\n\n".join([*found, figure]))


def on(machine: dict[str, Any]) -> str:
    """What a reader needs to judge a timing."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, 1 thread, {machine['date']}, load "
        f"before {machine['load_before']:.1f}; n = 1."
    )


def describe_target(record: dict[str, Any]) -> str:
    minutes, gigabytes = record["seconds"] / 60, record["mib"] / 1024
    cpu = record["cpu_seconds"] / 60
    fits = minutes <= MINUTES and gigabytes <= GIGABYTES
    methods = list(dict.fromkeys(merge["method"] for merge in record["merges"]))
    lines = [
        [f"{share:g}", *(
            f"{m['nonzeros']:,} / {m['auc']:.3f}"
            for m in record["merges"] if m["share"] == share
        )]
        for share in SHARES
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"50,000 rows × 10^6 hashed features, 32 parts, {len(SHARES)} penalties, "
            f"{len(methods)} methods in one process: {minutes:.1f} minutes ({cpu:.1f} of CPU), "
            f"peak {gigabytes:.2f} GB (target {MINUTES} minutes and {GIGABYTES} GB: "
            f"{'met' if fits else 'missed'}). {on(record['machine'])}",
            "Nonzeros / test AUC by the share of the largest penalty:",
            sbs.markdown(["share", *methods], lines),
        ]
    )


def describe_growth(record: dict[str, Any]) -> str:
    heads = ["varied", "value", "method", "critical path, s", "work, s", "MB sent", "peak, MiB"]
    lines = [
        [LABELS[each["axis"]], f"{each[each['axis']]:,}", merge["method"],
         f"{merge['critical_path']:.2f}", f"{merge['work']:.2f}", f"{merge['bytes'] / 1e6:.2f}",
         f"{each['mib']:.0f}"]
        for each in record["rows"]
        for merge in each["merges"]
        if merge["method"] in ("full_solve", "owa", "votes_only", "acowa")
    ]  # fmt: skip
    base = ", ".join(f"{LABELS[key]} = {value:,}" for key, value in BASE.items())
    return "\n\n".join(
        [f"Growth around {base}, l1_share 0.03. {on(record['machine'])}",
         sbs.markdown(heads, lines)]
    )  # fmt: skip


def draw(record: dict[str, Any], path: Path) -> None:
    """Critical path and work against n, d and P."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), sharey="row")
    for column, axis in enumerate(GROWTH):
        rows = [each for each in record["rows"] if each["axis"] == axis]
        for line, key in enumerate(("critical_path", "work")):
            for name in dict.fromkeys(merge["method"] for merge in rows[0]["merges"]):
                points = [
                    (each[axis], merge[key])
                    for each in rows for merge in each["merges"] if merge["method"] == name
                ]  # fmt: skip
                axes[line][column].plot(*zip(*points, strict=True), marker="o", ms=3, label=name)
            axes[line][column].set(xscale="log", yscale="log")
            axes[line][column].grid(alpha=0.3)
        axes[1][column].set_xlabel(LABELS[axis])
    axes[0][0].set_ylabel("critical path, s")
    axes[1][0].set_ylabel("work, s")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
