"""Writes a generated knowledge graph of any size. A benchmark only: its triples mean nothing.

Heads and tails are drawn from a Zipf law over the entities (probability of the k-th ∝ k^−exponent,
entities in random order, heads and tails in different ones), relations from a Zipf law too. Every
entity and every relation occurs in train, all triples of the three splits are distinct, and the
same seed gives the same files. A model can learn nothing here, so nothing but time and memory may
be read off such a graph.

    python -m benchmarks.graphs.generated_graph --yago --out FOLDER  # of YAGO3-10's size
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    entities: int
    relations: int
    train: int
    valid: int
    test: int

    def overrides(self, folder: str) -> list[str]:
        """Words that tell our configuration about a graph of this size in `folder`."""
        splits = [f"dataset.triples.{split}={getattr(self, split)}" for split in SPLITS]
        splits += [f"dataset.sha256.{split}=null" for split in SPLITS]
        return [
            "dataset=yago3_10", f"dataset.folder={folder}", f"dataset.entities={self.entities}",
            f"dataset.relations={self.relations}", *splits,
        ]  # fmt: skip


YAGO = Size(entities=123_182, relations=37, train=1_079_040, valid=5_000, test=5_000)


class _Zipf:
    """Draws of 0 … n − 1 with probability ∝ rank^−exponent, ranks in random order."""

    def __init__(self, n: int, exponent: float, random: np.random.Generator) -> None:
        weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
        self._cumulative = np.cumsum(weights / weights.sum())
        self._order = random.permutation(n)

    def draw(self, n: int, random: np.random.Generator) -> np.ndarray:
        ranks = np.searchsorted(self._cumulative, random.random(n))
        return self._order[np.minimum(ranks, len(self._order) - 1)]


def generate(size: Size, exponent: float = 0.8, seed: int = 0) -> dict[str, np.ndarray]:
    """int64 [n, 3] (head, relation, tail) of each split.

    Raises:
        ValueError: train has too few triples to name every entity and relation.
    """
    cover = max(-(-size.entities // 2), size.relations)
    if size.train < cover:
        raise ValueError(f"train needs at least {cover} triples to name everything")
    random = np.random.default_rng(seed)
    heads, tails = (_Zipf(size.entities, exponent, random) for _ in range(2))
    relations = _Zipf(size.relations, 1.0, random)
    # Half of the entities as heads, the others as tails; relations in turn.
    everyone = np.resize(random.permutation(size.entities), 2 * cover)
    covering = _keys(everyone[:cover], np.arange(cover) % size.relations, everyone[cover:], size)
    total = size.train + size.valid + size.test
    keys = np.unique(covering)
    first = len(keys)
    while len(keys) < total:
        n = int(1.3 * (total - len(keys))) + 1000
        drawn = (heads.draw(n, random), relations.draw(n, random), tails.draw(n, random))
        fresh = np.setdiff1d(_keys(*drawn, size), keys)
        wanted = min(len(fresh), total - len(keys))
        keys = np.concatenate([keys, random.choice(fresh, wanted, replace=False)])
    # Those that name everybody stay in train; the others go where chance sends them.
    keys = np.concatenate([keys[:first], random.permutation(keys[first:])])
    keys[: size.train] = random.permutation(keys[: size.train])
    triples = _triples(keys, size)
    cuts = np.cumsum([size.train, size.valid])
    return dict(zip(SPLITS, np.split(triples, cuts), strict=True))


def _keys(h: np.ndarray, r: np.ndarray, t: np.ndarray, size: Size) -> np.ndarray:
    return (h * size.relations + r) * size.entities + t


def _triples(keys: np.ndarray, size: Size) -> np.ndarray:
    pairs, t = np.divmod(keys, size.entities)
    return np.stack([*np.divmod(pairs, size.relations), t], 1)


def write(folder: Path, splits: dict[str, np.ndarray], size: Size) -> None:
    """train.txt, valid.txt, test.txt with names whose sorted order is that of the ids."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(size.relations - 1)))
    entity = [f"e{i:07d}" for i in range(size.entities)]
    relation = [f"\tr{i:0{digits}d}\t" for i in range(size.relations)]
    for split, triples in splits.items():
        lines = [entity[h] + relation[r] + entity[t] for h, r, t in triples.tolist()]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--yago", action="store_true", help="the exact size of YAGO3-10")
    for name in ("entities", "relations", *SPLITS):
        parser.add_argument(f"--{name}", type=int, default=getattr(YAGO, name))
    parser.add_argument("--exponent", type=float, default=0.8, help="of the Zipf law of entities")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    names = ("entities", "relations", *SPLITS)
    size = YAGO if options.yago else Size(*(getattr(options, name) for name in names))
    start = time.perf_counter()
    write(options.out, generate(size, options.exponent, options.seed), size)
    print(f"{options.out}: {size}, {time.perf_counter() - start:.1f} s; for benchmarks only")


if __name__ == "__main__":
    main()
