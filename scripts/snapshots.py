"""Recipes whose results are committed: what `scripts/snapshot.py` copies, and the pages of them."""

from __future__ import annotations

from typing import NamedTuple


class Snapshot(NamedTuple):
    """Where a recipe leaves its results, what makes them, which page shows what, judged how."""

    results: str
    command: str
    page: str
    metrics: tuple[str, ...] = ("mrr",)
    declared: str = "default"
    curves: tuple[str, ...] = ("mrr",)
    tables: tuple[str, ...] = ()
    answer: str | None = None  # a page that shows the answer alone
    block: str = "results"  # between which marks of the page
    brief: bool = False  # the tests of many comparisons as a table, not in sentences
    figures: tuple[str, ...] = ()  # of the analysis, that are not of one of the metrics
    beside: tuple[str, ...] = ()  # tables that another script left in RESULTS_DIR
    tested: bool = True  # False: too few units by its registration: no tests, nor their figures


SNAPSHOTS = {
    "reproduce": Snapshot(
        "results",
        "make reproduce",
        "docs/results.md",
        declared="reproduce",
        answer="README.md",
    ),
    "tuned": Snapshot("results/tuned", "aswa-train experiment=tuned", "docs/tuned.md"),
    "paper_graphs": Snapshot(
        "results/paper_graphs",
        "aswa-train experiment=paper_graphs_small; aswa-train experiment=paper_graphs",
        "docs/paper_regime.md",
        declared="paper_graphs",
        brief=True,
    ),
    "large_graphs": Snapshot(
        "results/link_prediction_cpu",
        "aswa-train experiment=link_prediction_cpu",
        "docs/large_graphs.md",
    ),
    "ablation": Snapshot(
        "results/ablation",
        "make ablation",
        "docs/ablation.md",
        metrics=("mrr", "accuracy"),
        declared="ablation",
        curves=("mrr", "accuracy"),
    ),
    "images": Snapshot(
        "results/images_cpu",
        "make reproduce-images",
        "docs/images.md",
        metrics=("accuracy",),
        curves=("accuracy",),
    ),
    "images_small": Snapshot(
        "results/images_small",
        "aswa-train experiment=images_small",
        "docs/images.md",
        metrics=("accuracy",),
        declared="images_small",
        curves=("accuracy",),
        block="images_small",
    ),
    "images_small_fair": Snapshot(
        "results/images_small_fair",
        "aswa-train experiment=images_small_fair",
        "docs/images.md",
        metrics=("accuracy",),
        curves=("accuracy",),
        block="images_small_fair",
    ),
    "uncertainty_images": Snapshot(
        "results/uncertainty_images",
        "aswa-train experiment=uncertainty_images save_weights=true",
        "docs/uncertainty.md",
        metrics=("loss", "ece"),
        declared="uncertainty_images",
        curves=(),
        tables=("test_accuracy", "test_brier", "test_aurc", "test_ood_entropy"),
        figures=("reliability", "risk_coverage", "decisions_accuracy_swag_aswa"),
        beside=("multiswag",),
    ),
    "language_small": Snapshot(
        "results/language_small",
        "aswa-train experiment=language_small",
        "docs/language.md",
        metrics=("loss", "ece"),
        declared="language_small",
        curves=(),
        tables=("test_accuracy",),
        figures=("learning_curves_probability_constant",),
        beside=("differences",),
        block="language_small",
        tested=False,
    ),
    "language_lora": Snapshot(
        "results/language_lora",
        "aswa-train experiment=language_base; aswa-train experiment=language_lora",
        "docs/language.md",
        metrics=("loss", "ece"),
        declared="language_lora",
        curves=(),
        tables=("test_austen_loss", "test_choice_accuracy", "test_choice_loss", "test_choice_ece"),
        beside=("differences", "ensembles"),
        block="language_lora",
        tested=False,
    ),
    "queries": Snapshot(
        "results/query_answering_cpu",
        "make reproduce-queries; aswa-train experiment=query_answering_large_cpu",
        "docs/queries.md",
        metrics=("mrr_epfo", "mrr_negation"),
        declared="query_answering",
        tables=("test_mrr_by_structure",),
    ),
}
