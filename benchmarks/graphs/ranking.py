"""Filtered ranking of WN18RR's and FB15k-237's test splits beside PyKEEN and dicee.

DistMult and ComplEx, dims 32 and 256, both sides of every test triple, filtered by all splits. All
score with the same two tables (large_graphs.write_weights), heads through reciprocal relations,
each contestant in a process of its own, in turns. What is in whose clock:

- **ours**: `whole` = index of the known triples + filter + ranking; `ranks` = the ranking alone.
- **PyKEEN**: `RankBasedEvaluator.evaluate`, which finds the filter batch by batch, or
  `LCWAEvaluationLoop` with the building of its data set, whichever a trial finds faster.
- **dicee**: `Evaluator.evaluate_lp_k_vs_all`; its filter (`er_vocab`) was built with the graph.

So `whole` is set against both, in dicee's favour. Nobody's clock has reading or model building in
it. Each peer tries its batch sizes on a part of the triples under a memory cap, ranks them all with
the two that seem best, and goes on with the better of these; a full ranking that would take longer
than `--longest` is extrapolated, marked *.

Ranks are compared one by one with PyKEEN's (realistic) and dicee's. With integer weights, whose
scores are exact, ours and PyKEEN's must not differ at all; with normal ones a difference has to be
explained by scores that are equal but for rounding (rank_agreement.py).

The share of the GEMM rate is 2 · queries · entities · dim / seconds of `ranks` over the rate of the
best large square fp32 product, measured in the same process. We score each distinct (h, r) once:
queries counts those, which is the work done; counted once a rank, as the peers do it, it is higher.

    python -m benchmarks.graphs.ranking --data-dir DATA --peers-python PATH [--repetitions 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import side_by_side as sbs
from benchmarks.graphs import large_graphs as lg
from benchmarks.graphs.ranking_row import BATCHES, Row

SPEEDUP = {32: 5.0, 256: 3.0}  # dim → least ratio
GEMM_SHARE, GEMM_DIM = 0.5, 256
PEAK_MIB = 2e9 / 2**20
MARGIN = 4e-6  # relative: the ranking's tolerance of 1e-6 and a few units of fp32 rounding


def parse() -> argparse.Namespace:
    parser = lg.parser(__doc__.splitlines()[0], "large_ranking")
    parser.add_argument("--share", type=float, default=0.1, help="of the triples, in trials")
    parser.add_argument("--longest", type=float, default=600, help="s of a peer's full ranking")
    return parser.parse_args()


def measure(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one row."""
    names = ("pykeen", "dicee") if options.peers_python else ()

    def ours() -> dict[str, Any]:
        return row.ours("normal", "--rounds", 3, "--gemm")

    # Ours before, between and after the peers: a machine has slow minutes, ours takes seconds.
    mine, chosen = [ours()], {}
    for name in names:
        chosen[name] = row.choose(name)
        mine.append(ours())
    for repetition in range(1, options.repetitions):
        mine.append(ours())
        for trial in chosen.values():
            if trial["full"]:
                trial["full"].append(row.full(trial, "normal"))
        print(f"  {row.where} {repetition + 1}/{options.repetitions}", flush=True)
    cell: dict[str, Any] = {"ours": our_figures(mine), "peers": {}, "agreement": {}}
    for name, trial in chosen.items():
        cell["peers"][name] = peer_figures(trial)
        if trial["full"]:
            cell["agreement"][f"{name} normal"] = row.agreement(trial, "normal")
    if chosen and chosen["pykeen"]["full"]:
        row.ours("integers")
        row.full(chosen["pykeen"], "integers")
        cell["agreement"]["pykeen integers"] = row.agreement(chosen["pykeen"], "integers")
    return cell


def our_figures(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over all rounds of all repetitions; the best GEMM rates."""
    seconds = {
        part: sbs.spread([s for record in records for s in record["seconds"][part]])
        for part in ("ranks", "whole")
    }
    first, rate = records[0], max(record["gemm"]["rate"] for record in records)
    at_shape = max(record["gemm"]["at_shape"] for record in records)
    done = first["gflop"] / seconds["ranks"]["median"]
    return {
        "seconds": seconds, "ranks": first["ranks"], "queries": first["queries"],
        "mrr": first["mrr"], "gemm": {"rate": rate, "at_shape": at_shape}, "gflops": done,
        "share": done / rate, "share_of_shape": done / at_shape,
        "share_by_ranks": done / rate * first["ranks"] / first["queries"],
        "peak_mib": max(record["mib"]["peak"] for record in records),
        "ranking_mib": max(record["mib"]["whole"] for record in records),
        "shape": first["gemm"]["shape"],
    }  # fmt: skip


def peer_figures(trial: dict[str, Any]) -> dict[str, Any]:
    """Median of the full rankings, or else what the trial says they would take."""
    full = trial["full"]
    seconds = sbs.spread([one["seconds"] for one in full] or [trial["estimate"]])
    return {
        "path": trial["path"], "batch": trial["batch_used"], "seconds": seconds,
        "extrapolated": not full, "trials": trial["trials"],
        "mrr": full[0]["mrr"] if full else None,
        "peak_mib": max(one["peak_mib"] for one in full or [trial]),
        "resident_before_mib": max(one["resident_before_mib"] for one in full or [trial]),
    }  # fmt: skip


def ratio(cell: dict[str, Any]) -> float | None:
    """The better peer's seconds over ours, filter and all."""
    if not cell["peers"]:
        return None
    peer = min(peer["seconds"]["median"] for peer in cell["peers"].values())
    return peer / cell["ours"]["seconds"]["whole"]["median"]


def table(record: dict[str, Any]) -> str:
    """Times and memory."""
    rows = []
    for cell in record["cells"]:
        ours, peers = cell["ours"], cell["peers"]
        got = cell["ratio"]
        target = SPEEDUP.get(cell["dim"])
        missed = " **missed**" if got and target and got < target else ""
        line = [cell["dataset"], cell["model"], str(cell["dim"]), f"{ours['ranks']:,}"]
        for part in ("whole", "ranks"):
            s = ours["seconds"][part]
            line.append(sbs.span(s, 2))
        for name in ("pykeen", "dicee"):
            peer = peers.get(name)
            if peer is None:
                line.append("–")
                continue
            s, star = peer["seconds"], "*" if peer["extrapolated"] else ""
            how = peer["path"].removeprefix(name).strip() or "batch"
            line.append(f"{sbs.span(s)}{star}, {how} {peer['batch']}")
        line.append(f"{got:.1f}×{missed}" if got else "–")
        line.append(f"{ours['peak_mib']:,.0f} ({ours['ranking_mib']:,.0f})")
        line += [f"{peers[n]['peak_mib']:,.0f}" if n in peers else "–" for n in ("pykeen", "dicee")]
        line.append(f"{ours['share']:.0%} of {ours['gemm']['rate']:.0f}")
        line.append(f"{ours['share_of_shape']:.0%}, {ours['share_by_ranks']:.0%}")
        rows.append(line)
    heads = [
        "dataset", "model", "dim", "ranks", "ours s: whole", "ranks alone", "PyKEEN s", "dicee s",
        "better peer / ours whole", "peak MiB: ours (ranking adds)", "PyKEEN", "dicee",
        "share of GFLOP/s", "of its own shape's; counted by ranks",
    ]  # fmt: skip
    return sbs.markdown(heads, rows)


def agreements(record: dict[str, Any]) -> str:
    """Ranks beside ranks."""
    rows = []
    for cell in record["cells"]:
        where = [cell["dataset"], cell["model"], str(cell["dim"])]
        for name, got in cell["agreement"].items():
            counts = [f"{got['different']} of {got['ranks']:,}", f"{got['greatest']:g}"]
            rows.append([*where, name, *counts, f"{got['margin']:.1e}"])
    heads = ["dataset", "model", "dim", "beside", "different ranks", "most", "margin in fp64"]
    return sbs.markdown(heads, rows)


def verdicts(cells: list[dict[str, Any]]) -> str:
    """Every target and whether it is met."""
    lines = []
    for dim, least in SPEEDUP.items():
        of = [cell["ratio"] for cell in cells if cell["dim"] == dim and cell["ratio"]]
        if of:
            what = f"At least {least:g}× faster than the better peer at dim {dim}"
            lines.append(lg.verdict(sum(x >= least for x in of), len(of), what))
    shares = [cell["ours"]["share"] for cell in cells if cell["dim"] == GEMM_DIM]
    if shares:
        what = f"At least {GEMM_SHARE:.0%} of the GEMM rate at dim {GEMM_DIM}"
        lines.append(lg.verdict(sum(x >= GEMM_SHARE for x in shares), len(shares), what))
    peaks = [cell["ours"]["peak_mib"] for cell in cells]
    lines.append(lg.verdict(sum(p <= PEAK_MIB for p in peaks), len(peaks), "Peak at most 2 GB"))
    exact = [c["agreement"].get("pykeen integers") for c in cells if c["agreement"]]
    found = [one["different"] == 0 for one in exact if one]
    if found:
        lines.append(lg.verdict(sum(found), len(found), "PyKEEN's ranks where scores are exact"))
    near = [a["margin"] <= MARGIN for c in cells for a in c["agreement"].values()]
    if near:
        what = f"All other differences among scores within {MARGIN:g} of each other"
        lines.append(lg.verdict(sum(near), len(near), what))
    return "Targets. " + " ".join(lines)


def report(record: dict[str, Any]) -> str:
    n = record["settings"]["repetitions"]
    settings = (
        f"n = {n} processes of each peer, {n + 2} of ours with 3 rounds in each, medians "
        "(least–greatest)"
    )
    return "\n\n".join(
        [lg.heading(record["machine"], settings), table(record), lg.STAR, agreements(record),
         verdicts(record["cells"])]
    )  # fmt: skip


def main() -> None:
    options = parse()
    if options.peers_python or "ASWA_PEERS_PYTHON" in os.environ:
        options.peers_python = sbs.peers_python(options.peers_python)
    keep = ("repetitions", "share", "cap_gib", "longest")
    record: dict[str, Any] = {
        "machine": sbs.machine(options.threads),
        "settings": {name: getattr(options, name) for name in keep} | {"batches": BATCHES},
        "cells": [],
    }
    with tempfile.TemporaryDirectory(prefix="large-graphs-") as name:
        scratch = Path(name)
        lg.fresh_cache(scratch / "cache")
        for dataset in options.datasets:
            folder = lg.plain_copy(dataset, options.data_dir, scratch / "data")
            for model in options.models:
                for dim in options.dims:
                    row = Row(folder, dataset, model, dim, options, scratch)
                    cell = {"dataset": dataset, "model": model, "dim": dim}
                    cell |= measure(row, options)
                    record["cells"].append(cell | {"ratio": ratio(cell)})
                    lg.keep(record, options)
    sbs.save(options.name, record, report(record), options.results)


if __name__ == "__main__":
    main()
