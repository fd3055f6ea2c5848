"""What all statements about two methods share: who is compared in what, and rows of their files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from aswa.analysis.records.names import Names


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two methods in one test metric, compared as a minus b; `names` has their labels."""

    metric: str
    optimizer_a: str
    optimizer_b: str
    names: Names = field(repr=False, compare=False)

    @property
    def first(self) -> str:
        """a, as a sentence begins with it."""
        return self.names.method(self.optimizer_a)

    @property
    def spoken(self) -> tuple[str, str]:
        """a and b as prose calls them."""
        return self.names.prose(self.optimizer_a), self.names.prose(self.optimizer_b)

    @property
    def measure(self) -> str:
        """`test MRR`."""
        return f"test {self.names.metric(self.metric).title}"


def frame(found: Iterable[Any], columns: Sequence[str]) -> pd.DataFrame:
    """One row a record, its attributes of these names."""
    rows = [[getattr(record, column) for column in columns] for record in found]
    return pd.DataFrame(rows, columns=list(columns))
