"""What a signed-rank test over so few units can show at all."""

from __future__ import annotations

import itertools
import math

import numpy as np

from aswa.analysis.statistics.signed_rank import SignificanceRecord, tied_p


def smallest_corrected_p(untied: int, comparisons: int) -> float:
    """The least Holm-corrected p of the first of `comparisons`, when all untied units agree."""
    return min(1.0, comparisons * 2.0 / 2.0**untied)


def units_needed(alpha: float, comparisons: int) -> int:
    """Untied units from which on a comparison can be significant, if all of them agree."""
    return max(1, math.ceil(math.log2(2 * comparisons / alpha)))


def power_note(record: SignificanceRecord) -> str:
    """What a comparison of a family could have shown, in a sentence; empty without units."""
    if record.n == 0:
        return ""
    untied = record.n - record.zeros
    least = smallest_corrected_p(untied, record.family)
    needed = units_needed(record.alpha, record.family)
    many = f"{record.family} comparisons" if record.family > 1 else "one comparison"
    note = (
        f"With {untied} untied units and {many} in the family the smallest corrected p is "
        f"{least:.2g}"
    )
    if untied < needed:
        return (
            f"{note}: nothing can be significant at {record.alpha:g} here; it takes {needed} "
            "untied units that all agree, and more if some do not. More seeds make each unit's "
            "mean more precise, but no more units."
        )
    against = most_against(untied, record.family, record.alpha)
    # Holm's correction asks less of every next comparison.
    first = "the first significance" if record.family > 1 else "significance"
    if not against:
        return f"{note}; {first} at {record.alpha:g} takes all {untied} units to agree."
    return (
        f"{note}; {first} at {record.alpha:g} allows at most {against} of {untied} units to "
        "point the other way, and these with the smallest differences."
    )


def most_against(untied: int, comparisons: int, alpha: float) -> int:
    """Units that may point the other way, with the smallest |differences|, at a significant p.

    −1 where not even all units in agreement are significant.
    """
    rank = np.arange(1, untied + 1.0)
    found = (comparisons * tied_p(np.where(rank > k, rank, -rank)) for k in range(untied + 1))
    return sum(1 for _ in itertools.takewhile(lambda p: p <= alpha, found)) - 1
