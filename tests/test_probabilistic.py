"""Probabilistic metrics: by hand, against other libraries, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import Tensor

from aswa.tasks.probabilistic import (
    auroc,
    brier,
    ece,
    entropy,
    mean_prediction,
    mutual_information,
    nll,
    predictive_entropy,
    reliability,
    risk_coverage,
)

pytestmark = pytest.mark.numeric


def drawn(n: int = 2000, classes: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, sharp and flat ones, and labels that follow them half of the time."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator) * torch.linspace(0.1, 8, n)[:, None]
    labels = torch.randint(classes, (n,), generator=generator)
    follows = torch.rand(n, generator=generator) < 0.5
    return logits, torch.where(follows, logits.argmax(1), labels)


def test_nll_of_members_keeps_what_a_probability_cannot_hold() -> None:
    """e^−200 has no fp32; the mean of e^−200 and e^−100 has a logarithm all the same."""
    members = [torch.tensor([[0.0, -200.0]]), torch.tensor([[0.0, -100.0]])]
    found = nll(mean_prediction(members), torch.tensor([1]))
    assert found == pytest.approx(100 + math.log(2), abs=1e-4)


def test_log_probabilities_are_logits() -> None:
    logits, labels = drawn()
    for metric in (nll, brier, ece):
        again = metric(logits.double().log_softmax(1), labels)
        assert metric(logits, labels) == pytest.approx(again, abs=1e-9)


def test_the_mean_of_copies_is_the_model_and_jensen_holds() -> None:
    """NLL and Brier of the mean prediction are at most the members' mean."""
    logits, labels = drawn()
    members = [logits, drawn(seed=1)[0], drawn(seed=2)[0]]
    copies = mean_prediction([logits] * 4)
    for metric in (nll, brier):
        assert metric(copies, labels) == pytest.approx(metric(logits, labels), abs=1e-6)
        own = np.mean([metric(each, labels) for each in members])
        assert metric(mean_prediction(members), labels) < own
        turned = metric(mean_prediction(members[::-1]), labels)
        assert metric(mean_prediction(members), labels) == pytest.approx(turned, abs=1e-6)


def test_brier_by_hand() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    expected = ((0.3**2 + 0.2**2 + 0.1**2) + (1 + 0 + 1)) / 2
    assert brier(probabilities.log(), torch.tensor([0, 1])) == pytest.approx(expected)


def test_a_bin_holds_its_upper_edge() -> None:
    """(lo, hi]: of 4 bins, 0.5 is in the second, 0.75 in the third, and 1 in the last."""
    confidences = torch.tensor([0.5, 0.75, 1.0, 0.76], dtype=torch.float64)
    logits = torch.stack([confidences, 1 - confidences], 1).log()
    found = reliability(logits, torch.tensor([0, 1, 0, 0]), bins=4)
    assert found.number.tolist() == [0, 1, 1, 2]
    assert found.correct.tolist() == [0, 1, 0, 2]
    assert found.error == pytest.approx((0.5 + 0.75 + 0.24) / 4)


def test_parts_of_a_set_add_up() -> None:
    logits, labels = drawn()
    whole = reliability(logits, labels)
    parts = [reliability(x, y) for x, y in zip(logits.split(300), labels.split(300), strict=True)]
    for found, sums in zip(zip(*parts, strict=True), whole, strict=True):
        torch.testing.assert_close(torch.stack(found).sum(0), sums)
    assert whole.number.sum() == len(labels)


def test_calibration_error_of_other_libraries() -> None:
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels = drawn()
    expected = torchmetrics.multiclass_calibration_error(
        logits.double().softmax(1), labels, num_classes=7, n_bins=15, norm="l1"
    )
    assert ece(logits, labels) == pytest.approx(float(expected), abs=1e-6)


def test_auroc_and_likelihood_of_other_libraries() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    logits, labels = drawn()
    logits = logits / 2  # scikit-learn cuts probabilities off at 2e-16
    probabilities = logits.double().softmax(1)
    assert nll(logits, labels) == pytest.approx(sklearn.log_loss(labels, probabilities), abs=1e-9)
    inside = torch.randn(300).mul(4).round()  # with ties
    outside = torch.randn(200).mul(4).add(2).round()
    truth = [0] * 300 + [1] * 200
    expected = sklearn.roc_auc_score(truth, torch.cat([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(expected, abs=1e-12)


def test_auroc_by_mid_ranks() -> None:
    inside, outside = torch.tensor([0.0, 1.0, 1.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])
    ranks = rankdata(torch.cat([inside, outside]))[4:].sum()
    assert auroc(inside, outside) == pytest.approx((ranks - 6) / 12)
    assert auroc(inside, inside) == 0.5
    assert auroc(inside, inside + 10) == 1.0
    with pytest.raises(ValueError, match="both kinds"):
        auroc(inside, torch.tensor([]))
    with pytest.raises(ValueError, match="NaN"):
        auroc(inside, torch.tensor([math.nan]))


def test_entropies() -> None:
    """Members that are sure of different classes disagree about log 2; copies about nothing."""
    sure = torch.tensor([[100.0, 0.0, 0.0]]), torch.tensor([[0.0, 100.0, 0.0]])
    assert float(entropy(torch.zeros(1, 3))) == pytest.approx(math.log(3))
    assert float(entropy(torch.tensor([[0.0, -math.inf]]))) == 0
    assert float(predictive_entropy(sure)) == pytest.approx(math.log(2))
    assert float(mutual_information(sure)) == pytest.approx(math.log(2))
    logits, _ = drawn()
    assert mutual_information([logits]).tolist() == [0.0] * len(logits)
    assert float(mutual_information([logits] * 3).max()) < 1e-6
    assert float(mutual_information([logits, drawn(seed=3)[0]]).min()) >= 0


def test_risk_and_coverage_by_hand() -> None:
    """Sure and right, then two equally sure of which one is wrong, then wrong."""
    confidences = torch.tensor([0.6, 0.9, 0.8, 0.8], dtype=torch.float64)
    logits = torch.stack([confidences, 1 - confidences], 1).log()
    found = risk_coverage(logits, torch.tensor([1, 0, 1, 0]), points=4)
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk.tolist() == pytest.approx([0, 0.25, 1 / 3, 0.5])
    assert found.area == pytest.approx((0 + 0.25 + 1 / 3 + 0.5) / 4)
    coarse = risk_coverage(logits, torch.tensor([1, 0, 1, 0]), points=2)
    assert coarse.coverage.tolist() == [0.5, 1.0]
