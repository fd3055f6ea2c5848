"""The authors' figures of image classification, tested.

The figures are summaries of the logs released with the authors' code: means over three runs of one
seed, per dataset, model, share of validation images and epoch. What they call ASWA is what their
code computes, here `aswa_released`; their SGD is the running model on SWA's schedule. Questions
are asked of dataset × model means over shares, and beside them of single configurations, to show
what counting these as independent would have claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from aswa.analysis.published.files import ALL_RUNS, LIVE_RUNS, read_columns
from aswa.analysis.records import legacy
from aswa.analysis.records.long_table import UNIT, Cells
from aswa.analysis.rendering.appearance import STYLE, look
from aswa.analysis.rendering.drawing import Drawing, finish
from aswa.analysis.rendering.tables import TextTable, p_cell, signed_cell
from aswa.analysis.statistics.compared import frame
from aswa.analysis.statistics.signed_rank import SignedRank, signed_rank

METHODS = {"SGD": "sgd", "SWA": "swa", "ASWA": "aswa_released"}
MODELS = {
    "VGG16": "vgg16", "VGG16BN": "vgg16_bn", "VGG19": "vgg19", "VGG19BN": "vgg19_bn",
    "PreResNet164": "preresnet164", "WideResNet28x10": "wide_resnet28x10",
}  # fmt: skip
RELEASED = "aswa_released"
CONFIGURATION = [*UNIT, "val_ratio"]
EPOCHS = range(100, 1001, 100)


@dataclass(frozen=True)
class Finding:
    """One question with its test: ASWA as released minus `other`, in points of test accuracy."""

    question: str
    other: str
    mean: float
    test: SignedRank


def read_published(folder: Path, live: bool = True) -> pd.DataFrame:
    """Columns dataset, model, val_ratio, optimizer, epoch (text), accuracy (%), n_runs.

    `live` is without the three runs that stayed at chance, where a configuration has any.

    Raises:
        ValueError: a file lacks a column.
    """
    figures, keys = _read(folder / ALL_RUNS), [*CONFIGURATION, "optimizer", "epoch"]
    if live:
        figures = pd.concat([_read(folder / LIVE_RUNS), figures]).drop_duplicates(keys)
        figures = figures[figures["n_collapsed_runs"] < figures["n_runs"]]
    return figures.sort_values(keys, ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    wanted = [*CONFIGURATION, "method", "epoch", "test_acc_mean", "n_runs", "n_collapsed_runs"]
    figures = read_columns(path, wanted, dtype={"epoch": str, "val_ratio": str})
    figures = figures.rename(columns={"method": "optimizer", "test_acc_mean": "accuracy"})
    return figures.assign(optimizer=figures["optimizer"].map(METHODS))


def _no_hard_update(figures: pd.DataFrame) -> pd.Series:
    """Which rows come from the script for one GPU."""
    return (figures["dataset"] == "CIFAR10") & figures["model"].str.startswith("VGG")


def findings(folder: Path) -> list[Finding]:
    """All questions, in the order of the page."""
    live, every = read_published(folder), read_published(folder, live=False)
    without = _no_hard_update(live)
    asked = [
        ("live runs, last epoch, dataset × model", live, UNIT, "final", "swa"),
        ("the same, each at the epoch of its own best validation", live, UNIT, "best_val", "swa"),
        ("the same, collapsed runs counted", every, UNIT, "final", "swa"),
        ("code with a hard update", live[~without], UNIT, "final", "swa"),
        ("code without one (CIFAR-10, VGG)", live[without], UNIT, "final", "swa"),
        ("single configurations, as if independent", live, CONFIGURATION, "final", "swa"),
        ("live runs, last epoch, dataset × model", live, UNIT, "final", "sgd"),
    ]
    return [ask(*question) for question in asked]


def ask(question: str, figures: pd.DataFrame, by: list[str], epoch: str, other: str) -> Finding:
    """ASWA as released minus another method at one epoch, over the units of `by`.

    A unit's mean is over the configurations that have both methods.
    """
    chosen = figures[figures["epoch"] == epoch]
    wide = chosen.pivot(index=CONFIGURATION, columns="optimizer", values="accuracy")
    both = wide.reindex(columns=[RELEASED, other]).dropna()
    means = both.groupby(level=by, sort=True).mean()
    a, b = means[RELEASED].to_numpy(), means[other].to_numpy()
    return Finding(question, other, float((a - b).mean()), signed_rank(a, b))


def findings_table(found: Sequence[Finding]) -> TextTable:
    """One row a question; differences in points of test accuracy."""
    rows = tuple(
        (f.question, f"{legacy.METHODS[RELEASED]} − {legacy.METHODS[f.other]}", str(f.test.n),
         f"{f.test.wins} / {f.test.ties} / {f.test.losses}", signed_cell(f.mean, 2),
         signed_cell(f.test.median_difference, 2), p_cell(f.test.p), p_cell(f.test.smallest_p))
        for f in found
    )  # fmt: skip
    asked = pd.DataFrame(
        [(f.question, RELEASED, f.other, f.mean) for f in found],
        columns=["question", "optimizer_a", "optimizer_b", "mean"],
    )
    tested = ["n", "wins", "ties", "losses", "statistic", "p", "rank_biserial", "median_difference"]
    numbers = asked.join(frame([f.test for f in found], tested))
    return TextTable(
        "published",
        "Published figures of the authors' runs: test accuracy, points",
        ("question", "difference", "n", "wins / ties / losses", "mean", "median", "p",
         "smallest p"),
        rows,
        numbers,
        note="Wilcoxon's signed-rank test, two-sided, exact, uncorrected: asked after the fact, so "
        "p describes. Computed from the authors' logs, not from runs of ours.",
    )  # fmt: skip


def sentences(found: Sequence[Finding]) -> list[str]:
    """What the table says, for the page."""
    first, own_best, counted, hard, without, single = found[:6]

    def of(finding: Finding) -> str:
        units = f"{finding.test.wins} of {finding.test.n} units"
        return f"{finding.mean:+.2f} points on average, {units}, p = {finding.test.p:.2g}"

    return [
        f"The averager that ran is ahead of SWA at the last epoch: {of(first)}. With each method "
        f"at the epoch of its own best validation score, as selection would have it: "
        f"{of(own_best)}.",
        f"Where the code has a hard update, as the method has: {of(hard)} (the smallest p possible "
        f"there is {hard.test.smallest_p:.2g}); where it has none: {of(without)}.",
        f"Collapsed runs counted as results: {of(counted)}. Counting each share of validation "
        f"images as a unit of its own would have given n = {single.test.n} and "
        f"p = {single.test.p:.1g}, with the same networks and one seed in all of them.",
    ]


@matplotlib.rc_context(STYLE)
def beside_ours(cells: Cells, folder: Path) -> Drawing | None:
    """Our test accuracy against the published one; None where no unit is in both.

    Published: last epoch, live runs, 5 % of the images for validation, as ours have.
    """
    theirs = read_published(folder)
    theirs = theirs[(theirs["epoch"] == "final") & (theirs["val_ratio"] == "0.05")]
    theirs = theirs.assign(dataset=theirs["dataset"].str.lower(), model=theirs["model"].map(MODELS))
    rows = cells.of_test(["accuracy"])
    ours = rows.groupby([*UNIT, "optimizer"], sort=True)["value"].mean().mul(100).rename("ours")
    both = theirs.merge(ours.reset_index(), on=[*UNIT, "optimizer"])
    if both.empty:
        return None
    methods = cells.names.in_order(both["optimizer"])
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axis = figure.subplots()
    for method in methods:
        part, style = both[both["optimizer"] == method], look(method, methods)
        axis.plot(part["accuracy"], part["ours"], linestyle="none", marker=style.marker,
                  color=style.colour, label=cells.names.method(method))  # fmt: skip
    values = both[["accuracy", "ours"]].to_numpy()
    ends = [values.min() - 1, values.max() + 1]
    axis.plot(ends, ends, color="#444444", linewidth=1, zorder=1)
    axis.set_xlabel("published test accuracy, %")
    axis.set_ylabel("ours, %")
    axis.legend()
    caption = (
        "Our test accuracy (mean over seeds) against the figures from the authors' logs (mean "
        "over three runs of one seed, 1000 epochs), by dataset × model and method. On the line "
        "both are equal. Published figures are not from runs of ours."
    )
    return finish(figure, "ours_against_published", caption)


@matplotlib.rc_context(STYLE)
def growth(folder: Path) -> Drawing:
    """Mean lead over SWA by epoch, for code with and without a hard update."""
    live = read_published(folder)
    without = _no_hard_update(live)
    groups = (
        ("with a hard update", live[~without], "o", "-"),
        ("without one", live[without], "X", (0, (4.0, 1.5))),
    )
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axis = figure.subplots()
    for label, part, marker, line in groups:
        lead = [ask("", part, UNIT, str(epoch), "swa").mean for epoch in EPOCHS]
        axis.plot(EPOCHS, lead, marker=marker, linestyle=line, label=label,
                  color=look(RELEASED, []).colour)  # fmt: skip
    axis.axhline(0, color="#444444", linewidth=1)
    axis.set_xlabel("epoch")
    axis.set_ylabel("ASWA as released − SWA,\npoints of test accuracy")
    axis.legend(title="code", title_fontsize=8)
    caption = (
        "Published figures of the authors' runs: mean lead of what their code computes as ASWA "
        "over SWA, by epoch, over dataset × model units, live runs."
    )
    return finish(figure, "published_growth", caption)
