"""Means along a path from sparse to dense, over the range that methods share."""

from __future__ import annotations

import math

import pytest

from aswa.analysis.records.paths import common_range, curve, mean_over


def test_the_mean_over_a_range_is_that_of_the_line_through_the_points() -> None:
    points = [(1000.0, 3.0), (1.0, 0.0), (10.0, 1.0), (100.0, 2.0)]  # the logarithm to base 10
    assert mean_over(points, 1, 1000) == pytest.approx(1.5)
    assert mean_over(points, 10, 100) == pytest.approx(1.5)
    assert mean_over(points, 2, 5) == pytest.approx(math.log10(10) / 2)
    bent = [(1.0, 0.0), (10.0, 0.0), (100.0, 1.0)]
    assert mean_over(bent, 1, 100) == pytest.approx(0.25)


def test_points_at_one_place_count_once() -> None:
    places, values = curve([(10.0, 1.0), (10.0, 3.0), (1.0, 0.0)])
    assert places.tolist() == [0.0, math.log(10)] and values.tolist() == [0.0, 2.0]


def test_the_common_range_is_that_of_all_methods() -> None:
    found = common_range(
        {"a": {"auc": [(5.0, 0), (50.0, 0)]}, "b": {"auc": [(80.0, 0), (20.0, 0)]}}
    )
    assert found == (20.0, 50.0)
