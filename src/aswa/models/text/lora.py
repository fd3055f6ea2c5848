"""Low-rank adapters (Hu et al., ICLR 2022): W x + (α / r) · B A x with W frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """A frozen linear layer and a trained product of two thin matrices beside it.

    With B = 0, as at the beginning, the outputs are those of `base`, to the last bit.

    Args:
        base: [in] → [out]; its parameters are frozen.
        r: rank.
        alpha: the product is scaled by alpha / r.
        dropout: of the product's input.
        generator: source of A, uniform in ±1/√in as in peft; the global one if None.
    """

    def __init__(
        self,
        base: nn.Linear,
        r: int,
        alpha: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / r
        self.dropout = nn.Dropout(dropout)
        bound = 1 / math.sqrt(base.in_features)
        a = torch.empty(r, base.in_features).uniform_(-bound, bound, generator=generator)
        self.A = nn.Parameter(a.to(base.weight))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))

    def forward(self, x: Tensor) -> Tensor:
        """[…, in] → […, out]."""
        return self.base(x) + F.linear(F.linear(self.dropout(x), self.A), self.B) * self.scale

    def product(self) -> Tensor:
        """(α / r) · B A, [out, in]."""
        return self.scale * self.B @ self.A


class Adapted(nn.Module):
    """A frozen model with trained adapters in some of its linear layers.

    Its state is that of the adapters alone; whoever loads one builds it on the same base.

    Args:
        model: becomes frozen, and its target layers are replaced.
        targets: last parts of the names of linear layers, such as `q`, `v`.
        r, alpha, dropout, generator: of `LowRankLinear`.

    Raises:
        ValueError: no linear layer is called like a target; the message lists the layers.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[str],
        r: int,
        alpha: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        linear = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
        for target in targets:
            chosen = [name for name in linear if name.rpartition(".")[2] == target]
            if not chosen:
                there = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in linear))
                raise ValueError(f"model.targets: no linear layer {target!r}; there are: {there}")
            for name in chosen:
                parent = model.get_submodule(name.rpartition(".")[0])
                base = parent.get_submodule(target)
                assert isinstance(base, nn.Linear)
                setattr(parent, target, LowRankLinear(base, r, alpha, dropout, generator))
        self.register_state_dict_post_hook(_only_adapters)
        self.register_load_state_dict_pre_hook(_with_base)

    def forward(self, tokens: Tensor) -> Tensor:
        """That of the model."""
        return self.model(tokens)


def _only_adapters(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Leave the frozen tensors out of a state."""
    trained = {prefix + name for name, p in module.named_parameters() if p.requires_grad}
    for name in state.keys() - trained:
        if name.startswith(prefix):
            del state[name]


def _with_base(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Complete a state of adapters by the frozen tensors that are there."""
    own = [*module.named_parameters(), *module.named_buffers()]
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    for name, tensor in own:
        if name not in trained:
            state.setdefault(prefix + name, tensor.detach())


@torch.no_grad()
def merged(model: nn.Module) -> nn.Module:
    """Write W + (α / r) · B A into the base layers, in place of the adapters; the bare model."""
    bare = model.model if isinstance(model, Adapted) else model
    for name, part in [*bare.named_modules()]:
        if isinstance(part, LowRankLinear):
            part.base.weight += part.product()
            setattr(bare.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], part.base)
    return bare
