"""The mean of several link predictors' scores, or of their probabilities."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.link_predictor import LinkPredictor


def as_one(members: Sequence[nn.Module]) -> LinkPredictor:
    """The only member, or one model whose scores are the members' mean, in eval mode."""
    models = [member.eval() for member in members]
    if len(models) == 1:
        (model,) = models
        assert isinstance(model, LinkPredictor)
        return model
    bilinear = [model for model in models if isinstance(model, BilinearModel)]
    if len(bilinear) == len(models):
        return Ensemble(bilinear)
    return MeanScore([model for model in models if isinstance(model, LinkPredictor)])


class Ensemble(BilinearModel):
    """The mean of N bilinear models' scores: a bilinear model with rows N times as long.

    (1/N) Σ_n ⟨q_n, t_n⟩ = ⟨[q_1 | … | q_N], [t_1 | … | t_N] / N⟩ with q_n = compose_n(h, r).
    Entities are copied, without gradients.

    Args:
        members: at least one, over the same entities and relations, in eval mode.
    """

    def __init__(self, members: Sequence[BilinearModel]) -> None:
        nn.Module.__init__(self)  # LinkPredictor would draw tables
        self.sparse_gradient = False
        self.members = tuple(members)
        rows = torch.cat([member.entity.detach() for member in members], 1)
        self.entity = nn.Parameter(rows / len(members), requires_grad=False)

    def queries(self, h: Tensor, r: Tensor) -> Tensor:
        """Composed rows [B, N d] of head ids [B] and relation ids [B]."""
        return torch.cat([member.queries(h, r) for member in self.members], 1)


class MeanScore(LinkPredictor):
    """The mean of the scores of link predictors of any form; rows are the members' side by side.

    Args:
        members: at least one, over the same entities and relations, in eval mode.
    """

    def __init__(self, members: Sequence[LinkPredictor]) -> None:
        nn.Module.__init__(self)  # LinkPredictor would draw tables
        self.members = tuple(members)
        self._widths = [member.entity.shape[1] for member in members]
        rows = torch.cat([member.entity.detach() for member in members], 1)
        self.entity = nn.Parameter(rows, requires_grad=False)

    def queries(self, h: Tensor, r: Tensor) -> Tensor:
        """Composed rows of all members."""
        return torch.cat([member.queries(h, r) for member in self.members], 1)

    def score_entities(self, q: Tensor, entities: Tensor) -> Tensor:
        """Scores [B, n]."""
        rows, composed = entities.split(self._widths, 1), q.split(self._widths, 1)
        parts = zip(self.members, composed, rows, strict=True)
        return self.combined([m.score_entities(own, e) for m, own, e in parts])

    def score_all(self, h: Tensor, r: Tensor) -> Tensor:
        """Scores [B, n_entities]; also of members that do not compare composed rows."""
        return self.combined([member.score_all(h, r) for member in self.members])

    def score(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Scores [B] or [B, K]."""
        return self.combined([member.score(h, r, t) for member in self.members])

    def combined(self, scores: Sequence[Tensor]) -> Tensor:
        """One score of those of the members, all of one shape."""
        return torch.stack(list(scores)).mean(0)


class MeanProbability(MeanScore):
    """The mean of the probabilities sigmoid(score) of link predictors, as log-odds.

    log p − log (1 − p) of the mean p, each by logsumexp over the members: probabilities of 0 and 1
    in fp32 still tell triples apart. See `MeanScore` for arguments.
    """

    def combined(self, scores: Sequence[Tensor]) -> Tensor:
        """Log-odds of the mean probability."""
        true = functools.reduce(torch.logaddexp, (F.logsigmoid(x) for x in scores))
        false = functools.reduce(torch.logaddexp, (F.logsigmoid(-x) for x in scores))
        return true - false
