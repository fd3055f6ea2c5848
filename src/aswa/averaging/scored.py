"""What methods share that ask for validation scores: direction, ranks, the best score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Unpack

import torch
from torch import distributed, nn

from aswa.averaging.averager import Averager, Evaluate, Options
from aswa.averaging.undisturbed import undisturbed

Reduce = Callable[[float], float]  # from the score of one rank to the score of all


class ScoredOptions(Options, total=False):
    """The keyword options of the methods that score: see `Scored`."""

    mode: Literal["max", "min"]
    reduce: Reduce | None


class Scored(Averager):
    """An averager that measures the score of the weights it offers.

    Args:
        model: the running model.
        mode: whether a higher ("max") or a lower score ("min") is better. NaN is the worst.
        reduce: applied to every score. Where ranks score shards of the validation split, it makes
            one score of theirs, such as a mean by all-reduce, so that all decide alike. Without
            `reduce` ranks must come to equal scores by themselves, which is checked, so all have
            to update together; `reduce=float` is for one rank that averages alone.
        options: those of `Averager`.

    Attributes:
        best_score: score of the offered weights, in the metric's own units; NaN before the first.
    """

    _counters = (*Averager._counters, "best_score")
    _stale = False  # the weights were scored with the statistics they have

    def __init__(
        self,
        model: nn.Module,
        *,
        mode: Literal["max", "min"] = "max",
        reduce: Reduce | None = None,
        **options: Unpack[Options],
    ) -> None:
        if mode not in ("max", "min"):
            raise ValueError(f"{type(self).__name__} needs mode 'max' or 'min', not {mode!r}")
        super().__init__(model, **options)
        self.mode, self._reduce = mode, reduce
        self.best_score = math.nan

    @property
    def score(self) -> float | None:
        """`best_score`, once there is an average."""
        return self.best_score if self._begun else None

    def _measure(self, module: nn.Module, evaluate: Evaluate) -> float:
        """The score on which all ranks agree; modes and random state are as before.

        Raises:
            RuntimeError: they do not agree.
            TypeError: `evaluate` gave something that is not one number.
        """
        with undisturbed(module), torch.no_grad():
            given = evaluate(module)
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise TypeError(
                f"evaluate(module) must return one number; got {type(given).__name__}"
            ) from None
        if self._reduce is not None:
            return float(self._reduce(value))
        if distributed.is_available() and distributed.is_initialized():
            _check_agreement(value, next(module.parameters(), torch.zeros(())).device)
        return value

    def _better(self, a: float, b: float) -> bool:
        """Whether score a is better than score b; NaN is worse than every number."""
        beats = a > b if self.mode == "max" else a < b
        return beats or (math.isnan(b) and not math.isnan(a))


def _check_agreement(value: float, device: torch.device) -> None:
    # A sum of one-hot vectors: torch's collectives on objects need numpy, and gloo gathers no
    # tensors of a GPU.
    scores = torch.zeros(distributed.get_world_size(), dtype=torch.float64, device=device)
    scores[distributed.get_rank()] = value
    distributed.all_reduce(scores)
    if len({"nan" if score != score else score for score in scores.tolist()}) > 1:
        raise RuntimeError(
            f"the ranks have different scores, {scores.tolist()}, and would keep different "
            "averages; give reduce=, a function that makes one score of them (such as a mean by "
            "all-reduce)"
        )
