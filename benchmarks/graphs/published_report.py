"""The page of published_setting.py: tables and an answer in words; figures are the record's."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import side_by_side as sbs

FIGURES = sbs.ROOT / "results" / "published" / "authors_kge_figures.csv"
LEVELS = ("last epoch", "mean of all epochs", "best epoch", "ASWA")
GATE = ("member forgotten", "ties by order", "filtered by test too", "dicee's rules")
TRAININGS = {
    "ours": "ours, from N(0, 0.1²)",
    "ours, Glorot": "ours, from Glorot's normal",
    "ours, normal 1": "ours, from N(0, 1)",
    "dicee, normal 0.1": "dicee, from N(0, 0.1²)",
    "dicee": "dicee, from N(0, 1)",
    "dicee, Keci(0, 1)": "dicee, Keci(0, 1)",
}
SAME_WEIGHTS = 1e-5  # largest difference of a number, when two programs do the same sums

Values = dict[str, float]  # by seed


def published(path: Path) -> list[list[str]]:
    """The authors' rows of the setting: last epoch, SWA, ASWA of ComplEx and Keci."""
    rows = []
    with path.open() as file:
        figures = {
            (line["model"], line["optimizer"]): line["value"]
            for line in csv.DictReader(file)
            if (line["dataset"], line["scoring"], line["split"], line["metric"])
            == ("umls", "kvsall", "test", "mrr")
            and (line["dim"], line["setting"]) == ("256", "300 epochs, batch 1024, Adam 0.1")
        }
    for model, name in (("complex", "ComplEx"), ("keci", "Keci")):
        last, swa, aswa = (figures[model, method] for method in ("last_epoch", "swa", "aswa"))
        rows.append([f"published, {name} (one run)", last, f"{swa} (SWA)", "–", aswa])
    return rows


class Cells:
    """The record's cells, by name and seed."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.cells: dict[str, dict[str, Any]] = record["cells"]

    def mrr(self, cell: str, rule: str = "ASWA", ranked: str = "mrr") -> Values:
        """Test MRR of what a rule kept on a trajectory, by seed."""
        return {seed: one["rules"][rule][ranked] for seed, one in self.cells[cell].items()}

    def each(self, cell: str, find: Callable[[dict[str, Any]], float]) -> Values:
        """Some figure of a cell, by seed."""
        return {seed: find(one) for seed, one in self.cells[cell].items()}


def span(values: Values, digits: int = 3) -> str:
    """Median (least–greatest)."""
    return sbs.span(sbs.spread(list(values.values())), digits)


def change(values: Values, base: Values) -> str:
    """Median (least–greatest) of the differences, seed by seed."""
    gaps = [values[seed] - base[seed] for seed in values if seed in base]
    return f"{statistics.median(gaps):+.3f} ({min(gaps):+.3f} to {max(gaps):+.3f})"


def median(values: Values) -> str:
    return f"{statistics.median(values.values()):.3f}"


def levels(cells: Cells, figures: Path) -> str:
    """The published setting: theirs, ours, dicee's."""
    names = {
        "ours, ComplEx": "ours",
        "ours, Keci(0, 1)": "ours, Keci(0, 1)",
        "dicee, ComplEx": "dicee",
        "dicee, Keci(0, 1)": "dicee, Keci(0, 1)",
    }
    rows = published(figures)
    for title, cell in names.items():
        rows.append([title, *(span(cells.mrr(cell, rule)) for rule in LEVELS)])
    return sbs.markdown(["test MRR", *LEVELS], rows)


def steps(cells: Cells) -> str:
    """One difference at a time, from ours to dicee itself."""
    ours = cells.mrr("ours")
    table: list[tuple[str, str, str]] = [
        ("ours", "ours", "ASWA"),
        ("+ member of a hard update forgotten", "ours", "member forgotten"),
        ("+ ties ranked by order, in the gate", "ours", "ties by order"),
        ("+ gate filtered by test too", "ours", "filtered by test too"),
        ("+ these three: dicee's rules", "ours", "dicee's rules"),
        ("+ initial numbers N(0, 1)", "ours, normal 1", "ASWA"),
        ("+ initial numbers of Glorot", "ours, Glorot", "ASWA"),
        ("+ N(0, 1) and dicee's rules", "ours, normal 1", "dicee's rules"),
        ("dicee's training, our ASWA", "dicee", "ASWA"),
        ("dicee's training, dicee's rules", "dicee", "dicee's rules"),
        ("dicee's training from N(0, 0.1²), our ASWA", "dicee, normal 0.1", "ASWA"),
        ("dicee's training from N(0, 0.1²), dicee's rules", "dicee, normal 0.1", "dicee's rules"),
    ]
    rows = []
    for title, cell, rule in table:
        kept = cells.mrr(cell, rule)
        others = [span(cells.mrr(cell, level)) for level in LEVELS[:3]]
        rows.append([title, *others, span(kept), change(kept, ours)])
    itself = cells.each("dicee", lambda one: one["kept"]["mrr"])
    its_own = cells.each("dicee", lambda one: one["test"]["MRR"])
    blank = ["–"] * 3
    rows.append(["dicee itself, ranked by us", *blank, span(itself), change(itself, ours)])
    rows.append(["dicee itself, ranked by itself", *blank, span(its_own), change(its_own, ours)])
    heads = ["what differs", *LEVELS, "ASWA − ours, seed by seed"]
    return sbs.markdown(heads, rows)


def gate(cells: Cells) -> str:
    """What each rule does to ASWA, on every training."""
    rows = []
    for cell, title in TRAININGS.items():
        base = cells.mrr(cell)
        rows.append([title, *(change(cells.mrr(cell, rule), base) for rule in GATE)])
    return sbs.markdown(["ASWA with it − our ASWA", *GATE], rows)


def tally(cells: Cells, rule: str) -> str:
    """How often a rule lowers and raises ASWA, over all trainings."""
    gaps = [
        kept - cells.mrr(cell)[seed]
        for cell in TRAININGS
        for seed, kept in cells.mrr(cell, rule).items()
    ]
    lower, higher = sum(gap < 0 for gap in gaps), sum(gap > 0 for gap in gaps)
    return (
        f"lowers ASWA in {lower} of {len(gaps)} trainings and raises it in {higher} "
        f"({min(gaps):+.3f} to {max(gaps):+.3f}, mean {statistics.mean(gaps):+.3f})"
    )


def same(cells: Cells) -> str:
    """What the two trainings share, and how far the replay is from dicee itself."""
    both = {name: list(cells.cells[name].values()) for name in ("ours", "dicee")}
    rows = []
    for title, key in (
        ("examples, pairs (h, r)", "examples"),
        ("batches an epoch", "batches"),
        ("trained numbers", "parameters"),
    ):
        rows.append(
            [title, *(listed(sorted({one[key] for one in runs})) for runs in both.values())]
        )
    for title, cell, name in (
        ("loss of the first batch, from N(0, 1)", "ours, normal 1", "dicee"),
        ("loss of the first batch, from N(0, 0.1²)", "ours", "dicee, normal 0.1"),
    ):
        losses = [cells.each(each, lambda one: one["first_loss"]) for each in (cell, name)]
        rows.append([title, *(span(loss, 2) for loss in losses)])
    return sbs.markdown(["", "ours", "dicee"], rows)


def listed(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:,}" for value in values)


def start(cells: Cells) -> str:
    """What the initial numbers do to ASWA, and what the rules of the gate do."""
    rules = "dicee's rules"

    def level(cell: str, rule: str = "ASWA") -> str:
        return median(cells.mrr(cell, rule))

    together = change(cells.mrr("ours", rules), cells.mrr("ours"))
    return (
        f"The initial numbers make the difference. With dicee's N(0, 1) in place of our "
        f"N(0, 0.1²), and nothing else changed, the median test MRR of our ASWA goes from "
        f"{level('ours')} to {level('ours, normal 1')}; with dicee's rules as well it is "
        f"{level('ours, normal 1', rules)}, and dicee itself has "
        f"{median(cells.each('dicee', lambda one: one['kept']['mrr']))}. The other way round, "
        f"dicee's training from N(0, 0.1²) gives {level('dicee, normal 0.1')} under our ASWA and "
        f"{level('dicee, normal 0.1', rules)} under dicee's rules. All three rules of dicee's gate "
        f"together change our ASWA by {together}.\n\n"
        f"Over all trainings here, a forgotten member {tally(cells, 'member forgotten')}; a gate "
        f"filtered by the test split too {tally(cells, 'filtered by test too')}; ties by order "
        f"{tally(cells, 'ties by order')}."
    )


def way(cells: Cells) -> str:
    """Where a training from small and from large initial numbers goes."""

    def level(cell: str, rule: str) -> str:
        return median(cells.mrr(cell, rule))

    def epoch(cell: str) -> str:
        return span(cells.each(cell, lambda one: one["rules"]["best epoch"]["epoch"]), 0)

    small, large = "ours", "ours, normal 1"
    return (
        f"The last epoch and the mean of all epochs are {level(small, 'last epoch')} and "
        f"{level(small, 'mean of all epochs')} from N(0, 0.1²), {level(large, 'last epoch')} and "
        f"{level(large, 'mean of all epochs')} from N(0, 1). The best epoch by validation is epoch "
        f"{epoch(small)} with {level(small, 'best epoch')}, or epoch {epoch(large)} with "
        f"{level(large, 'best epoch')}. Why the initial numbers do that was not measured."
    )


def replay(cells: Cells) -> str:
    """How far the replay is from dicee itself; Keci."""
    runs = cells.cells["dicee"].values()
    same_weights = [run["kept"]["farthest_from_replay"] < SAME_WEIGHTS for run in runs]
    gap = max(abs(run["kept"]["mrr"] - run["rules"]["dicee's rules"]["mrr"]) for run in runs)
    equal = all(cells.mrr("ours", rule) == cells.mrr("ours, Keci(0, 1)", rule) for rule in LEVELS)
    coefficients = cells.each("dicee, Keci(0, 1)", lambda one: abs(one["q_coefficient"]))
    return (
        f"dicee's rules, replayed on the weights that dicee had after every epoch, end in the "
        f"weights that dicee itself kept for {sum(same_weights)} of {len(same_weights)} seeds "
        f"(to {SAME_WEIGHTS:g}); the largest difference in test MRR is {gap:.4f}. Our Keci(0, 1) "
        f"{'has' if equal else 'does not have'} the figures of ComplEx to the last bit. dicee's "
        f"multiplies the imaginary parts of h and r by a learned number, which starts at 0 and "
        f"ends at ± {span(coefficients, 2)}: it begins as DistMult on half of the dimensions, and "
        f"is not the ComplEx of its own table."
    )


def report(record: dict[str, Any], figures: Path) -> str:
    """The record as markdown."""
    about, settings, cells = record["machine"], record["settings"], Cells(record)
    seeds = sorted({int(seed) for by_seed in cells.cells.values() for seed in by_seed})
    counts = {name: len(by_seed) for name, by_seed in cells.cells.items()}
    peer = next(iter(cells.cells["dicee"].values()))["versions"]
    fewer = {name: n for name, n in counts.items() if n < len(seeds)}
    return "\n\n".join(
        [
            "# The published setting, and why our ASWA is above the published one",
            f"A diagnosis, not a registered comparison: UMLS, dim {settings['dim']}, "
            f"{settings['epochs']} epochs, batch {settings['batch']}, Adam at {settings['lr']}, "
            f"KvsAll, no dropout. Test MRR, heads and tails, filtered by all splits, ties at the "
            f"mean rank; median (least–greatest) of n = {len(seeds)} seeds, {seeds[0]} to "
            f"{seeds[-1]}{', but ' + str(fewer) if fewer else ''}. torch {about['torch']}; dicee "
            f"{peer['dicee']} with torch {peer['torch']}; {about['date']}.",
            start(cells),
            way(cells),
            replay(cells),
            "## Beside the published figures",
            levels(cells, figures),
            "Published figures are single runs of the authors, from the README of their framework, "
            "which gives no best epoch. Our mean of all epochs is SWA from the first epoch at a "
            "constant rate, as they ran it. dicee's rows are its trainings under our methods.",
            "## One difference at a time",
            steps(cells),
            "Rows of one training differ in the last two columns only: the rules watch the same "
            "weights. Differences of ours are paired (the same random numbers, scaled, and the "
            "same order of batches); those of dicee are not, for its seed means other numbers.",
            "## The rules of the gate on every training",
            gate(cells),
            "## What is the same",
            same(cells),
            "Adam with its defaults, mean binary cross-entropy over all entities, reciprocal "
            "relations in every split, dim 256 as 128 complex numbers, a constant rate, no decay.",
        ]
    )
