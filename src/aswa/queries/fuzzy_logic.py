"""Truth between false and true: t-norms, t-conorms and negation on calibrated scores.

The truth of a triple with score s is its probability σ(s): a t-norm of unbounded scores has no
meaning. Each logic holds truth values in a form that fp32 resolves and that makes its operations
cheap:

- `Product` holds log p, which resolves the small products of chains and, as log p ≈ −(1 − p),
  values near 1 as well;
- `Minimum` holds logits, on which minimum, maximum and 1 − p (a change of sign) are exact;
- `Lukasiewicz` holds p in fp64, since its operations add and subtract 1.

All forms grow with p, so that entities are compared in them. `logits` are ranked, so that ties are
those of scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor


class FuzzyLogic(ABC):
    """A t-norm ⊤ with its dual t-conorm a ⊥ b = 1 − (1 − a) ⊤ (1 − b), and negation 1 − p.

    Attributes:
        dtype: of truth values.
        false, true: the forms of p = 0 and p = 1.
    """

    dtype: torch.dtype
    false: float
    true: float

    @abstractmethod
    def truth(self, scores: Tensor) -> Tensor:
        """Truth values of triples from their scores, of the same shape; may reuse their memory."""

    @abstractmethod
    def logits(self, truth: Tensor) -> Tensor:
        """log(p / (1 − p)), fp32."""

    def probabilities(self, truth: Tensor) -> Tensor:
        """p, in [0, 1], fp64."""
        return torch.sigmoid(self.logits(truth).double())

    @abstractmethod
    def conjunction(self, a: Tensor, b: Tensor) -> Tensor:
        """a ⊤ b, with the shapes of `a` and `b` broadcast."""

    @abstractmethod
    def negation(self, a: Tensor) -> Tensor:
        """1 − a."""

    def disjunction(self, a: Tensor, b: Tensor) -> Tensor:
        """a ⊥ b."""
        return self.negation(self.conjunction(self.negation(a), self.negation(b)))

    def prepare(self, scores: Tensor) -> Tensor:
        """Scores in the form that `some` takes, in place."""
        return self.truth(scores)

    def some(self, truth: Tensor, prepared: Tensor) -> Tensor:
        """The truth that some x is in a set and in relation to t: max over x of `truth` ⊤ σ(score).

        A logic that can do so in fewer passes over memory has another form of the scores.

        Args:
            truth: [B, K], of each x.
            prepared: [B or 1, K, W], scores of (x, r, t) for W entities t, by `prepare`;
                overwritten unless one is for all B.

        Returns:
            [B, W].
        """
        return self.conjunction(truth.unsqueeze(2), prepared).amax(1)


class Product(FuzzyLogic):
    """a ⊤ b = ab, a ⊥ b = a + b − ab."""

    dtype = torch.float32
    false, true = -torch.inf, 0.0

    def truth(self, scores: Tensor) -> Tensor:
        return -F.softplus(-scores)  # log σ(s); torch's own logsigmoid is slower on a CPU

    def logits(self, truth: Tensor) -> Tensor:
        return truth - torch.log(-torch.expm1(truth))

    def conjunction(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def negation(self, a: Tensor) -> Tensor:
        # log(1 − eᵃ), by expm1 or log1p where each keeps its digits (Mächler 2012).
        near_true = a > -0.6931472
        return torch.where(near_true, torch.log(-torch.expm1(a)), torch.log1p(-torch.exp(a)))

    def prepare(self, scores: Tensor) -> Tensor:
        # −log σ(s) = log(1 + e⁻ˢ); below s = −88 that is infinite in fp32, and p counts as 0.
        return scores.neg_().exp_().log1p_()

    def some(self, truth: Tensor, prepared: Tensor) -> Tensor:
        return _plus(prepared, -truth).amin(1).neg_()


def _plus(a: Tensor, b: Tensor) -> Tensor:
    """a [B or 1, K, W] + b [B, K], in place unless one a is for all B."""
    return a.add_(b.unsqueeze(2)) if len(a) > 1 else a + b.unsqueeze(2)


class Minimum(FuzzyLogic):
    """a ⊤ b = min(a, b), a ⊥ b = max(a, b) (Gödel)."""

    dtype = torch.float32
    false, true = -torch.inf, torch.inf

    def truth(self, scores: Tensor) -> Tensor:
        return scores

    def logits(self, truth: Tensor) -> Tensor:
        return truth

    def conjunction(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(a, b)

    def negation(self, a: Tensor) -> Tensor:
        return -a


class Lukasiewicz(FuzzyLogic):
    """a ⊤ b = max(0, a + b − 1), a ⊥ b = min(1, a + b)."""

    dtype = torch.float64
    false, true = 0.0, 1.0

    def truth(self, scores: Tensor) -> Tensor:
        return torch.sigmoid(scores.double())

    def logits(self, truth: Tensor) -> Tensor:
        return torch.logit(truth).float()

    def probabilities(self, truth: Tensor) -> Tensor:
        return truth

    def conjunction(self, a: Tensor, b: Tensor) -> Tensor:
        return (a + b - 1).clamp_(min=0)

    def disjunction(self, a: Tensor, b: Tensor) -> Tensor:
        return (a + b).clamp_(max=1)

    def negation(self, a: Tensor) -> Tensor:
        return 1 - a

    def prepare(self, scores: Tensor) -> Tensor:
        # 1 − p adds up and is small where p is near 1, so that fp32 resolves it.
        return scores.neg_().sigmoid_()

    def some(self, truth: Tensor, prepared: Tensor) -> Tensor:
        lacking = _plus(prepared, (1 - truth).float()).amin(1)
        return 1 - lacking.clamp_(max=1).double()


LOGICS: dict[str, type[FuzzyLogic]] = {
    "product": Product,
    "minimum": Minimum,
    "lukasiewicz": Lukasiewicz,
}
