"""Losses over all entities that never hold all scores: tile by tile, with gradients in closed form.

Training on 40,000 entities is bound by memory traffic, not by arithmetic: scores, labels, sigmoids
and gradients as whole matrices go through main memory several times each. Here a tile of scores is
made, used for the loss, turned into its own gradient and multiplied into the gradients of queries
and entities while it is in cache. Memory does not grow with batch × entities.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Scores held at a time by the losses below: constants, because sums in another order may round
# differently. On a CPU a tile and its copy stay in the second-level cache, which made KvsAll three
# times faster at 32 dimensions than one matrix of all scores.
CPU_TILE = 2**20
CUDA_TILE = 2**24


def _tile(device: torch.device) -> int:
    return CUDA_TILE if device.type == "cuda" else CPU_TILE


class TiledPositives:
    """The positives of some batches, in the order in which the tiles of `set_bce` use them.

    Made for a whole epoch at once, so that no batch has to wait for a device.

    Args:
        row, column: int64 [K]; entity `column[k]` is a positive of query `row[k]`, each pair once,
            in the order of the rows, which count through the batches.
        n_queries: in all.
        batch_size: queries a batch; the last may have fewer.
        n_entities: candidates.
    """

    def __init__(
        self, row: Tensor, column: Tensor, n_queries: int, batch_size: int, n_entities: int
    ) -> None:
        batch_size = min(batch_size, n_queries)
        n_batches = -(-n_queries // batch_size)
        self.width = min(n_entities, max(1, _tile(row.device) // batch_size))
        self._n_tiles = -(-n_entities // self.width)
        batch = row // batch_size
        key = batch * self._n_tiles + column // self.width
        row = row - batch * batch_size
        if self._n_tiles > 1:  # else they are in order
            order = torch.argsort(key, stable=True)
            row, column, key = row[order], column[order], key[order]
        self._row, self._column = row, column
        borders = torch.arange(n_batches * self._n_tiles + 1, device=row.device)
        self._cuts: list[int] = torch.searchsorted(key, borders).tolist()

    def of_tile(self, batch: int, tile: int) -> tuple[Tensor, Tensor]:
        """Rows in the batch, and columns in the tile."""
        i = batch * self._n_tiles + tile
        here = slice(self._cuts[i], self._cuts[i + 1])
        return self._row[here], self._column[here] - tile * self.width

    def labels(self, batch: int, scores: Tensor, smoothing: float) -> Tensor:
        """y (1 − ε) + ε / n_entities of a whole batch, like its scores [n_queries, n_entities]."""
        first, end = batch * self._n_tiles, (batch + 1) * self._n_tiles
        here = slice(self._cuts[first], self._cuts[end])
        found = torch.full_like(scores, smoothing / scores.shape[1], requires_grad=False)
        found[self._row[here], self._column[here]] += 1 - smoothing
        return found


class _SetBCE(torch.autograd.Function):
    """Mean binary cross-entropy of q Eᵀ against sets of positives, entities tile by tile.

    The gradient by the scores, σ(s) − y, is made in place of them and used up at once, so neither
    all scores nor dense labels are ever held.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        entity: Tensor,
        positives: TiledPositives,
        batch: int,
        smoothing: float,
        learning: bool,
    ) -> Tensor:
        n_queries, (n_entities, _) = len(q), entity.shape
        # Smoothed labels: `on` for positives and `off` for the others add up to y (1 − ε) + ε / E.
        on, off = 1 - smoothing, smoothing / n_entities
        q_gradient, entity_gradient = torch.zeros_like(q), torch.empty_like(entity)
        factor = _matmul_dtype(q)
        q_factor, q_scaled = q.to(factor), (q / (n_queries * n_entities)).to(factor)
        buffers = q.new_empty(2, n_queries * positives.width, dtype=torch.float32)
        loss = q.new_zeros((), dtype=torch.float32)
        for i, tile in enumerate(entity.split(positives.width)):
            tile_factor = tile.to(factor)
            flat, spare = buffers[:, : n_queries * len(tile)].unbind()
            scores = flat.view(n_queries, -1)
            _matmul(q_factor, tile_factor.T, scores)
            row, column = positives.of_tile(batch, i)
            right = row * len(tile) + column
            loss += torch.clamp_min(flat, 0, out=spare).sum() - on * flat[right].sum()
            if smoothing:
                loss -= off * flat.sum()
            flat.sigmoid_()
            loss += _sum_softplus_of_minus_abs(flat, spare)
            if not learning:
                continue
            flat[right] -= on
            if smoothing:
                flat -= off
            gradient = scores.to(factor)
            first = i * positives.width
            _matmul(gradient.T, q_scaled, entity_gradient[first : first + len(tile)])
            q_gradient += gradient @ tile_factor
        ctx.save_for_backward(q_gradient / (n_queries * n_entities), entity_gradient)
        return loss / (n_queries * n_entities)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q_gradient, entity_gradient = ctx.saved_tensors
        return gradients[0] * q_gradient, gradients[0] * entity_gradient, *[None] * 4


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """What autocast would compute matrix products of `x` in."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _matmul(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out = a b, in the precision of the factors."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(a @ b)


def _sum_softplus_of_minus_abs(p: Tensor, spare: Tensor) -> Tensor:
    """Σ log(1 + e^−|s|) from p = σ(s) [n], so that Σ softplus(s) = Σ relu(s) + this.

    log(1 + e^−|s|) = −log max(p, 1 − p), and the maximum lies in [½, 1]: 64 factors are multiplied
    before each logarithm without leaving fp32. Four times faster than softplus on a CPU.

    Args:
        p: not changed.
        spare: as long, overwritten.
    """
    factors = torch.maximum(p, torch.neg(p, out=spare).add_(1), out=spare)
    whole = len(p) - len(p) % 64
    products = factors[:whole].view(64, -1).prod(0)
    return -(products.log().sum() + factors[whole:].log().sum())


def set_bce(
    q: Tensor, entity: Tensor, positives: TiledPositives, batch: int, smoothing: float = 0.0
) -> Tensor:
    """Mean binary cross-entropy over all entities.

    Args:
        q: composed queries [B, d] of one batch.
        entity: table [n_entities, d]; the scores are q entityᵀ.
        positives: of all batches.
        batch: which of them this is.
        smoothing: ε; labels become y (1 − ε) + ε / n_entities.

    Returns:
        scalar; equals `binary_cross_entropy_with_logits` on dense labels.
    """
    return _SetBCE.apply(q, entity, positives, batch, smoothing, torch.is_grad_enabled())


class _TailCrossEntropy(torch.autograd.Function):
    """Mean softmax cross-entropy of q Eᵀ against one tail a query, queries tile by tile.

    −log p and p − 1 of the tail come from the mass of the other entities: `log1p`, not 1 − p.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, entity: Tensor, tail: Tensor, smoothing: float, learning: bool
    ) -> Tensor:
        n_queries, n_entities = len(q), len(entity)
        off = smoothing / n_entities
        factor = _matmul_dtype(q)
        entity_factor = entity.to(factor)
        entity_gradient, q_gradients = torch.zeros_like(entity), []
        loss = q.new_zeros((), dtype=torch.float32)
        size = max(1, 4 * _tile(q.device) // n_entities)
        for some, tails in zip(q.split(size), tail.split(size), strict=True):
            scores = (some.to(factor) @ entity_factor.T).float()
            rows = torch.arange(len(some), device=q.device)
            shifted = scores.sub_(scores.amax(1, keepdim=True))
            of_tail = shifted[rows, tails]
            if smoothing:
                loss -= off * shifted.sum()
            # Without the tail, so that 1 − p of a tail near p = 1 keeps its digits.
            others = shifted.exp_()
            mass = others[rows, tails]
            others[rows, tails] = 0
            rest = others.sum(1)
            total = rest + mass
            wrong = rest / total
            log_total = total.log()
            surprise = torch.where(wrong < 0.5, -torch.log1p(-wrong), log_total - of_tail)
            loss += (1 - smoothing) * surprise.sum() + smoothing * log_total.sum()
            if learning:
                gradient = others.div_(total.unsqueeze(1))  # softmax, then minus the labels
                gradient[rows, tails] = smoothing - wrong
                if smoothing:
                    gradient -= off
                gradient = gradient.div_(n_queries).to(factor)
                q_gradients.append((gradient @ entity_factor).float())
                entity_gradient += gradient.T @ some.to(factor)
        if q_gradients:
            ctx.save_for_backward(torch.cat(q_gradients), entity_gradient)
        return loss / n_queries

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q_gradient, entity_gradient = ctx.saved_tensors
        return gradients[0] * q_gradient, gradients[0] * entity_gradient, None, None, None


def tail_cross_entropy(q: Tensor, entity: Tensor, tail: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean softmax cross-entropy over all entities.

    Args:
        q: composed queries [B, d].
        entity: table [n_entities, d]; the scores are q entityᵀ.
        tail: int64 [B], the right entity of each.
        smoothing: ε; labels become y (1 − ε) + ε / n_entities.

    Returns:
        scalar; equals `cross_entropy` on all scores, of which a part is held at a time.
    """
    return _TailCrossEntropy.apply(q, entity, tail, smoothing, torch.is_grad_enabled())
