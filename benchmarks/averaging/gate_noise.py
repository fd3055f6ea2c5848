"""How much the score that ASWA's gate reads moves with the drawn part of the validation triples.

One run of the paper's regime a dataset × model gives fixed weights. Their validation MRR is taken
on many draws of each share, as `dataset.valid_share` makes them; printed and written are its
standard deviation over draws, and that of the difference between ASWA's weights and the best
epoch's, which share a draw as v̂ and v* do. No noise is added anywhere. A run keeps one draw to its
end, so its gate does not see other noise every epoch: this is how far one run's yardstick is from
another's.

    python -m benchmarks.averaging.gate_noise [--draws 1000] [--seed 600]     # a minute on one core
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aswa.config import load
from aswa.data.valid_share import drawn_rows
from aswa.tasks.link_prediction import LinkPrediction, as_one
from aswa.training.trajectory import Trajectory
from benchmarks import side_by_side as sbs

SHARES = (0.05, 0.1, 0.2, 0.5)
UNITS = tuple(
    (dataset, model) for dataset in ("kinship", "umls") for model in ("complex", "distmult")
)
METHODS = ("early_stopping", "aswa")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=600)
    parser.add_argument("--out", type=Path, default=sbs.RESULTS / "gate_noise.json")
    return parser.parse_args()


def reciprocal_ranks(dataset: str, model: str, seed: int) -> dict[str, Tensor]:
    """Method → mean of 1/rank as tail and as head, of each valid triple [n], after a run."""
    words = ["experiment=sensitivity", f"dataset={dataset}", f"model={model}", f"seed={seed}"]
    config = load([*words, f"optimizer=[{','.join(METHODS)}]"])
    task = LinkPrediction(config, torch.device("cpu"))
    trajectory = Trajectory(config, task)
    while not trajectory.finished:
        trajectory.advance()
    found = {}
    for method, members in trajectory.weights().items():
        ranks = task._valid.ranks(as_one(members).score_blocks)
        found[method] = ranks.reciprocal().view(2, -1).mean(0)
    return found


def spread(ranks: Tensor, share: float, draws: int) -> float:
    """Standard deviation of the mean of a drawn part, over draws."""
    means = [float(ranks[drawn_rows(len(ranks), share, seed)].mean()) for seed in range(draws)]
    return float(torch.tensor(means, dtype=torch.float64).std())


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for dataset, model in UNITS:
        ranks = reciprocal_ranks(dataset, model, options.seed)
        gain = ranks["aswa"] - ranks["early_stopping"]
        for share in SHARES:
            row = {
                "dataset": dataset, "model": model, "share": share,
                "triples": len(drawn_rows(len(gain), share, 0)),
                "score": float(ranks["aswa"].mean()), "gain": float(gain.mean()),
                "score_std": spread(ranks["aswa"], share, options.draws),
                "gain_std": spread(gain, share, options.draws),
            }  # fmt: skip
            found.append(row)
            print(
                f"{dataset:8} {model:9} {share:5} ({row['triples']:4} triples): valid MRR "
                f"{row['score']:.3f} ± {row['score_std']:.3f}, over the best epoch "
                f"{row['gain']:+.3f} ± {row['gain_std']:.3f}"
            )
    said = {"seed": options.seed, "draws": options.draws, "torch": torch.__version__}
    options.out.write_text(json.dumps({**said, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
