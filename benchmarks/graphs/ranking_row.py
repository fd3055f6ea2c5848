"""One row of ranking.py: starts the contestants on one dataset, model and dim."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import side_by_side as sbs
from benchmarks.graphs import large_graphs as lg
from benchmarks.graphs.rank_agreement import KnownTails, agreement, aligned
from benchmarks.peers import graph as plain_graph

BATCHES = (32, 256)
# name → (script, further arguments); all that begin with a peer's name are its own
PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "pykeen": ("pykeen_ranking.py", ("--path", "evaluator")),
    "pykeen loop": ("pykeen_ranking.py", ("--path", "loop")),
    "dicee": ("dicee_ranking.py", ()),
}


class Row:
    """One dataset × model × dim: the contestants and their files."""

    def __init__(
        self, folder: Path, dataset: str, model: str, dim: int, options: argparse.Namespace,
        scratch: Path,
    ) -> None:  # fmt: skip
        self.folder, self.dataset, self.model, self.dim = folder, dataset, model, dim
        self.where = f"{dataset} {model} {dim}"
        self.options, self.scratch = options, scratch
        n_entities, n_relations = lg.sizes(folder)
        self.n_relations = n_relations
        self.weights = {
            kind: lg.write_weights(scratch / kind, n_entities, n_relations, dim, kind)
            for kind in ("normal", "integers")
        }

    def ours(self, kind: str, *arguments: object) -> dict[str, Any]:
        overrides = [
            f"dataset={self.dataset}", f"model={self.model}", f"model.dim={self.dim}",
            f"data_dir={self.folder.parent}", f"dataset.folder={self.folder.name}",
        ]  # fmt: skip
        words = ["--weights", self.weights[kind], "--ranks", self.scratch / f"ours-{kind}.npy"]
        return lg.ours(
            "rank", overrides, *words, *arguments, threads=self.options.threads
        )  # fmt: skip

    def peer(self, path: str, kind: str, *arguments: object) -> dict[str, Any]:
        script, extra = PATHS[path]
        words = [
            "--data", self.folder, "--model", sbs.MODELS[self.model], "--dim", self.dim,
            "--weights", self.weights[kind], "--threads", self.options.threads,
            "--cap-gib", self.options.cap_gib, "--share", self.options.share, *extra,
        ]  # fmt: skip
        python = self.options.peers_python
        return sbs.run(python, sbs.PEERS / script, [*words, *arguments], self.options.threads)

    def choose(self, name: str) -> dict[str, Any]:
        """A peer's best path and batch size, with its first full ranking and all trials.

        Trials on a part tell less than they seem to: memory that fragments slows down later
        batches. So the two best are measured in full, unless that would take too long.
        """
        trials: list[dict[str, Any]] = []
        test = 2 * sum(1 for _ in (self.folder / "test.txt").open())
        for path in (path for path in PATHS if path.startswith(name)):
            for trial in self.peer(path, "normal", "--batches", *BATCHES)["trials"]:
                moving = trial["seconds"] - trial["build_seconds"]
                estimate = trial["build_seconds"] + moving * test / trial["ranks"]
                trials.append(trial | {"name": name, "path": path, "estimate": estimate})
        if not trials:
            raise SystemExit(f"{self.where}: {name} ranks nothing in {self.options.cap_gib} GiB")
        first = sorted(trials, key=lambda trial: trial["estimate"])[:2]
        for trial in first:
            short = trial["estimate"] <= self.options.longest
            trial["full"] = [self.full(trial, "normal")] if short else []
        best = min(first, key=lambda t: t["full"][0]["seconds"] if t["full"] else t["estimate"])
        return best | {"trials": [{k: v for k, v in t.items() if k != "full"} for t in trials]}

    def full(self, trial: dict[str, Any], kind: str) -> dict[str, Any]:
        """All of the test triples ranked as in a trial; the ranks go to a file."""
        words = ["--batch", trial["batch_used"], "--ranks", self._ranks(trial, kind)]
        return self.peer(trial["path"], kind, *words)["full"]

    def _ranks(self, trial: dict[str, Any], kind: str) -> Path:
        path = trial["path"].replace(" ", "-")
        return self.scratch / f"{path}-{trial['batch_used']}-{kind}.npz"

    def agreement(self, trial: dict[str, Any], kind: str) -> dict[str, Any]:
        """Of the ranks that ours and a peer have written last."""
        data = plain_graph.read(self.folder)
        both = {split: self._both(getattr(data, split)) for split in plain_graph.SPLITS}
        known = KnownTails(np.concatenate(list(both.values())), 2 * self.n_relations)
        mine = np.load(self.scratch / f"ours-{kind}.npy")
        with np.load(self._ranks(trial, kind)) as file:
            if trial["name"] == "dicee":
                rank = aligned(file["rank"], file["triples"], both["test"])
            else:
                rank = np.concatenate([file["tail"], file["head"]])
        weights = self.weights[kind]
        return agreement(mine, rank, both["test"], known, weights, self.model)

    def _both(self, triples: np.ndarray) -> np.ndarray:
        h, r, t = triples.T
        return np.concatenate([triples, np.stack([t, r + self.n_relations, h], 1)])
