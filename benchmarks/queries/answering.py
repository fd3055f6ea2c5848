"""Multi-hop queries beside dicee: the same weights, the same queries, k and t-norm, on UMLS.

A ComplEx is trained here and its weights are put into dicee, which answers the queries one by one
(there is no batching in it); ours answers them together. For each structure: the greatest
difference of a probability, the filtered MRR over hard answers by the same ranking code, and
milliseconds a query. dicee's default setting combines logits by the t-norm; the two others use
probabilities.

Targets: equal where dicee works with probabilities, and at least 10 times faster a query for 2p,
3p, ip, pi and up.

    python -m benchmarks.queries.answering --peers-python PATH
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aswa.config import load
from aswa.data.knowledge_graph import KnowledgeGraph, read_graph
from aswa.models import kge
from aswa.queries.algebra import STRUCTURES, columns, structure
from aswa.queries.answering import Answerer
from aswa.queries.fuzzy_logic import LOGICS
from aswa.queries.generation import Queries, Sampler
from aswa.queries.nested import write_query
from aswa.queries.ranking import QueryRanking
from aswa.training.session import execute
from benchmarks import side_by_side as sbs

DATA, DIM, TARGET, TOLERANCE = sbs.DATA / "umls", 32, 10.0, 1e-5
TIMED = ("2p", "3p", "ip", "pi", "up")  # those that the target is about
DEFAULT_TNORM = {"default": "product", "product": "product", "minimum": "minimum"}


class Given:
    """Scores that somebody else computed, in the place of an `Answerer`."""

    def __init__(self, scores: Tensor) -> None:
        self._scores = scores

    def logits(self, _: Any, rows: Tensor) -> Iterator[Tensor]:
        yield self._scores[: len(rows)]


def trained(folder: Path, epochs: int) -> dict[str, Tensor]:
    """Weights of a ComplEx after some training."""
    words = ["dataset=umls", "model=complex", f"model.dim={DIM}", "optimizer=sgd", "lr=0.03"]
    words += [f"epochs={epochs}", "device=cpu", "save_weights=true", f"results_dir={folder}"]
    config = load(words)
    execute(config, report=lambda _: None)
    weights: dict[str, Tensor] = torch.load(config.folder / "weights" / "sgd.pt")
    return weights


def with_names(graph: KnowledgeGraph, queries: Queries) -> list[Any]:
    """Queries as dicee takes them; its name of r⁻¹ is r_inverse."""
    n = len(graph.relations) // 2
    relations = [*graph.relations[:n], *(f"{name}_inverse" for name in graph.relations[:n])]
    letters = {"e": graph.entities, "r": relations}
    kinds = columns(structure(queries.structure))
    rows = queries.rows.tolist()
    named = [[letters[kind][i] for kind, i in zip(kinds, row, strict=True)] for row in rows]
    return [write_query(queries.structure, row) for row in named]


def timed(answerer: Answerer, queries: Queries, rounds: int) -> tuple[Tensor, float]:
    """Probabilities, and the least seconds a query of some rounds."""
    shape, seconds = structure(queries.structure), []
    found = answerer.probabilities(shape, queries.rows)
    for _ in range(rounds):
        start = time.perf_counter()
        answerer.probabilities(shape, queries.rows)
        seconds.append((time.perf_counter() - start) / len(queries))
    return found, statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    parser.add_argument("--queries", type=int, default=200, help="of each structure")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--k", type=int, default=10, help="dicee's default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="of ours, of which the median counts")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    options = parser.parse_args()
    python = sbs.peers_python(options.peers_python)
    machine = sbs.machine(options.threads)
    graph = read_graph(DATA).with_reciprocals()
    sampler = Sampler(graph, "test")
    drawn = {name: sampler.draw(name, options.queries) for name in STRUCTURES}
    with tempfile.TemporaryDirectory(prefix="query-answering-") as name:
        folder = Path(name)
        weights = trained(folder, options.epochs)
        theirs, scores = dicee(python, folder, graph, weights, drawn, options)
    torch.set_num_threads(options.threads)
    model = kge.build("complex", len(graph.entities), len(graph.relations), DIM).eval()
    model.load_state_dict(weights)
    rows = [
        row
        for setting in DEFAULT_TNORM
        for row in compare(model, setting, theirs["settings"][setting], scores, drawn, options)
    ]
    text = describe(rows, machine, options)
    sbs.save("query_answering", {"rows": rows, "machine": machine}, text, options.results)


def dicee(
    python: str,
    folder: Path,
    graph: KnowledgeGraph,
    weights: dict[str, Tensor],
    drawn: dict[str, Queries],
    options: argparse.Namespace,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Its record, and its scores by `<setting>/<structure>`."""
    given, queries, scores = folder / "given.npz", folder / "queries.json", folder / "scores.npz"
    tables = {name: weights[name].numpy() for name in ("entity", "relation")}
    n = len(graph.relations) // 2
    np.savez(given, entities=graph.entities, relations=graph.relations[:n], **tables)
    queries.write_text(json.dumps({name: with_names(graph, q) for name, q in drawn.items()}))
    arguments = ["--data", DATA, "--given", given, "--queries", queries, "--scores", scores]
    arguments += ["--k", options.k]
    record = sbs.run(python, sbs.PEERS / "dicee_queries.py", arguments, options.threads)
    with np.load(scores) as archive:
        return record, {name: archive[name] for name in archive.files}


def compare(
    model: Any,
    setting: str,
    theirs: dict[str, Any],
    scores: dict[str, np.ndarray],
    drawn: dict[str, Queries],
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """A row a structure."""
    logic, n = LOGICS[DEFAULT_TNORM[setting]](), len(model.entity)
    for name, queries in drawn.items():
        ranking = QueryRanking(queries, n, torch.device("cpu"), 256 * 2**20)
        beam, exact = Answerer(model, logic, options.k), Answerer(model, logic, n)
        found, seconds = timed(beam, queries, options.rounds)
        _, exact_seconds = timed(exact, queries, options.rounds)
        row = {
            "setting": setting, "structure": name, "queries": len(queries),
            "ours_ms": 1e3 * seconds, "exact_ms": 1e3 * exact_seconds,
            "ours_mrr": ranking.metrics(beam)["mrr"], "exact_mrr": ranking.metrics(exact)["mrr"],
        }  # fmt: skip
        if "error" in theirs[name]:
            yield {**row, "error": theirs[name]["error"]}
            continue
        table = torch.from_numpy(scores[f"{setting}/{name}"])
        if setting != "default":
            row["difference"] = float((table.double() - found).abs().max())
            table = torch.logit(table.double()).float()
        given: Any = Given(table)
        milliseconds = [1e3 * second for second in theirs[name]["seconds"]]
        yield {
            **row,
            "dicee_mrr": ranking.metrics(given)["mrr"],
            "dicee_ms": statistics.median(milliseconds),
            "faster": statistics.median(milliseconds) / row["ours_ms"],
        }


def describe(rows: list[dict[str, Any]], machine: dict[str, Any], options: Any) -> str:
    """The page."""
    heads = ["setting of dicee", "structure", "greatest difference", "MRR: ours", "dicee",
             "ours, exact", "ms a query: ours", "dicee", "ours, exact", "times faster"]  # fmt: skip
    lines = []
    for row in rows:
        failed = "error" in row
        lines.append([
            row["setting"], row["structure"],
            f"{row['difference']:.1e}" if "difference" in row else "–",
            f"{row['ours_mrr']:.3f}", "raises" if failed else f"{row['dicee_mrr']:.3f}",
            f"{row['exact_mrr']:.3f}", f"{row['ours_ms']:.4f}",
            "–" if failed else f"{row['dicee_ms']:.3f}", f"{row['exact_ms']:.4f}",
            "–" if failed else f"{row['faster']:.0f}",
        ])  # fmt: skip
    compared = [row["difference"] for row in rows if "difference" in row]
    least = min(row["faster"] for row in rows if row["structure"] in TIMED and "faster" in row)
    errors = {row["structure"]: row["error"].splitlines()[0] for row in rows if "error" in row}
    raises = "; ".join(f"{name}: {error}" for name, error in errors.items())
    equal = "met" if max(compared) <= TOLERANCE else "missed"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {options.threads} thread(s), torch "
        f"{machine['torch']}, {machine['date']}, load before {machine['load_before']:.2f}; UMLS, "
        f"ComplEx, dim {DIM}, {options.epochs} epochs, k = {options.k}, {options.queries} queries "
        "a structure; dicee's time is the median query, ours a query of a batch, median of "
        f"{options.rounds}.\n\n{sbs.markdown(heads, lines)}\n\n"
        f"Greatest difference of a probability where dicee works with probabilities: "
        f"{max(compared):.1e} (target {TOLERANCE:.0e}: {equal}). Least factor for "
        f"{', '.join(TIMED)}: {least:.0f} (target {TARGET:.0f}: "
        f"{'met' if least >= TARGET else 'missed'}).\n\nWhat dicee raises: {raises or 'nothing'}."
    )


if __name__ == "__main__":
    main()
