"""What the released code of ACOWA computes, one switch a deviation. Not the method.

The code is that of the authors' anonymous submission; docs/one_shot.md lists the deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from aswa.merging.computation import Computation, Merge, Stage
from aswa.merging.exchange import Ledger
from aswa.merging.logistic import Floats
from aswa.merging.merge_weights import learn_weights
from aswa.merging.methods import gathered_sample
from aswa.merging.rows import SparseVector, stacked
from aswa.merging.stages import CentroidRound, CentroidWeights, SecondRound, Vote

LAST_PART = 1.0  # times the number of rows, of the last part's centroids


@dataclass(frozen=True)
class ReleasedACOWA:
    """ACOWA with deviations of the released code; all are on unless a switch says otherwise.

    Attributes:
        unscaled_merge: B1; weights of the second round stay in the coordinates of the scaled
            features, and the rows of the merge are not scaled.
        unweighted_centroids: B2; in the second round a centroid counts as one row.
        last_part_weight: B3; centroids of the last part count with all their rows, the others with
            the share `centroid_weight`.
        shuffled_labels: B4; λ₂ is chosen by accuracy against the labels of other rows.
        last_feature_free: B5; the last feature is not penalised.
        whole_weights: the first round sends weights, of which the support alone is used.
    """

    unscaled_merge: bool = True
    unweighted_centroids: bool = True
    last_part_weight: bool = True
    shuffled_labels: bool = True
    last_feature_free: bool = True
    whole_weights: bool = True
    centroid_weight: float = 0.1
    kappa: float = 10.0
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        last = LAST_PART if self.last_part_weight else None
        weights = CentroidWeights(self.centroid_weight, last)
        second = CentroidWeights(ones=True) if self.unweighted_centroids else None
        first = CentroidRound(weights, self.last_feature_free)
        stage = SecondRound(first, Vote(self.kappa, self.whole_weights), second)
        object.__setattr__(self, "stages", (stage,))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """As ACOWA, with the deviations of the merge."""
        stage = self.stages[0]
        sent = at.weights_of(stage)
        if self.unscaled_merge:
            factors: Floats = at.known(stage)[0]
            sent = {
                part: SparseVector(w.indices, w.values / factors[w.indices], w.size)
                for part, w in sent.items()
            }
        weights = cast(list[SparseVector], at.exchange.gather(ledger, 2, "weights", dict(sent)))
        sample = gathered_sample(at, ledger, 2, weights)
        if sample is None:
            return None
        A, y = sample
        order = np.random.default_rng([at.options.seed, 3]).permutation(len(y))
        judged, selection = None, at.options.selection
        if self.shuffled_labels:
            judged, selection = self._labels_in_order(at)[: len(y)], "accuracy"
        learned = learn_weights(A[order], y[order], at.options.lambda2, selection, judged=judged)
        return Merge(np.asarray(stacked(weights) @ learned.v), learned.v, learned.lambda2)

    @staticmethod
    def _labels_in_order(at: Computation) -> Floats:
        """The labels of all rows, part by part, the class 1 first in each."""
        return np.concatenate([np.sort(rows.y)[::-1] for rows in at.parts])
