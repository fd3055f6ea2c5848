"""How good predicted probabilities are: likelihood, calibration, and what a model knows it lacks.

For every classifier and language model: N predictions over C classes, of one model or of several.
`logits` may be log-probabilities, which a softmax leaves as they are. Nothing takes log(p + ε):
probabilities of members are averaged by logsumexp, so the smallest ones keep their logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aswa.averaging.mixing import mean_probability

BINS = 15  # of confidence, of equal width
COVERAGES = 20  # points of a risk-coverage curve


def mean_prediction(logits: Sequence[Tensor]) -> Tensor:
    """log of the members' mean softmax, [N, C]; the logits themselves of one member.

    Args:
        logits: of each of S members, [N, C].
    """
    if len(logits) == 1:
        return logits[0]
    return mean_probability(torch.stack(list(logits)))


def nll(logits: Tensor, labels: Tensor) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    Args:
        logits: [N, C]; of several members give `mean_prediction`.
        labels: int64 [N].
    """
    return float(F.cross_entropy(logits.double(), labels))


def brier(logits: Tensor, labels: Tensor) -> float:
    """Brier score Σ_c (p_c − y_c)², mean over predictions: from 0 to 2 (Brier 1950).

    Args:
        logits: [N, C].
        labels: int64 [N].
    """
    p = logits.double().softmax(-1)
    right = p.gather(-1, labels[:, None]).squeeze(-1)
    return float((p.square().sum(-1) - 2 * right + 1).mean())


class Reliability(NamedTuple):
    """Predictions by confidence: bin b of B holds those in (b/B, (b+1)/B], and 0 is in the first.

    Reliabilities of parts of a set add up to that of the whole.

    Attributes:
        number: of predictions, [B].
        confidence: sum of their greatest probabilities, [B].
        correct: how many of them are right, [B].
    """

    number: Tensor
    confidence: Tensor
    correct: Tensor

    @property
    def error(self) -> float:
        """Expected calibration error Σ_b |correct_b − confidence_b| / N (Guo et al. 2017)."""
        return float((self.correct - self.confidence).abs().sum() / self.number.sum())


def reliability(logits: Tensor, labels: Tensor, bins: int = BINS) -> Reliability:
    """Sums by bin of confidence, in fp64.

    Args:
        logits: [N, C].
        labels: int64 [N].
        bins: of equal width.
    """
    return by_confidence(*judged(logits, labels), bins)


def judged(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Confidence of each prediction, its greatest probability, and 1 where it is right, fp64 [N].

    `by_confidence` and `selective` take these, where the logits of all N are too many to keep.
    """
    confidence, predicted = logits.double().softmax(-1).max(-1)
    return confidence, (predicted == labels).double()


def by_confidence(confidence: Tensor, correct: Tensor, bins: int = BINS) -> Reliability:
    """`reliability` of what `judged` gives."""
    inner = torch.arange(1, bins, dtype=torch.float64, device=confidence.device) / bins
    of = torch.bucketize(confidence, inner)  # inner[b − 1] < confidence <= inner[b]
    sums = [
        torch.zeros(bins, dtype=torch.float64, device=confidence.device).index_add_(0, of, values)
        for values in (torch.ones_like(confidence), confidence, correct)
    ]
    return Reliability(*sums)


def ece(logits: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Expected calibration error in `bins` bins (lo, hi] of equal width; from 0 to 1."""
    return reliability(logits, labels, bins).error


def entropy(logits: Tensor) -> Tensor:
    """−Σ_c p_c log p_c of each prediction, in nats, [N]; classes of probability 0 add 0."""
    p = logits.double().softmax(-1)
    return torch.special.entr(p).sum(-1)


def predictive_entropy(logits: Sequence[Tensor]) -> Tensor:
    """Entropy of the members' mean prediction, [N]: all of the uncertainty.

    Args:
        logits: of each of S members, [N, C].
    """
    return entropy(mean_prediction(logits))


def mutual_information(logits: Sequence[Tensor]) -> Tensor:
    """What the members disagree about, [N]: the entropy of their mean minus their mean entropy.

    0 where there is one member; never negative (Jensen), so that rounding below 0 is cut off.
    """
    if len(logits) == 1:
        return torch.zeros(len(logits[0]), dtype=torch.float64, device=logits[0].device)
    own = torch.stack([entropy(each) for each in logits]).mean(0)
    return (predictive_entropy(logits) - own).clamp(min=0)


def auroc(inside: Tensor, outside: Tensor) -> float:
    """Probability that a score of `outside` is above one of `inside`; equal ones count half.

    The area under the ROC curve of "is out of distribution": the statistic of Mann and Whitney,
    by mid-ranks.

    Args:
        inside: scores such as entropies of in-distribution inputs, [N].
        outside: of out-of-distribution ones, the positive class, [M].

    Raises:
        ValueError: one of them is empty, or a score is not a number.
    """
    n, m = len(inside), len(outside)
    if n == 0 or m == 0:
        raise ValueError(f"auroc needs scores of both kinds, not {n} inside and {m} outside")
    values = torch.cat([inside, outside]).double()
    if bool(values.isnan().any()):
        raise ValueError("auroc got NaN, which has no rank")
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    count = count.double()
    middle = count.cumsum(0) - (count - 1) / 2  # mean rank, from 1, of equal scores
    ranks = middle[place][n:].sum()
    return float((ranks - m * (m + 1) / 2) / (n * m))


class RiskCoverage(NamedTuple):
    """Error among the most confident predictions.

    Attributes:
        coverage: share of the predictions that are kept, rising to 1, [P].
        risk: share of wrong ones among these, [P].
        area: mean risk over all N coverages 1/N, 2/N, …, 1 (Geifman and El-Yaniv 2017).
    """

    coverage: Tensor
    risk: Tensor
    area: float


def risk_coverage(logits: Tensor, labels: Tensor, points: int = COVERAGES) -> RiskCoverage:
    """The curve of selective prediction by confidence; equally confident ones share their risk.

    Args:
        logits: [N, C].
        labels: int64 [N].
        points: of the curve, at equal steps of coverage; at most N.
    """
    return selective(*judged(logits, labels), points)


def selective(confidence: Tensor, correct: Tensor, points: int = COVERAGES) -> RiskCoverage:
    """`risk_coverage` of what `judged` gives."""
    values, place, count = (-confidence).unique(return_inverse=True, return_counts=True)
    of_value = torch.zeros_like(values).index_add_(0, place, 1 - correct) / count
    expected = of_value[place.sort().values]  # most confident first
    n = len(confidence)
    kept = torch.arange(1, n + 1, dtype=torch.float64, device=expected.device)
    risk = expected.cumsum(0) / kept
    share = torch.arange(1, min(points, n) + 1, dtype=torch.float64, device=expected.device)
    chosen = (share * n / min(points, n)).ceil().long() - 1
    return RiskCoverage(kept[chosen] / n, risk[chosen], float(risk.mean()))


def diagrams(confidence: Tensor, correct: Tensor) -> dict[str, Any]:
    """Reliability by bin and the risk-coverage curve of what `judged` gives, as plain lists."""
    bins, curve = by_confidence(confidence, correct), selective(confidence, correct)
    return {
        "reliability": {name: sums.tolist() for name, sums in bins._asdict().items()},
        "risk_coverage": {"coverage": curve.coverage.tolist(), "risk": curve.risk.tolist()},
    }
