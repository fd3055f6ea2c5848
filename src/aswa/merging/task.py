"""The task of sparse rows: parts to solve, and a judge of weights. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from aswa.config import ConfigError, RunConfig
from aswa.data.folders import find_folder
from aswa.data.sparse.dataset import FILES, read_dataset
from aswa.merging.logistic import Floats, largest_l1, mean_loss, objective, scale_free_objective
from aswa.merging.partitions import split_rows
from aswa.merging.rows import Rows

SPLITS = ("train", "valid", "test")


class SparseClassification:
    """Rows of a configuration, in splits; those of train in parts.

    Attributes:
        selection_metric, chance: of `aswa.tasks.task.Task`.
        l1: λ.
        parts: of the rows of train.
        train: all rows of train.
    """

    selection_metric = "auc"
    chance = 0.5

    def __init__(self, config: RunConfig, device: Any) -> None:
        self.device = device
        dataset, options = config.dataset, config.dataset.options
        try:
            data = read_dataset(dataset.name, dataset.folder, options, config.data_dir)
            X, y = data.of("train")
            chosen = split_rows(
                y, options["parts"], options["partitioning"], config.seed, options["similarity"]
            )
        except ValueError as error:
            raise ConfigError(f"dataset={dataset.name}: {error}") from None
        self._splits = {split: data.of(split) for split in SPLITS}
        self.train = Rows(X, y)
        self.parts = [self.train.taken(rows) for rows in chosen]
        model = config.model.options
        share = model["l1_share"]
        self.l1 = model["l1"] if share is None else share * largest_l1(X, y)

    def build_model(self, generator: Any) -> Any:
        """Raises: weights are arrays."""
        raise ConfigError(
            "linear models have no module; their weights are arrays: torch.load(FILE)"
        )

    def metrics(self, members: Sequence[Floats], split: str) -> dict[str, float]:
        """`auc` (ties count one half), `accuracy` and `zero_scores` (of score 0, which is class 1),
        `loss` (mean log-loss).

        Args:
            members: weights, [d]; one.
            split: of `SPLITS`.
        """
        X, y = self._splits[split]
        scores = np.asarray(X @ members[0])
        return {
            "auc": auc(scores, y),
            "accuracy": float(np.mean(np.where(scores >= 0, 1.0, -1.0) == y)),
            "loss": mean_loss(y * scores),
            "zero_scores": float(np.mean(scores == 0)),
        }

    def fit(self, w: Floats, reference: Floats) -> dict[str, float]:
        """How near weights are to the solution on all rows of train: `reference`."""
        X, y = self.train.X, self.train.y
        best = objective(X, y, reference, self.l1)
        mine, other = w != 0, reference != 0
        found = int(np.sum(mine & other))
        return {
            "nonzeros": float(np.sum(mine)),
            "objective_gap": objective(X, y, w, self.l1) - best,
            "scale_free_gap": scale_free_objective(X, y, w, self.l1) - best,
            "support_f1": 2 * found / max(1, int(np.sum(mine) + np.sum(other))),
        }


def auc(scores: Floats, y: Floats) -> float:
    """The share of pairs of a row of class 1 and one of class −1 that are in order."""
    positive = y > 0
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def check_run(config: RunConfig) -> None:
    """Raise where the folder of a dataset of files is missing. FileNotFoundError."""
    if config.dataset.options["reader"] in FILES:
        find_folder(config.dataset.folder, config.data_dir)
