"""How methods and metrics are called and ordered in every table, figure and sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

METRICS = {
    "mrr": "MRR",
    "hits@1": "Hits@1",
    "hits@3": "Hits@3",
    "hits@10": "Hits@10",
    "accuracy": "Accuracy",
    "loss": "Loss",
}

# What a metric of a part is of; any other part is a query structure, `mrr_2p`.
PARTS = {
    "head": "heads",
    "tail": "tails",
    "epfo": "EPFO queries",
    "negation": "queries with negation",
}


def method_label(name: str) -> str:
    """`early_stopping` → `Early stopping`; an unknown name is its own label."""
    return METHODS.get(name, name)


def prose_label(name: str) -> str:
    """As inside a sentence: `early stopping`, but `ASWA`."""
    label = method_label(name)
    return label.lower() if label.split()[0].istitle() else label


def listed(names: Sequence[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def metric_label(name: str) -> str:
    """`mrr` → `MRR`, `mrr_2p` → `MRR of 2p queries`; an unknown name is its own label."""
    whole, _, part = name.partition("_")
    if whole not in METRICS or not part:
        return METRICS.get(name, name)
    return f"{METRICS[whole]} of {PARTS.get(part, f'{part} queries')}"


def of_queries(metric: str) -> bool:
    """Whether a metric is about logical queries: `mrr_2p`, `hits@1_epfo`; not `mrr_head`."""
    whole, _, part = metric.partition("_")
    return whole in METRICS and bool(part) and part not in ("head", "tail")


def in_order(names: Iterable[str]) -> list[str]:
    """Methods in the order of the paper, unknown ones last and alphabetically. No duplicates."""
    known = list(METHODS)
    return sorted(set(names), key=lambda m: (known.index(m) if m in METHODS else len(known), m))


def lower_is_better(metric: str) -> bool:
    """True for losses; every other metric of this project is better when higher."""
    return metric == "loss" or metric.endswith("_loss")


def file_stem(metric: str) -> str:
    """A metric as part of a file name: `hits@10` → `hits10`."""
    return "".join(c for c in metric if c.isalnum() or c in "_-")
