"""Training objectives of link prediction: KvsAll, AllvsAll, 1vsAll and negative sampling.

An objective is built once from the training triples (with reciprocals) and yields the losses of an
epoch, in an order drawn from the generator it is given. Losses of bilinear models over all entities
are tiled (`aswa.tasks.tiled_losses`); those of other models hold all scores of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex
from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.link_predictor import LinkPredictor
from aswa.tasks.tiled_losses import TiledPositives, set_bce, tail_cross_entropy


class Objective(Protocol):
    """Losses over the training triples."""

    def losses(
        self, model: LinkPredictor, batch_size: int, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        """Scalar loss and number of examples of the batches of one epoch, from `start` on."""


class KvsAll:
    """One example a pair (h, r): all entities are scored, its known tails are the positives.

    Dettmers et al. (AAAI 2018), there "1-N scoring"; named as in Ruffinelli et al. (ICLR 2020).
    Over `TailIndex.with_all_pairs` this is AllvsAll of the authors' framework: pairs without a
    known tail are examples without a positive.
    """

    def __init__(self, train: TailIndex, label_smoothing: float = 0.0) -> None:
        self.train, self.label_smoothing = train, label_smoothing

    def losses(
        self, model: LinkPredictor, batch_size: int, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        order = _shuffled(len(self.train), generator, self.train.h.device)
        h, r = self.train.h[order], self.train.r[order]
        row, column = self.train.rows(order)
        positives = TiledPositives(row, column, len(order), batch_size, len(model.entity))
        for i in range(start, -(-len(order) // batch_size)):
            first = i * batch_size
            ids = h[first : first + batch_size], r[first : first + batch_size]
            if isinstance(model, BilinearModel):
                loss = set_bce(
                    model.queries(*ids), model.entity, positives, i, self.label_smoothing
                )
            else:
                scores = model.score_all(*ids)
                labels = positives.labels(i, scores, self.label_smoothing)
                loss = F.binary_cross_entropy_with_logits(scores, labels)
            yield loss, len(ids[0])


class OneVsAll:
    """One example a triple: softmax cross-entropy of its tail against all entities.

    Lacroix et al. (ICML 2018); named as in Ruffinelli et al. (ICLR 2020).
    """

    def __init__(self, triples: Tensor, label_smoothing: float = 0.0) -> None:
        self.triples, self.label_smoothing = triples, label_smoothing

    def losses(
        self, model: LinkPredictor, batch_size: int, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        order = _shuffled(len(self.triples), generator, self.triples.device)
        for batch in order.split(batch_size)[start:]:
            h, r, t = self.triples[batch].unbind(1)
            if isinstance(model, BilinearModel):
                q = model.queries(h, r)
                loss = tail_cross_entropy(q, model.entity, t, self.label_smoothing)
            else:
                scores = model.score_all(h, r)
                loss = F.cross_entropy(scores, t, label_smoothing=self.label_smoothing)
            yield loss, len(batch)


class NegativeSampling:
    """One example a triple: its tail against `negatives` tails drawn uniformly from all entities.

    Binary cross-entropy, mean over positive and negatives (Trouillon et al. 2016). Heads are
    corrupted through the reciprocal triples. A drawn tail may happen to be true, as usual.
    """

    def __init__(self, triples: Tensor, n_entities: int, negatives: int) -> None:
        self.triples, self.n_entities, self.negatives = triples, n_entities, negatives

    def losses(
        self, model: LinkPredictor, batch_size: int, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        order = _shuffled(len(self.triples), generator, self.triples.device)
        first_seed = int(torch.randint(2**62, (), generator=generator))
        for i, batch in enumerate(order.split(batch_size)[start:], start):
            h, r, t = self.triples[batch].unbind(1)
            generator.manual_seed(first_seed + i)  # so that no batch waits for the earlier ones
            shape = (len(batch), self.negatives)
            drawn = _to(torch.randint(self.n_entities, shape, generator=generator), t.device)
            scores = model.score(h, r, torch.cat([t[:, None], drawn], 1))
            labels = torch.zeros_like(scores)
            labels[:, 0] = 1
            yield F.binary_cross_entropy_with_logits(scores, labels), len(batch)


def _shuffled(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """0 … n − 1 in an order that depends on the generator alone, not on the device."""
    return _to(torch.randperm(n, generator=generator), device)


def _to(numbers: Tensor, device: torch.device) -> Tensor:
    """Drawn on the CPU, used on the device, which does not make the CPU wait."""
    if device.type == "cuda":
        return numbers.pin_memory().to(device, non_blocking=True)
    return numbers.to(device)
