"""dicee's answers of logical queries for given weights, timed query by query (peers venv).

What is measured: `KGE.answer_multi_hop_query(..., only_scores=True)`, dicee's fastest way, one call
a query, as its own batch does inside. dicee trains a model for one epoch and stores it, as it has
to be loaded from a folder; then the weights are put in place.

`--given`: .npz with `entity` [n, d], `relation` [2 m, d] in our order and layout (ComplEx), and the
names. `--queries`: JSON, structure → nested queries by names. `--scores`: .npz for the scores of
every entity in our order, by `<setting>/<structure>`. A structure that raises is recorded with its
error.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

SETTINGS = {
    "default": {},
    "product": {"use_logits": False, "tnorm": "prod"},
    "minimum": {"use_logits": False, "tnorm": "min"},
}


def load_model(data: Path, dim: int, storage: str) -> Any:
    """A ComplEx of dicee's on this graph, with whatever weights."""
    from dicee import KGE
    from dicee.config import Namespace
    from dicee.executer import Execute

    args = Namespace()
    args.dataset_dir, args.path_to_store_single_run = str(data), str(Path(storage) / "run")
    args.model, args.embedding_dim, args.num_epochs = "ComplEx", dim, 1
    args.scoring_technique, args.optim, args.trainer = "KvsAll", "Adam", "torchCPUTrainer"
    args.eval_model = "train"  # None drops the reciprocals
    home = Path.cwd()
    os.chdir(storage)
    try:
        Execute(args).start()
    finally:
        os.chdir(home)
    return KGE(path=args.path_to_store_single_run)


def put_weights(model: Any, given: Any) -> list[int]:
    """Ours in place of dicee's; its ids of our entities."""
    import torch

    names = list(given["relations"])
    both = [*names, *(f"{name}_inverse" for name in names)]
    entity = [model.entity_to_idx[name] for name in given["entities"]]
    relation = [model.relation_to_idx[name] for name in both]
    with torch.no_grad():
        model.model.entity_embeddings.weight[entity] = torch.as_tensor(given["entity"])
        model.model.relation_embeddings.weight[relation] = torch.as_tensor(given["relation"])
    return entity


def nested(query: Any) -> Any:
    """JSON's lists as the tuples that dicee asks for."""
    return tuple(map(nested, query)) if isinstance(query, list) else query


def answer(
    model: Any, structure: str, queries: list[Any], k: int, setting: dict[str, Any]
) -> tuple[list[Any], list[float]]:
    """Scores and seconds of each query."""
    scores, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        found = model.answer_multi_hop_query(
            query_type=structure, query=query, k=k, only_scores=True, **setting
        )
        seconds.append(time.perf_counter() - start)
        scores.append(found.detach())
    return scores, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--given", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--k", type=int, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import dicee_stubs
    import numpy as np
    import torch

    dicee_stubs.without_network()
    queries = {name: nested(each) for name, each in json.loads(options.queries.read_text()).items()}
    with (
        tempfile.TemporaryDirectory(prefix="dicee-queries-") as storage,
        np.load(options.given) as given,
    ):
        model = load_model(options.data.resolve(), given["entity"].shape[1], storage)
        order = put_weights(model, given)
    record: dict[str, Any] = {"peer": "dicee", "version": version("dicee"), "settings": {}}
    stored = {}
    with torch.no_grad():
        for setting, arguments in SETTINGS.items():
            of_setting = record["settings"][setting] = {}
            for name, each in queries.items():
                try:
                    answer(model, name, each[:2], options.k, arguments)  # not measured
                    scores, seconds = answer(model, name, each, options.k, arguments)
                except Exception as error:
                    of_setting[name] = {"error": f"{type(error).__name__}: {error}"}
                    continue
                of_setting[name] = {"seconds": seconds}
                table = torch.stack([found.flatten() for found in scores])[:, order]
                stored[f"{setting}/{name}"] = table.numpy()
    np.savez_compressed(options.scores, **stored)
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
