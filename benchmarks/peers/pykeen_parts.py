"""PyKEEN's factory and model for a graph and given weights; shared by its two scripts (peers venv).

The factory is made from ids that cover all three splits: PyKEEN's own loader knows the entities of
train alone and drops the test triples of the others (WN18RR: 3134 → 2924).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graph
import numpy as np
import torch
from pykeen.models import model_resolver
from pykeen.triples import CoreTriplesFactory
from pykeen_run import NO_REGULARIZER, REALS


def factory(data: graph.Graph) -> CoreTriplesFactory:
    """Train triples, with inverses, among all entities of the graph."""
    return CoreTriplesFactory.create(
        torch.as_tensor(data.train),
        num_entities=len(data.entities),
        num_relations=len(data.relations),
        create_inverse_triples=True,
    )


def build(name: str, triples: CoreTriplesFactory, dim: int, seed: int = 0) -> Any:
    """A model with `dim` real numbers a row, without regularizer."""
    return model_resolver.make(
        name,
        triples_factory=triples,
        embedding_dim=dim // REALS[name],
        loss="BCEWithLogits",
        random_seed=seed,
        **NO_REGULARIZER[name],
    )


def set_weights(model: Any, name: str, folder: Path) -> None:
    """Entity and relation tables of `folder`, in PyKEEN's layout.

    Ours: relations, then all reciprocals; complex rows as [real | imaginary]. PyKEEN: relation 2r
    and its inverse 2r + 1; real and imaginary parts in turn.
    """
    entity, relation = (np.load(folder / f"{table}.npy") for table in ("entity", "relation"))
    n_relations = len(relation) // 2
    relation = relation.reshape(2, n_relations, -1).swapaxes(0, 1).reshape(2 * n_relations, -1)
    pairs = (
        (model.entity_representations[0], entity),
        (model.relation_representations[0], relation),
    )
    for representation, table in pairs:
        rows = torch.from_numpy(np.ascontiguousarray(table))
        if name == "ComplEx":
            rows = rows.view(len(rows), 2, -1).transpose(1, 2).reshape(len(rows), -1)
        weight = representation._embeddings.weight
        assert weight.shape == rows.shape, (weight.shape, rows.shape)
        weight.data.copy_(rows)
