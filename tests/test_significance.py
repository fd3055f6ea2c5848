"""The signed-rank record against scipy, statsmodels and plain enumeration."""

import itertools
import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records import legacy
from aswa.analysis.records.long_table import RESULT_COLUMNS, UNIT, Cells
from aswa.analysis.statistics.comparisons import declared_tests, pair_units
from aswa.analysis.statistics.signed_rank import (
    SignificanceRecord,
    correct_family,
    holm,
    signed_rank,
    summary_sentence,
)

pytestmark = pytest.mark.numeric

NAMES = legacy.names(["mrr", "hits@1"])

# Few distinct values, so that ties and zeros are common; halves are exact floats.
scores = st.lists(
    st.tuples(st.integers(-6, 6), st.integers(-6, 6)).map(lambda p: (p[0] / 2, p[1] / 2)),
    max_size=8,
)


def enumerated_p(difference) -> float:
    """Two-sided p of the signed-rank test by trying every assignment of signs."""
    moved = [d for d in difference if d]
    ranks = stats.rankdata(np.abs(moved)) if moved else []
    half = sum(ranks) / 2
    seen = abs(sum(r for r, d in zip(ranks, moved, strict=True) if d > 0) - half)
    totals = [
        abs(sum(itertools.compress(ranks, signs)) - half)
        for signs in itertools.product((0, 1), repeat=len(moved))
    ]
    return sum(total >= seen - 1e-9 for total in totals) / len(totals)


@settings(deadline=None, max_examples=60)
@given(scores)
def test_p_is_that_of_brute_force(pairs):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    result = signed_rank(a, b)
    difference = np.subtract(a, b)
    assert result.n == len(pairs) == result.wins + result.ties + result.losses
    assert result.zeros == result.ties == int((difference == 0).sum())
    if not pairs:
        assert math.isnan(result.p) and math.isnan(result.median_difference)
        return
    assert result.exact and result.p == pytest.approx(enumerated_p(difference), abs=1e-12)
    assert result.p >= result.smallest_p - 1e-12
    assert result.median_difference == np.median(difference)
    moved = difference[difference != 0]
    ranks = stats.rankdata(np.abs(moved))
    plus, minus = ranks[moved > 0].sum(), ranks[moved < 0].sum()
    assert result.statistic == min(plus, minus)
    assert result.rank_biserial == pytest.approx((plus - minus) / max(plus + minus, 1))
    other_way = signed_rank(b, a)
    assert other_way.p == pytest.approx(result.p, abs=1e-12)
    assert other_way.rank_biserial == -result.rank_biserial


def test_ties_stay_exact_where_scipy_would_approximate():
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 5, 14) / 2, draw.integers(0, 5, 14) / 2
    result = signed_rank(a, b)
    assert result.exact and result.p == pytest.approx(enumerated_p(a - b), abs=1e-12)
    small = stats.wilcoxon((a - b)[:7], method=stats.PermutationMethod())
    assert signed_rank(a[:7], b[:7]).p == pytest.approx(small.pvalue, abs=1e-12)


@pytest.mark.parametrize("n", [5, 8, 11, 30, 60])
def test_equal_to_scipy_without_ties(n):
    draw = np.random.default_rng(n)
    a, b = draw.normal(0.3, 1, n), draw.normal(0, 1, n)
    result, expected = signed_rank(a, b), stats.wilcoxon(a, b)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.exact == (n <= 50)
    assert result.smallest_p == 2 / 2**n


def test_float_noise_makes_no_difference_and_breaks_no_tie():
    result = signed_rank([0.75, 0.65, 0.30, 0.1 + 0.2], [0.70, 0.60, 0.35, 0.3])
    assert (result.wins, result.zeros, result.losses) == (2, 1, 1)
    assert result.statistic == 2.0  # all three differences share rank 2


def test_smaller_is_better_for_a_loss():
    result = signed_rank([1.0, 2.0, 3.0], [2.0, 3.0, 5.0], lower_is_better=True)
    assert (result.wins, result.losses, result.rank_biserial) == (3, 0, 1.0)
    assert result.median_difference == -1.0


def test_interval_is_the_inverted_sign_test():
    difference = np.arange(1.0, 9.0)
    result = signed_rank(difference, np.zeros(8))
    # The 1st and the 8th of 8: coverage 1 - 2 / 2^8; the 2nd and 7th would have 93%.
    assert (result.ci_low, result.ci_high) == (1.0, 8.0)
    wide = signed_rank(np.arange(1.0, 21.0), np.zeros(20))
    assert (wide.ci_low, wide.ci_high) == (6.0, 15.0)
    assert math.isnan(signed_rank(difference[:5], np.zeros(5)).ci_low)


@settings(deadline=None, max_examples=5)  # statsmodels collects garbage at every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p):
    np.testing.assert_array_equal(holm(p), multipletests(p, method="holm")[1])


def record_of(a, b, scope="all", **fields):
    named = {"metric": "mrr", "optimizer_a": "aswa", "optimizer_b": "early_stopping"}
    named |= {"names": NAMES, "alpha": 0.05, "confidence": 0.95}
    return SignificanceRecord(**{**vars(signed_rank(a, b)), **named, "scope": scope, **fields})


def test_a_comparison_that_cannot_be_made_counts_in_its_family():
    """It enters with p = 1 and keeps no p of its own."""
    first, gone, last = correct_family(
        [record_of([1.0], [0.0], p=0.01), record_of([], []), record_of([1.0], [0.0], p=0.04)]
    )
    assert (first.p_holm, last.p_holm) == pytest.approx((0.03, 0.08))
    assert math.isnan(gone.p_holm) and first.family == 3


def test_verdicts_and_sentences():
    """Two of the golden sentences; the others have no number that is none and one end."""
    up = np.linspace(0.5, 0.6, 8)
    (better,) = correct_family([record_of(up + np.linspace(0.01, 0.02, 8), up)])
    (worse,) = correct_family([record_of(up, up + np.linspace(0.01, 0.02, 8))])
    (few,) = correct_family([record_of(up[:4] + np.linspace(0.01, 0.02, 4), up[:4])])
    (same,) = correct_family([record_of(up, up)])
    (none,) = correct_family([record_of([], [], unpaired=("umls × keci (no aswa)",))])
    (one,) = correct_family([record_of([1.0], [0.5], "dataset:umls")])
    every = [better, worse, few, same, none, one]
    assert [record.verdict for record in every] == [
        "better", "worse", "not shown", "equal", "untested", "not shown",
    ]  # fmt: skip
    assert better.sentence().startswith("ASWA is better than early stopping in test MRR: ")
    assert "8 wins, 0 ties, 0 losses over 8 dataset × model units" in better.sentence()
    assert same.p == one.p == 1.0 and one.measure == "test MRR on umls"
    assert "umls × keci (no aswa)" in none.sentence()
    assert summary_sentence(every).count(";") == 5 and summary_sentence([]) == ""
    for record in every:
        assert "nan" not in record.sentence() and record.sentence().count(". ") == 0


def cells_table(draw: random.Random, missing: float) -> Cells:
    rows = [
        (dataset, model, method, seed, "test", metric, draw.randrange(20) / 16, "r")
        for dataset in ("umls", "kinship", "wn18rr")
        for model in ("keci", "qmult", "complex")
        for method in ("sgd", "swa", "ema", "early_stopping", "aswa")
        for seed in range(3)
        for metric in ("mrr", "hits@1")
        if draw.random() >= missing
    ]
    return Cells(pd.DataFrame(rows, columns=RESULT_COLUMNS), NAMES)


@settings(deadline=None, max_examples=4)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7]))
def test_order_of_rows_changes_nothing_and_no_unit_vanishes(seed, missing):
    cells = cells_table(random.Random(seed), missing)
    records = declared_tests(cells, load_declaration())
    shuffled = Cells(cells.table.sample(frac=1, random_state=seed), NAMES)
    assert repr(declared_tests(shuffled, load_declaration())) == repr(records)
    table = cells.seed_table("mrr")
    units = set(table.index.droplevel("seed"))
    pairs = pair_units(table, "aswa", "sgd")
    assert set(pairs.units) | pairs.unpaired.keys() == units
    assert not set(pairs.units) & pairs.unpaired.keys()
    complete = table[["aswa", "sgd"]].dropna().groupby(level=UNIT).mean()
    np.testing.assert_array_equal(pairs.a, complete["aswa"])
    np.testing.assert_array_equal(pairs.b, complete["sgd"])
    within = pairs.within("dataset:umls")
    assert within.units == tuple(unit for unit in pairs.units if unit[0] == "umls")
    again = pair_units(table.loc[["umls"]], "aswa", "sgd")
    assert within.a.tolist() == again.a.tolist() and within.unpaired == again.unpaired
