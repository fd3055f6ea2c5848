"""KvsAll scores of dicee's own model for given tables, for parity checks (peers venv).

Reads an .npz with `entity` [n_entities, dim], `relation` [n_relations, dim] (as dicee lays a row
out, see NOTES.md), `pairs` [n, 2] of (head, relation) ids, and for Keci, if present,
`p_coefficients` [p] and `q_coefficients` [q] (dicee starts them at zero); writes an .npz with
`scores` [n, n_entities] and, for the backward pass, `entity_grad` and `relation_grad` of
sum(scores · cotangent) if a `cotangent` [n, n_entities] is given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np


def build(name: str, entity: np.ndarray, relation: np.ndarray, p: int, q: int) -> Any:
    """dicee's model `name` with these tables, no dropout, default normalisation."""
    import dicee_stubs

    dicee_stubs.without_network()
    import torch
    from dicee.models import ComplEx, DistMult, Keci, QMult

    classes = {"DistMult": DistMult, "ComplEx": ComplEx, "QMult": QMult, "Keci": Keci}
    model = classes[name](
        {
            "model": name,
            "embedding_dim": entity.shape[1],
            "num_entities": len(entity),
            "num_relations": len(relation),
            "scoring_technique": "KvsAll",
            "optim": "Adam",
            "p": p,
            "q": q,
        }
    )
    with torch.no_grad():
        model.entity_embeddings.weight.copy_(torch.as_tensor(entity))
        model.relation_embeddings.weight.copy_(torch.as_tensor(relation))
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", choices=["DistMult", "ComplEx", "QMult", "Keci"], required=True)
    parser.add_argument("--p", type=int, default=0)
    parser.add_argument("--q", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import torch

    with np.load(options.weights) as archive:
        given = {name: archive[name] for name in archive.files}
    model = build(options.model, given["entity"], given["relation"], options.p, options.q)
    for name in ("p_coefficients", "q_coefficients"):
        if name in given and hasattr(model, name):
            with torch.no_grad():
                getattr(model, name).weight.copy_(torch.as_tensor(given[name]).reshape(1, -1))
    scores = model.forward_k_vs_all(torch.as_tensor(given["pairs"], dtype=torch.long))
    result = {"scores": scores.detach().numpy()}
    if "cotangent" in given:
        (scores * torch.as_tensor(given["cotangent"])).sum().backward()
        result["entity_grad"] = model.entity_embeddings.weight.grad.numpy()
        result["relation_grad"] = model.relation_embeddings.weight.grad.numpy()
    np.savez_compressed(options.out, **result)
    print(f"{options.model}: scores {scores.shape[0]} x {scores.shape[1]}")


if __name__ == "__main__":
    main()
