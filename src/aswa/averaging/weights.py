"""The arithmetic under every averager: a module whose weights are a mean of another's.

Floating-point parameters and buffers are averaged, integer and boolean buffers copied. Half
precision (fp16, bf16) is averaged in fp32 and rounded only for the module that is shown.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

HALF = (torch.float16, torch.bfloat16)


def named_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer once (tied ones under their first name), detached."""
    for name, parameter in module.named_parameters():
        yield name, parameter.detach()
    for name, buffer in module.named_buffers():
        yield name, buffer.detach()


class AveragedWeights:
    """A copy of `model` in which running averages of its weights are kept.

    Attributes:
        module: the copy; same class, devices, dtypes, ties and `requires_grad` as `model`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.module = copy.deepcopy(model)
        # fp32 masters of half-precision tensors, by name; other tensors are their own master.
        self._fp32 = {
            name: tensor.float()
            for name, tensor in named_state(self.module)
            if tensor.dtype in HALF
        }
        # Copied, not averaged: what has no mean (counters, flags), and floating-point buffers that
        # hold an infinity, such as attention masks: −inf − (−inf) is not a number.
        parameters = {name for name, _ in self.module.named_parameters()}
        self._copied = {
            name
            for name, tensor in named_state(self.module)
            if not (tensor.is_floating_point() or tensor.is_complex())
            or (name not in parameters and not torch.isfinite(tensor).all())
        }

    def assign(self, model: nn.Module) -> None:
        """Θ_avg ← Θ."""
        masters, running, copied = self._pairs(model)
        _copy(masters, running)
        _copy(*copied)
        self._round()

    def lerp(self, model: nn.Module, weight: float) -> None:
        """Θ_avg ← Θ_avg + weight · (Θ − Θ_avg), in place."""
        masters, running, copied = self._pairs(model)
        if masters:
            torch._foreach_lerp_(masters, running, weight)
        _copy(*copied)
        self._round()

    def look_ahead(self, base: AveragedWeights, model: nn.Module, weight: float) -> None:
        """Θ_self ← Θ_base + weight · (Θ − Θ_base); `base` is left as it is, to the last bit."""
        masters, running, copied = self._pairs(model)
        if masters and next(base.module.parameters()).device != masters[0].device:
            base._move(masters[0].device)
        origin = [base._fp32.get(name, tensor) for name, tensor in named_state(base.module)
                  if name not in self._copied]  # fmt: skip
        for master, start, end in zip(masters, origin, running, strict=True):
            torch.lerp(start, end, weight, out=master)  # one pass; foreach has no out=
        _copy(*copied)
        self._round()

    def state_dict(self) -> dict[str, Tensor]:
        """Name → tensor, copied, in the precision in which the average is kept."""
        return {
            name: self._fp32.get(name, tensor).clone() for name, tensor in named_state(self.module)
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, exactly.

        Raises:
            ValueError: names or shapes differ from this model's.
        """
        own = {name: self._fp32.get(name, t) for name, t in named_state(self.module)}
        for name in own.keys() ^ state.keys():
            where = "the saved weights" if name in own else "this model"
            raise ValueError(f"cannot restore the average: {where} has no {name!r}")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"cannot restore the average: {name!r} has shape {tuple(state[name].shape)} "
                    f"in the saved weights, {tuple(tensor.shape)} in this model"
                )
            tensor.copy_(state[name])
        self._round()

    def _pairs(
        self, model: nn.Module
    ) -> tuple[list[Tensor], list[Tensor], tuple[list[Tensor], list[Tensor]]]:
        """(masters, running tensors of the same dtype) to average, and (own, running) to copy."""
        own, new = list(named_state(self.module)), list(named_state(model))
        if [(name, t.shape) for name, t in own] != [(name, t.shape) for name, t in new]:
            raise ValueError(self._difference(dict(own), dict(new)))
        if own and own[0][1].device != new[0][1].device:
            self._move(new[0][1].device)
            own = list(named_state(self.module))
        masters: list[Tensor] = []
        running: list[Tensor] = []
        copied: tuple[list[Tensor], list[Tensor]] = ([], [])
        for (name, mine), (_, theirs) in zip(own, new, strict=True):
            master = self._fp32.get(name, mine)
            if name in self._copied:
                copied[0].append(master)
                copied[1].append(theirs)
            else:
                masters.append(master)
                running.append(theirs if theirs.dtype == master.dtype else theirs.to(master.dtype))
        return masters, running, copied

    def _move(self, device: torch.device) -> None:
        """Be where the running model is."""
        self.module.to(device)
        self._fp32 = {name: tensor.to(device) for name, tensor in self._fp32.items()}

    @staticmethod
    def _difference(own: dict[str, Tensor], new: dict[str, Tensor]) -> str:
        """Which tensor makes `model` another model than the one this was built from."""

        def shape(state: dict[str, Tensor], name: str) -> str:
            return str(tuple(state[name].shape)) if name in state else "absent"

        odd = next(name for name in [*new, *own] if shape(own, name) != shape(new, name))
        return (
            f"the model differs from the one this averager was built with, at {odd!r}: "
            f"{shape(new, odd)} now, {shape(own, odd)} then; build a new averager for a new model"
        )

    def _round(self) -> None:
        """Show the fp32 averages of half-precision tensors in the module."""
        if self._fp32:
            for name, tensor in named_state(self.module):
                if name in self._fp32:
                    tensor.copy_(self._fp32[name])


def _copy(own: list[Tensor], new: list[Tensor]) -> None:
    if own:  # torch refuses empty lists
        torch._foreach_copy_(own, new)
