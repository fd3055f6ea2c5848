"""Labels, directions and order of metrics and methods, as the records declare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

PERSONS = ("Polyak",)  # names that stay as they are inside a sentence


@dataclass(frozen=True)
class Metric:
    """A metric as a record declares it; `higher_is_better` is None where no record says it.

    `part` is what of the evaluation the metric is about, `heads` or `2p queries`.
    """

    name: str
    label: str
    higher_is_better: bool | None = None
    family: str | None = None
    part: str | None = None

    @property
    def title(self) -> str:
        """`MRR`, or `MRR of 2p queries`."""
        return f"{self.label} of {self.part}" if self.part else self.label

    @property
    def stem(self) -> str:
        """As part of a file name: `hits@10` → `hits10`."""
        return "".join(c for c in self.name if c.isalnum() or c in "_-")

    @property
    def sign(self) -> int:
        """1 where higher is better, −1 where lower is. Raises ValueError where nobody knows."""
        if self.higher_is_better is None:
            raise ValueError(f"no record says whether a higher {self.name} is better")
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Names:
    """Metrics by name, and labels of methods by name, both in the order of tables."""

    metrics: Mapping[str, Metric]
    methods: Mapping[str, str]

    def metric(self, name: str) -> Metric:
        """An undeclared metric is its own label and has no direction."""
        return self.metrics.get(name) or Metric(name, name)

    def method(self, name: str) -> str:
        """`early_stopping` → `Early stopping`; an undeclared method is its own label."""
        return self.methods.get(name, name)

    def prose(self, name: str) -> str:
        """As inside a sentence: `early stopping`, but `ASWA`."""
        label = self.method(name)
        first = label.split()[0]
        return label.lower() if first.istitle() and first not in PERSONS else label

    def in_order(self, methods: Iterable[str]) -> list[str]:
        """Methods in the order of tables, undeclared ones last by name. No duplicates."""
        places = {name: place for place, name in enumerate(self.methods)}
        return sorted(set(methods), key=lambda m: (places.get(m, len(places)), m))

    def judged(self, metrics: Iterable[str]) -> list[str]:
        """Those whose direction is known."""
        return [name for name in metrics if self.metric(name).higher_is_better is not None]


def declared_names(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Names:
    """The two tables of one record, as Names."""

    def metric(name: str, said: Mapping[str, Any]) -> Metric:
        rest = (said.get(key) for key in ("higher_is_better", "family", "part"))
        return Metric(name, str(said.get("label") or name), *rest)

    return Names(
        {name: metric(name, said) for name, said in metrics.items()},
        {name: str(said.get("label") or name) for name, said in methods.items()},
    )


def merged(found: Iterable[Names]) -> tuple[Names, list[str]]:
    """One Names for several records, and a notice for each metric that they contradict.

    A metric with two directions has none: no table marks a best one.
    """
    distinct = list({id(names): names for names in found}.values())
    metrics: dict[str, Metric] = {}
    notices = []
    for name in _one_order(tuple(names.metrics) for names in distinct):
        said = [names.metrics[name] for names in distinct if name in names.metrics]
        directions = {metric.higher_is_better for metric in said} - {None}
        metrics[name] = next((m for m in said if m.higher_is_better is not None), said[0])
        if len(directions) > 1:
            metrics[name] = replace(metrics[name], higher_is_better=None)
            notices.append(f"the records disagree on whether a higher {name} is better")
    labels: dict[str, str] = {}
    for names in reversed(distinct):
        labels.update(names.methods)
    order = _one_order(tuple(names.methods) for names in distinct)
    return Names(metrics, {name: labels[name] for name in order}), notices


def _one_order(orders: Iterable[tuple[str, ...]]) -> list[str]:
    """All names in one order: the longest order, each further name before what it precedes."""
    one: list[str] = []
    for order in sorted(set(orders), key=lambda names: (-len(names), names)):
        for place, name in enumerate(order):
            if name not in one:
                later = (one.index(other) for other in order[place + 1 :] if other in one)
                one.insert(next(later, len(one)), name)
    return one


def listed(names: Sequence[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
