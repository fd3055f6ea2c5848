"""Cells of the paper's grid: `python scripts/paper_grid.py RESULTS_DIR [RESULTS_DIR ...]`.

Rows are its 11 datasets, columns its 7 families. A cell is `full` (a run of the paper's epochs on
the whole dataset), `reduced` (every run is shorter or smaller, which its dataset's name in tables
says) or missing; behind it stands the number of runs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from tabulate import tabulate

from aswa.analysis.records.runs import Run, read_runs

GRAPHS = (
    "umls", "kinship", "wn18rr", "fb15k_237", "yago3_10",
    "nell_995_h25", "nell_995_h50", "nell_995_h75", "nell_995_h100",
)  # fmt: skip
IMAGES = ("cifar10", "cifar100")
FAMILIES = {
    "VGG": "vgg", "PreResNet": "preresnet", "WideResNet": "wide_resnet",
    "DistMult": "distmult", "ComplEx": "complex", "QMult": "qmult", "Keci": "keci",
}  # fmt: skip
OF_IMAGES = 3  # families, the first


def grid(runs: list[Run]) -> list[list[str]]:
    """A row per dataset: its name and what there is of each family."""
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for run in runs:
        name, _, reduced = run.dataset.partition(" (")
        for family, beginning in FAMILIES.items():
            if run.model.startswith(beginning):
                cells[name, family].append(bool(reduced))

    def cell(dataset: str, family: str, number: int) -> str:
        if (dataset in IMAGES) != (number < OF_IMAGES):
            return ""
        found = cells[dataset, family]
        full = found.count(False)
        if not found:
            return "missing"
        return f"full, {full}" if full else f"reduced, {len(found)}"

    return [
        [dataset, *(cell(dataset, family, i) for i, family in enumerate(FAMILIES))]
        for dataset in (*IMAGES, *GRAPHS)
    ]


def main(folders: list[Path]) -> str:
    """The table, and how many of its 42 cells are what."""
    rows = grid([run for folder in folders for run in read_runs(folder)[0]])
    cells = [text for row in rows for text in row[1:] if text]
    counts = {
        word: sum(c.startswith(word) for c in cells) for word in ("full", "reduced", "missing")
    }
    table = tabulate(rows, headers=["dataset", *FAMILIES], tablefmt="pipe")
    said = ", ".join(f"{n} {word}" for word, n in counts.items())
    return f"{table}\n\n{said}, of {len(cells)} cells; behind each its number of runs."


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python scripts/paper_grid.py RESULTS_DIR [RESULTS_DIR ...]")
    print(main([Path(folder) for folder in sys.argv[1:]]))
