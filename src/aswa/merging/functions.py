"""The methods as functions: `owa(parts, l1=1e-3)` on scipy matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aswa.merging.computation import Computation, Merged, MergeOptions, Method
from aswa.merging.exchange import Exchange
from aswa.merging.local_solver import Solver
from aswa.merging.methods import (
    ACOWA,
    OWA,
    CentroidsOnly,
    FullSolveMethod,
    NaiveAverage,
    OnePart,
    SubsampledAverage,
    VotesOnly,
)
from aswa.merging.released import ReleasedACOWA
from aswa.merging.rows import checked_parts
from aswa.merging.surrogate import CSL, DANE

Parts = Sequence[tuple[Any, Any]]


def merge(
    method: Method,
    parts: Parts,
    l1: float,
    *,
    solver: Solver | None = None,
    exchange: Exchange | None = None,
    **options: Any,
) -> Merged:
    """Any method on parts.

    Args:
        parts: [(X, y), ...]: X [n_p, d], scipy sparse or dense; y in {−1, 1}, [n_p].
        l1: λ of (1/n) Σ ℓ + λ‖w‖₁.
        solver: of local problems; None: `Solver(seed=seed)`.
        exchange: a carrier; None: this process.
        options: of `MergeOptions`: seed, merge_rows, merge_share, merge_sample, lambda2, selection.

    Returns:
        `Merged`: weights [d], the ledger of all messages, and more.

    Raises:
        ValueError: a part without rows, labels other than −1 and 1, or options out of range.
    """
    found = Computation(checked_parts(parts), MergeOptions(l1, **options), solver, exchange)
    return found.merged(method)


def full_solve(parts: Parts, l1: float, **options: Any) -> Merged:
    """All rows shipped to one machine; see `merge` for the arguments of all functions here."""
    return merge(FullSolveMethod(), parts, l1, **options)


def one_part(parts: Parts, l1: float, **options: Any) -> Merged:
    """The solve of the first part alone."""
    return merge(OnePart(), parts, l1, **options)


def naive_average(parts: Parts, l1: float, **options: Any) -> Merged:
    """AVGM: the unweighted mean of the local solutions."""
    return merge(NaiveAverage(), parts, l1, **options)


def subsampled_average(parts: Parts, l1: float, *, share: float = 0.1, **options: Any) -> Merged:
    """SAVGM: (w̄ − r ū) / (1 − r), r = `share` of the rows of a part."""
    return merge(SubsampledAverage(share), parts, l1, **options)


def owa(parts: Parts, l1: float, **options: Any) -> Merged:
    """OWA: the local solutions weighted by a logistic regression on held-out rows."""
    return merge(OWA(), parts, l1, **options)


def centroids_only(
    parts: Parts, l1: float, *, centroid_weight: float = 0.1, **options: Any
) -> Merged:
    """OWA of local solutions that see the centroids of all parts."""
    return merge(CentroidsOnly(centroid_weight), parts, l1, **options)


def votes_only(parts: Parts, l1: float, *, kappa: float = 10.0, **options: Any) -> Merged:
    """OWA of second-round solutions with penalties from the parts' vote; no centroids."""
    return merge(VotesOnly(kappa), parts, l1, **options)


def acowa(
    parts: Parts, l1: float, *, centroid_weight: float = 0.1, kappa: float = 10.0, **options: Any
) -> Merged:
    """ACOWA in its consistent form: centroids in both rounds, and the vote."""
    return merge(ACOWA(centroid_weight, kappa), parts, l1, **options)


def acowa_released(
    parts: Parts,
    l1: float,
    *,
    unscaled_merge: bool = True,
    unweighted_centroids: bool = True,
    last_part_weight: bool = True,
    shuffled_labels: bool = True,
    last_feature_free: bool = True,
    **options: Any,
) -> Merged:
    """What the released code computes; see `released.ReleasedACOWA` for its switches."""
    method = ReleasedACOWA(
        unscaled_merge,
        unweighted_centroids,
        last_part_weight,
        shuffled_labels,
        last_feature_free,
    )
    return merge(method, parts, l1, **options)


def csl(
    parts: Parts,
    l1: float,
    *,
    updates: int = 2,
    proximal: float | None = None,
    points: int = 8,
    **options: Any,
) -> Merged:
    """CSL from AVGM on; see `surrogate`."""
    return merge(CSL(updates, proximal=proximal, points=points), parts, l1, **options)


def dane(
    parts: Parts,
    l1: float,
    *,
    updates: int = 2,
    proximal: float | None = None,
    points: int = 8,
    **options: Any,
) -> Merged:
    """DANE from AVGM on; see `surrogate`."""
    return merge(DANE(updates, proximal=proximal, points=points), parts, l1, **options)
