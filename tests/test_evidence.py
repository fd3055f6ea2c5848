"""Ranks, sizes, posterior and power, against scipy, autorank's definitions, counting and limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aswa.analysis.records import legacy
from aswa.analysis.statistics.bayesian import posterior
from aswa.analysis.statistics.friedman import pairwise_p, rank_methods
from aswa.analysis.statistics.power import (
    most_against,
    power_note,
    smallest_corrected_p,
    units_needed,
)
from aswa.analysis.statistics.resampling import effect
from aswa.analysis.statistics.signed_rank import SignificanceRecord, correct_family, signed_rank
from aswa.analysis.statistics.unit_intervals import told_apart, unit_intervals

METHODS = ["aswa", "ema", "sgd", "swa"]
NAMES = legacy.names(["mrr", "loss"])


def seed_table(units: int = 6, seeds: int = 4, seed: int = 0, decimals: int = 2) -> pd.DataFrame:
    """Random values with ties, index (dataset, model, seed), one column per method."""
    numbers = np.random.default_rng(seed)
    index = pd.MultiIndex.from_tuples(
        [(f"d{u % 2}", f"m{u // 2}", s) for u in range(units) for s in range(seeds)],
        names=["dataset", "model", "seed"],
    )
    values = numbers.normal(0.5, 0.05, (len(index), len(METHODS))).round(decimals)
    return pd.DataFrame(values, index=index, columns=METHODS).sort_index()


@pytest.mark.parametrize("metric", ["mrr", "loss"])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_friedman_are_scipys(seed: int, metric: str) -> None:
    """With ties; average ranks by rankdata, unit by unit."""
    table = seed_table(seed=seed, decimals=1, seeds=2)
    found = rank_methods(table, NAMES, metric, alpha=0.05)
    means = table.groupby(["dataset", "model"]).mean()
    sign = 1 if metric == "loss" else -1
    ranks = np.mean([stats.rankdata(sign * row.round(12)) for row in means.to_numpy()], axis=0)
    assert found.ranks == pytest.approx(dict(zip(METHODS, ranks, strict=True)))
    expected = stats.friedmanchisquare(*means.round(12).to_numpy().T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert list(found.ranks.values()) == sorted(found.ranks.values())


def test_pairs_are_signed_rank_tests_in_one_holm_family() -> None:
    means = seed_table(units=12, decimals=3).groupby(["dataset", "model"]).mean()
    matrix = pairwise_p(means)
    pairs = list(itertools.combinations(METHODS, 2))
    raw = np.array([stats.wilcoxon(means[a], means[b]).pvalue for a, b in pairs])
    order = raw.argsort()
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)).clip(max=1)
    for place, number in enumerate(order):
        a, b = pairs[number]
        assert matrix.loc[a, b] == matrix.loc[b, a] == pytest.approx(stepped[place])
    assert (np.diag(matrix) == 1).all()


def test_order_of_rows_changes_nothing() -> None:
    """Shuffled rows and columns: which scikit-posthocs' own pairing would not survive."""
    table = seed_table(decimals=3)
    shuffled = table.sample(frac=1, random_state=1)[METHODS[::-1]]
    one, other = (rank_methods(t, NAMES, "mrr", 0.05) for t in (table, shuffled))
    assert one.sentence() == other.sentence()
    sizes = [effect(t, NAMES, "mrr", ("aswa", "swa")) for t in (table, shuffled)]
    assert sizes[0] == sizes[1]


def test_units_and_methods_that_are_missing_are_named() -> None:
    table = seed_table()
    table.loc[("d0", "m0"), "swa"] = np.nan
    table["rare"] = np.nan
    table.loc[("d1", "m1"), "rare"] = 0.5
    found = rank_methods(table, NAMES, "mrr", 0.05)
    assert found.n == 5
    assert found.left_out == ("rare (in 1 of 6 units)", "d0 × m0 (no SWA)")
    few = rank_methods(table[["aswa", "swa"]], NAMES, "mrr", 0.05)
    assert not few.tested and math.isnan(few.statistic)


def test_effect_sizes_are_those_by_counting() -> None:
    """Mean over units of means over seeds, P(a > b) over all pairs; one seed: no interval."""
    table = seed_table(decimals=1)
    found = effect(table, NAMES, "mrr", ("aswa", "sgd"))
    units = [part for _, part in table.groupby(["dataset", "model"])]
    differences = [(part["aswa"] - part["sgd"]).mean() for part in units]
    wins = [
        np.mean([(a > b) + 0.5 * (a == b) for a in part["aswa"] for b in part["sgd"]])
        for part in units
    ]
    assert found.mean_difference == pytest.approx(np.mean(differences))
    assert found.improvement == pytest.approx(np.mean(wins))
    assert effect(table, NAMES, "loss", ("aswa", "sgd")).improvement == pytest.approx(
        1 - np.mean(wins)
    )
    assert found.ci_low < found.mean_difference < found.ci_high
    alone = effect(table.xs(0, level="seed", drop_level=False), NAMES, "mrr", ("aswa", "sgd"))
    assert math.isnan(alone.ci_low) and alone.seeds == alone.units == 6
    assert effect(table, NAMES, "mrr", ("aswa", "absent")).units == 0


def test_the_bootstrap_interval_is_scipys() -> None:
    """One unit, where the stratified bootstrap is the plain paired one."""
    table = seed_table(units=1, seeds=30, decimals=6)
    found = effect(table, NAMES, "mrr", ("aswa", "sgd"))
    difference = (table["aswa"] - table["sgd"]).to_numpy()
    theirs = stats.bootstrap(
        (difference,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    assert (found.ci_low, found.ci_high) == pytest.approx((theirs.low, theirs.high), abs=1e-3)


def test_unit_intervals_are_paired_t_intervals() -> None:
    table = seed_table(seeds=5, decimals=6)
    added = table.loc[("d0", "m0"), "swa"].to_numpy() + np.array([5, 5, 5, 5, 6])
    table.loc[("d0", "m0"), "aswa"] = added
    frame = unit_intervals(table, NAMES, "aswa", 0.95)
    for row in frame.itertuples():
        part = table.loc[(row.dataset, row.model)]
        theirs = stats.ttest_rel(part["aswa"], part[row.optimizer]).confidence_interval(0.95)
        assert (row.ci_low, row.ci_high) == pytest.approx((theirs.low, theirs.high))
    apart = told_apart(table, NAMES, "aswa", 0.95)
    expected = {
        (r.dataset, r.model, r.optimizer) for r in frame.itertuples() if r.ci_low * r.ci_high > 0
    }
    assert apart == expected and ("d0", "m0", "swa") in apart


def test_the_posterior_knows_left_from_right() -> None:
    pytest.importorskip("baycomp", reason="baycomp is not installed: pip install 'aswa[bayes]'")
    base = np.linspace(0.4, 0.6, 9)
    found = posterior(base + 0.05, base, rope=0.01)
    assert found["p_better"] > 0.95 > 0.05 > found["p_worse"]
    turned = posterior(base + 0.05, base, 0.01, lower_is_better=True)
    assert turned["p_worse"] == found["p_better"] and turned["p_better"] == found["p_worse"]
    assert posterior(base + 0.001, base, 0.01)["p_equivalent"] > 0.95
    assert posterior(base + 0.02, base, 0.01) == posterior(base + 0.02, base, 0.01)


@pytest.mark.parametrize("untied", range(1, 10))
@pytest.mark.parametrize("comparisons", [1, 4])
def test_power_is_that_of_brute_force(untied: int, comparisons: int) -> None:
    """The least p, and how many of the smallest differences may point the other way."""
    size = np.arange(1, untied + 1) / 100
    least = comparisons * signed_rank(size, np.zeros(untied)).p
    assert smallest_corrected_p(untied, comparisons) == pytest.approx(min(1, least))
    assert (untied >= units_needed(0.05, comparisons)) == (least <= 0.05)
    allowed = -1
    for against in range(untied + 1):
        signs = np.where(np.arange(untied) < against, -1, 1)
        p = signed_rank(signs * size, np.zeros(untied)).p
        if comparisons * p > 0.05:
            break
        allowed = against
    assert most_against(untied, comparisons, 0.05) == allowed


def test_the_power_note_says_what_could_have_been_seen() -> None:
    """One of the golden sentences."""

    def note(n: int) -> str:
        test = signed_rank(np.arange(1, n + 1), np.zeros(n))
        record = SignificanceRecord(
            **vars(test), metric="mrr", scope="all", optimizer_a="aswa", optimizer_b="sgd",
            names=NAMES, alpha=0.05, confidence=0.95,
        )  # fmt: skip
        return power_note(correct_family([record])[0])

    assert "allows at most 2 of 8 units" in note(8)
    assert len({note(5), note(6), note(8)}) == 3 and note(0) == ""
