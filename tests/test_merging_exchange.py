"""Bytes that parts and master send each other, and carriers that give the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from aswa.merging import (
    acowa,
    acowa_released,
    centroids_only,
    csl,
    dane,
    full_solve,
    naive_average,
    one_part,
    owa,
    subsampled_average,
    votes_only,
)
from aswa.merging.exchange import Centroids, Support, size_in_bytes
from aswa.merging.rows import SparseVector
from sparse_rows import rows, split

L1, P, D, N = 5e-3, 6, 400, 600
COUNTS = 16  # bytes of the two counts beside a part's centroids
SAMPLE = 10  # rows of a part in the merge


def test_a_message_is_as_long_as_its_numbers() -> None:
    vector = SparseVector.of(np.array([0.0, 2.0, 0.0, -1.0]))
    assert size_in_bytes(vector) == (24, 32)
    assert size_in_bytes(Support(vector.indices, 12)) == (8, 2)
    means = rows(30, 40)[0][:2]
    assert size_in_bytes(Centroids(means, np.ones(2))) == (12 * means.nnz + 16, 8 * 80 + 16)
    assert size_in_bytes(np.zeros((3, 5))) == (120, 120)
    assert size_in_bytes((vector, vector)) == (48, 64)


def test_dense_bytes_are_the_closed_forms() -> None:
    X, y = rows(N, D)
    parts = split(X, y, P)
    projected = {"merge_sample": "projected", "merge_rows": SAMPLE}

    def dense(method: object, **options: object) -> int:
        return method(parts, L1, **options).ledger.total("dense")  # type: ignore[operator]

    merge = 8 * D * P**2 + 8 * P * (P + 1) * SAMPLE  # W to every part, (Wᵀx, y) back
    assert dense(one_part) == 0
    assert dense(naive_average) == 8 * D * P
    assert dense(subsampled_average) == 16 * D * P
    assert dense(owa, **projected) == 8 * D * P + merge
    centroids = (16 * D + COUNTS) * P * (1 + P)
    assert dense(centroids_only, **projected) == centroids + 8 * D * P + merge
    votes = P * D // 8 + 8 * D * P
    assert dense(votes_only, **projected) == votes + 8 * D * P + merge
    assert dense(acowa, **projected) == centroids + votes + 8 * D * P + merge
    released = 32 * D * P + 8 * D * P + 16 * D * P**2  # as docs/one_shot.md derives it
    found = dense(acowa_released, **projected)
    assert found == released + COUNTS * P * (1 + P) + merge
    update = 16 * D * P
    assert dense(csl, updates=3, points=0) == 8 * D * P + 3 * update
    assert dense(dane, updates=3, points=0) == 8 * D * P + 3 * 2 * update
    searched = 8 * D * P + 8 * 8 * P
    assert dense(csl, updates=2) == 8 * D * P + 2 * (update + searched)
    assert dense(full_solve) == 8 * N * D + N


def test_sparse_bytes_are_those_of_the_nonzeros() -> None:
    X, y = rows(N, D)
    parts = split(X, y, P)
    assert full_solve(parts, L1).ledger.total() == 12 * X.nnz + N
    nonzeros = sum(np.count_nonzero(full_solve([part], L1).weights) for part in parts)
    assert naive_average(parts, L1).ledger.total() == 12 * nonzeros
    found = owa(parts, L1).ledger
    assert found.total(what="weights") == 12 * nonzeros
    assert found.total(up=False) == 0 and found.synchronisations == 2
    assert {entry.round for entry in acowa(parts, L1).ledger.entries} == {0, 1, 2}


def test_the_two_ways_to_sample_give_one_merge() -> None:
    parts = split(*rows(N, D), P)
    sent, projected = (owa(parts, L1, merge_sample=how).weights for how in ("rows", "projected"))
    np.testing.assert_allclose(sent, projected, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="merge_sample=none"):
        owa(parts, L1, merge_sample="none")


SCRIPT = """
import json, sys
import torch.distributed as dist
from aswa import merging
from aswa.merging.gloo import Gloo
from sparse_rows import rows, split

dist.init_process_group("gloo")
parts, found = split(*rows({n}, {d}), {p}), {{}}
for name in {names}:
    for sample in ("rows", "projected"):
        method = getattr(merging, name)
        merged = method(parts, {l1}, merge_sample=sample, exchange=Gloo(len(parts)))
        found[f"{{name}} {{sample}}"] = [merged.weights.tolist(), merged.ledger.plain()]
if dist.get_rank() == 0:
    json.dump(found, open(sys.argv[1], "w"))
dist.barrier()
dist.destroy_process_group()
"""
NAMES = ("full_solve", "one_part", "naive_average", "subsampled_average", "owa", "votes_only",
         "acowa", "acowa_released", "csl", "dane")  # fmt: skip


@pytest.mark.slow
def test_two_processes_give_the_bits_and_bytes_of_one(tmp_path: Path) -> None:
    """5 parts on 2 processes."""
    from aswa import merging

    script, out = tmp_path / "merge.py", tmp_path / "found.json"
    script.write_text(SCRIPT.format(n=N, d=D, p=5, l1=L1, names=NAMES))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", "2", str(script), str(out)]  # fmt: skip
    here = str(Path(__file__).parent)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = ":".join([here, *filter(None, sys.path)])
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found, parts = json.loads(out.read_text()), split(*rows(N, D), 5)
    for name in NAMES:
        for sample in ("rows", "projected"):
            merged = getattr(merging, name)(parts, L1, merge_sample=sample)
            weights, ledger = found[f"{name} {sample}"]
            np.testing.assert_array_equal(weights, merged.weights)
            assert ledger == merged.ledger.plain(), name
