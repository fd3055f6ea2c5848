"""A decoder of the GPT family, small enough for a CPU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL = 0.02  # standard deviation of the initial weights (Radford et al. 2019)


class Attention(nn.Module):
    """Causal self-attention (Vaswani et al. 2017)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q = nn.Linear(dim, dim, bias=False)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] → [B, T, d]."""
        q, k, v = (part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in (self.q, self.k, self.v))  # fmt: skip
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a two-layer network, each on normalised inputs (Xiong et al. 2020)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.before_mlp = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] → [B, T, d]."""
        x = x + self.dropout(self.attention(self.before_attention(x)))
        return x + self.dropout(self.down(F.gelu(self.up(self.before_mlp(x)))))


class GPT(nn.Module):
    """Tokens [B, T ≤ context] → logits of the next token [B, T, vocabulary].

    Embeddings of tokens are also the rows of the head, as one parameter.

    Args:
        vocabulary: number of tokens.
        layers, heads, dim: blocks, attention heads a block, width.
        context: longest input.
        dropout: of embeddings, attention and the outputs of a block's parts.
        generator: source of the initial weights; the global one if None.

    Raises:
        ValueError: `dim` is not a multiple of `heads`.
    """

    def __init__(
        self,
        vocabulary: int,
        layers: int,
        heads: int,
        dim: int,
        context: int,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"model.dim={dim}: must be a multiple of model.heads={heads}")
        self.context = context
        self.token = nn.Embedding(vocabulary, dim)
        self.position = nn.Embedding(context, dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*[Block(dim, heads, dropout) for _ in range(layers)])
        self.before_head = nn.LayerNorm(dim)
        self._initialise(layers, generator)

    @torch.no_grad()
    def _initialise(self, layers: int, generator: torch.Generator | None) -> None:
        """Normal weights; those that write into the residual stream are smaller with depth."""
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue  # layer norms begin as the identity
            writes = name.endswith(("out.weight", "down.weight"))
            deviation = INITIAL / math.sqrt(2 * layers) if writes else INITIAL
            parameter.normal_(0, deviation, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = self.position.weight[: tokens.shape[1]]
        x = self.dropout(self.token(tokens) + positions)
        return F.linear(self.before_head(self.blocks(x)), self.token.weight)
