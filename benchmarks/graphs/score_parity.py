"""Our scores and gradients beside dicee's for equal weights: greatest absolute difference.

Random tables, cast into both layouts; every (head, relation) pair against every entity, and the
gradients of Σ scores · cotangent by both tables. What has to be lined up first (peers/NOTES.md):

- QMult: dicee divides the relation, in runs of four adjacent numbers, by its norm; we do not. The
  scores are compared on tables whose runs have norm 1, where dicee's division does nothing (its
  gradient still projects, so the relation gradient is not compared);
- Keci: dicee scales the parts of h and r by learned coefficients that start at zero; here they are
  1. dicee keeps the bases of one number adjacent, we keep the numbers of one base adjacent: the
  columns are permuted. For p ≥ 2 or q ≥ 2 dicee adds the sum of the bivector coefficients, one
  number for each (h, r) and the same for every tail: no rank depends on it. Scores are compared
  after subtracting each row's mean difference, which is reported as `shift`, and gradients are
  taken with a cotangent whose rows sum to zero.

Target: 1e-4 at fp32, with scores of order ten.

    python -m benchmarks.graphs.score_parity --peers-python PATH
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aswa.models.kge import build
from benchmarks import side_by_side as sbs

N_ENTITIES, N_RELATIONS, TOLERANCE = 41, 13, 1e-4
# model, p, q, dim
CASES = [
    ("distmult", 0, 0, 32), ("complex", 0, 0, 32), ("qmult", 0, 0, 32), ("keci", 0, 0, 32),
    ("keci", 0, 1, 32), ("keci", 1, 0, 32), ("keci", 1, 1, 33), ("keci", 2, 1, 32),
    ("keci", 1, 2, 32), ("keci", 2, 3, 30),
]  # fmt: skip


def columns_of_dicee(model: str, p: int, q: int, dim: int) -> np.ndarray:
    """Where each of our columns stands in dicee's row."""
    if model != "keci":
        return np.arange(dim)
    r = dim // (1 + p + q)
    scalar = np.arange(r)
    plus = [r + scalar * p + i for i in range(p)]
    minus = [dim - r * q + scalar * q + j for j in range(q)]
    return np.concatenate([scalar, *plus, *minus])


def tables(model: str, p: int, q: int, dim: int) -> dict[str, np.ndarray]:
    """Random weights in dicee's layout, all (h, r) pairs, and a cotangent."""
    generator = np.random.default_rng(0)
    entity = generator.standard_normal((N_ENTITIES, dim), dtype=np.float32)
    relation = generator.standard_normal((N_RELATIONS, dim), dtype=np.float32)
    if model == "qmult":
        runs = relation.reshape(N_RELATIONS, dim // 4, 4)
        relation = (runs / np.linalg.norm(runs, axis=-1, keepdims=True)).reshape(relation.shape)
    h, r = np.divmod(np.arange(N_ENTITIES * N_RELATIONS), N_RELATIONS)
    cotangent = generator.standard_normal((len(h), N_ENTITIES), dtype=np.float32)
    return {
        "entity": entity,
        "relation": relation,
        "pairs": np.stack([h, r], 1),
        "cotangent": cotangent - cotangent.mean(1, keepdims=True),
        "p_coefficients": np.ones(p, dtype=np.float32),
        "q_coefficients": np.ones(q, dtype=np.float32),
    }


def their_side(python: str, model: str, p: int, q: int, given: dict[str, Any]) -> dict[str, Any]:
    """dicee's scores and gradients."""
    with tempfile.TemporaryDirectory(prefix="score-parity-") as folder:
        weights, out = Path(folder) / "weights.npz", Path(folder) / "scores.npz"
        np.savez(weights, **given)
        arguments = ["--weights", weights, "--model", sbs.MODELS[model], "--p", p, "--q", q]
        command = [python, sbs.PEERS / "dicee_scores.py", *arguments, "--out", out]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        with np.load(out) as archive:
            return {name: archive[name] for name in archive.files}


def our_side(
    model: str, p: int, q: int, given: dict[str, Any], columns: np.ndarray
) -> dict[str, Any]:
    """Our scores and gradients, the gradients in dicee's layout."""
    dim = given["entity"].shape[1]
    options = {"p": p, "q": q} if model == "keci" else {}
    ours = build(model, N_ENTITIES, N_RELATIONS, dim, **options)
    with torch.no_grad():
        ours.entity.copy_(torch.as_tensor(given["entity"][:, columns]))
        ours.relation.copy_(torch.as_tensor(given["relation"][:, columns]))
    h, r = torch.as_tensor(given["pairs"]).unbind(1)
    scores = ours.score_all(h, r)
    (scores * torch.as_tensor(given["cotangent"])).sum().backward()
    found = {"scores": scores.detach().numpy()}
    for name, table in (("entity_grad", ours.entity), ("relation_grad", ours.relation)):
        assert table.grad is not None
        gradient = np.empty_like(given[name.removesuffix("_grad")])
        gradient[:, columns] = table.grad.numpy()
        found[name] = gradient
    return found


def compare(python: str, model: str, p: int, q: int, dim: int) -> dict[str, Any]:
    """Greatest differences of one case."""
    given = tables(model, p, q, dim)
    theirs = their_side(python, model, p, q, given)
    ours = our_side(model, p, q, given, columns_of_dicee(model, p, q, dim))
    gap = ours["scores"] - theirs["scores"]
    shift = gap.mean(1, keepdims=True) if model == "keci" and max(p, q) >= 2 else np.zeros((1, 1))
    found = {
        "model": f"keci({p}, {q})" if model == "keci" else model,
        "dim": dim,
        "greatest_score": float(np.abs(theirs["scores"]).max()),
        "scores": float(np.abs(gap - shift).max()),
        "shift": float(np.abs(shift).max()),
    }
    for name in ("entity_grad", "relation_grad"):
        if model == "qmult" and name == "relation_grad":
            continue
        scale = np.abs(theirs[name]).max()
        found[name] = float(np.abs(ours[name] - theirs[name]).max() / scale)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    options = parser.parse_args()
    python = sbs.peers_python(options.peers_python)
    found = [compare(python, *case) for case in CASES]

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.1e}"

    heads = ["model", "dim", "greatest score", "scores", "shift", "entity grad", "relation grad"]
    keys = ("scores", "shift", "entity_grad", "relation_grad")
    rows = [
        [one["model"], str(one["dim"]), f"{one['greatest_score']:.1f}"]
        + [shown(one.get(key)) for key in keys]
        for one in found
    ]
    worst = max(
        one[key]
        for one in found
        for key in ("scores", "entity_grad", "relation_grad")
        if key in one
    )
    text = (
        "Ours − dicee for equal weights, greatest absolute difference (gradients: relative to the "
        f"greatest; shift: see score_parity.py).\n\n{sbs.markdown(heads, rows)}\n\n"
        f"Greatest of all: {worst:.1e}; target {TOLERANCE:.0e}: "
        f"{'met' if worst <= TOLERANCE else 'missed'}."
    )
    sbs.save("score_parity", {"cases": found, "machine": sbs.machine(1)}, text, options.results)
    if worst > TOLERANCE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
