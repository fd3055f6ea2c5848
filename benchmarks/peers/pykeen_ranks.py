"""Realistic filtered ranks by PyKEEN's `RankBasedEvaluator` for known scores (peers venv).

Used to hold our ranking to PyKEEN's to 1e-6. Every score is a known function of the three ids, the
same for a head query and for a tail query, so no embedding and no training enters:
- `random`: float32(((h·1000003 + r·10007 + t·101) · 2654435761 mod 2³²) // 2²⁰ mod 97), unsigned
  64-bit arithmetic: integers 0 to 96, hence many ties;
- `constant`: 0 for every triple, hence nothing but ties;
- `table`: the array `scores` [n_relations, n_entities, n_entities] of the `--graph` file.

The graph is `--data DIR` (ids: see graph.py) or `--graph FILE.npz` with arrays train, valid, test
[n, 3], n_entities, n_relations. Ranks are filtered by train+valid+test (test split) or train+valid
(validation split). Written: triples, head_rank, tail_rank (realistic), the optimistic and
pessimistic ones, and PyKEEN's own MRR and Hits for head, tail and both.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any

import graph
import numpy as np
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models.mocks import FixedModel
from pykeen.triples import CoreTriplesFactory


def random_scores(h: torch.Tensor, r: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Integers 0 to 96 from the ids; exact in int64 for ids below a few thousand."""
    mixed = ((h * 1_000_003 + r * 10_007 + t * 101) * 2_654_435_761) % 2**32
    return (mixed // 2**20 % 97).float()


def constant_scores(h: torch.Tensor, r: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return (0 * (h + r + t)).float()


class KnownScores(FixedModel):
    """PyKEEN's mock model with a given score function of broadcastable id tensors."""

    def __init__(self, *, triples_factory: CoreTriplesFactory, function: Any) -> None:
        super().__init__(triples_factory=triples_factory)
        self.function = function

    def _generate_fake_scores(
        self, h: torch.Tensor, r: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        return self.function(h.long(), r.long(), t.long())


def load(options: argparse.Namespace) -> tuple[dict[str, np.ndarray], int, int, Any]:
    """Splits, number of entities, number of relations, score function."""
    functions: dict[str, Any] = {"random": random_scores, "constant": constant_scores}
    if options.data:
        data = graph.read(options.data)
        splits = {split: getattr(data, split) for split in graph.SPLITS}
        return splits, len(data.entities), len(data.relations), functions[options.scorer]
    with np.load(options.graph) as archive:
        splits = {split: archive[split].astype(np.int64) for split in graph.SPLITS}
        sizes = int(archive["n_entities"]), int(archive["n_relations"])
        if options.scorer == "table":
            table = torch.as_tensor(archive["scores"], dtype=torch.float32)
            functions["table"] = lambda h, r, t: table[r, h, t]
    return splits, *sizes, functions[options.scorer]


def rank(options: argparse.Namespace) -> dict[str, Any]:
    """Arrays for the output file."""
    splits, n_entities, n_relations, function = load(options)
    tensors = {name: torch.as_tensor(triples) for name, triples in splits.items()}
    factory = CoreTriplesFactory.create(
        tensors["train"], num_entities=n_entities, num_relations=n_relations
    )
    evaluator = RankBasedEvaluator(filtered=True, clear_on_finalize=False)
    filters = ["train", "valid"] if options.split == "test" else ["train"]
    result = evaluator.evaluate(
        KnownScores(triples_factory=factory, function=function),
        tensors[options.split],
        batch_size=256,
        use_tqdm=False,
        additional_filter_triples=[tensors[name] for name in filters],
    )
    arrays: dict[str, Any] = {
        "triples": splits[options.split].astype(np.int32),
        "n_entities": n_entities,
        "n_relations": n_relations,
        "scorer": options.scorer,
        "pykeen": version("pykeen"),
    }
    for kind in ("realistic", "optimistic", "pessimistic"):
        for side in ("head", "tail"):
            ranks = np.concatenate(evaluator.ranks[side, kind]).astype(np.float32)
            arrays[f"{side}_rank" if kind == "realistic" else f"{side}_rank_{kind}"] = ranks
    for side in ("head", "tail", "both"):
        for ours, theirs in (
            ("mrr", "inverse_harmonic_mean_rank"),
            ("hits@1", "hits_at_1"),
            ("hits@3", "hits_at_3"),
            ("hits@10", "hits_at_10"),
        ):
            name = ours if side == "both" else f"{ours}_{side}"
            arrays[name] = float(result.get_metric(f"{side}.realistic.{theirs}"))
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of train, valid, test.txt")
    source.add_argument("--graph", type=Path, help=".npz with ids, see above")
    parser.add_argument("--scorer", choices=["random", "constant", "table"], required=True)
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--out", type=Path, required=True)
    arrays = rank(options := parser.parse_args())
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {len(arrays['triples'])} triples, MRR {arrays['mrr']:.6f}")


if __name__ == "__main__":
    main()
