"""The arithmetic under every method: a module whose weights are a mean of another's.

Floating-point parameters and buffers are averaged, integer and boolean buffers copied, frozen
parameters shared. Half precision (fp16, bf16) is averaged in fp32 and rounded only for the module
that is shown.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from aswa.averaging.offload import brought, copy_all, moved, wait_for
from aswa.averaging.undisturbed import undisturbed


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside `torch.compile` and (Distributed)DataParallel, in any order."""
    while True:
        if isinstance(model, (DataParallel, DistributedDataParallel)):
            model = model.module
        elif "_orig_mod" in model._modules:  # torch.compile; the import of its class costs a second
            model = model.get_submodule("_orig_mod")
        else:
            return model


def named_state(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer once, tied ones under their first name; shards under FSDP2."""
    if distributed.is_available() and distributed.is_initialized():
        _reshard(module)
    return dict([*module.named_parameters(), *module.named_buffers()])


Build = Callable[[], nn.Module]
"""Makes a model like the running one, sharded in the same way; see `AveragedWeights`."""


def _reshard(module: nn.Module) -> None:
    """Drop the whole weights that FSDP2 keeps after a forward pass: their shards are the state."""
    from torch.distributed.fsdp import FSDPModule

    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


class AveragedWeights:
    """A copy of `model` in which running averages of its weights are kept.

    Sharded tensors (DTensor: FSDP2, tensor parallelism) are averaged in place, each rank its own
    shard, without communication.

    Args:
        model: unwrapped; so are the models of all methods.
        frozen: names of parameters that are shared with `model`: same storage, never averaged.
        device: where the copy is kept; None: where `model` is, also after `model` moves. Frozen
            parameters on another device are copied once, here. On the CPU, the copy of a model on
            a GPU is in pinned memory, and what is averaged in is copied asynchronously.
        build: makes the copy where `copy.deepcopy` cannot or should not, as of models under FSDP2.
            It is called on the meta device, so a whole model is never in memory. Nothing is shared
            with `model` then.

    Attributes:
        module: the copy, one object for life; class, dtypes, ties and `requires_grad` of `model`.
    """

    def __init__(
        self,
        model: nn.Module,
        frozen: frozenset[str] = frozenset(),
        device: torch.device | None = None,
        build: Build | None = None,
    ) -> None:
        self._frozen, self._device = frozen, device
        if build is not None:
            self._frozen = frozenset()
            self.module = built_like(model, build)
        else:
            self.module = self._copied_module(model)
        state = self._state()
        # fp32 masters of half-precision tensors, by name; other tensors are their own master.
        half = (torch.float16, torch.bfloat16)
        self._fp32 = {name: t.float() for name, t in state.items() if t.dtype in half}
        # Copied, not averaged: what has no mean (counters, flags), and floating-point buffers that
        # hold an infinity, such as attention masks: −inf − (−inf) is not a number.
        buffers = dict(self.module.named_buffers())
        self._copied = {
            name
            for name, tensor in state.items()
            if not (tensor.is_floating_point() or tensor.is_complex())
            or (name in buffers and not torch.isfinite(local(tensor)).all())
        }

    def assign(self, model: nn.Module) -> None:
        """Θ_avg ← Θ."""
        self._copy(*self.follow(model))

    def assign_mean(self, models: Sequence[nn.Module]) -> None:
        """Θ_avg ← the mean of Θ_1 … Θ_N, in this order."""
        self.assign(models[0])
        for n, model in enumerate(models[1:], start=2):
            self.lerp(model, 1 / n)

    def lerp(self, model: nn.Module, weight: float) -> None:
        """Θ_avg ← Θ_avg + weight · (Θ − Θ_avg), in place."""
        masters, running = self.follow(model)
        averaged = [name for name in masters if name not in self._copied]
        starts = [local(masters[name]) for name in averaged]
        for own, new in brought(starts, [local(running[name]) for name in averaged]):
            torch._foreach_lerp_(own, new, weight)
        self._copy({name: masters[name] for name in self._copied}, running)

    def look_ahead(self, base: AveragedWeights, model: nn.Module, weight: float) -> None:
        """Θ_self ← Θ_base + weight · (Θ − Θ_base); `base` keeps its values, to the last bit."""
        (masters, running), (starts, _) = self.follow(model), base.follow(model)
        for name, master in masters.items():  # one pass over each; foreach has no out=
            if name not in self._copied:
                own = local(master)
                start = local(starts[name]).to(own, non_blocking=True)  # pinned, or already there
                torch.lerp(start, local(running[name]).to(own), weight, out=own)
        if base._device is not None:
            wait_for({master.device for master in masters.values()})
        self._copy({name: masters[name] for name in self._copied}, running)

    def take(self, other: AveragedWeights) -> None:
        """Θ_self ← Θ_other, to the last bit: masters, batch-norm statistics, counters."""
        self._copy(self.masters(), other.masters())

    def follow(self, model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Be where `model` is, unless there is a device of one's own, and share what is frozen.

        Returns:
            Masters and tensors of `model`, by name, of all that is not frozen.

        Raises:
            ValueError: `model` has other tensors than the one this was built from, or trains a
                parameter that is shared.
        """
        own, new = named_state(self.module), named_state(model)
        if [(name, t.shape) for name, t in own.items()] != [(n, t.shape) for n, t in new.items()]:
            raise ValueError(_difference(own, new))
        for name, mine in own.items():
            theirs = new[name]
            device = self._device or theirs.device
            if mine.device != device and mine is not theirs:
                mine.data = moved(mine.data, device)
                if name in self._fp32:
                    self._fp32[name] = moved(self._fp32[name], device)
            if name not in self._frozen:
                continue
            if theirs.requires_grad:
                raise ValueError(
                    f"{name!r} was frozen when this averager was built, so its storage is shared "
                    "and not averaged, but it is trained now; build the averager after unfreezing "
                    "it"
                )
            if mine is theirs or mine.device != theirs.device:
                continue
            if mine.data_ptr() != theirs.data_ptr():
                mine.data = theirs.data  # the storage, wherever the running model has it now
        kept = [name for name in own if name not in self._frozen]
        masters = {name: self._fp32.get(name, own[name].detach()) for name in kept}
        return masters, {name: new[name].detach() for name in kept}

    def state_dict(self) -> dict[str, Tensor]:
        """Name → tensor, copied, in the precision in which the average is kept; none is frozen."""
        return {name: tensor.clone() for name, tensor in self.masters().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, exactly.

        Raises:
            ValueError: names or shapes differ from this model's.
        """
        own = self.masters()
        for name in own.keys() ^ state.keys():
            where = "the saved weights" if name in own else "this model"
            raise ValueError(
                f"cannot restore the average: {where} has no {name!r} (frozen parameters are not "
                "saved: the same ones must be frozen now)"
            )
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"cannot restore the average: {name!r} has shape {tuple(state[name].shape)} "
                    f"in the saved weights, {tuple(tensor.shape)} in this model"
                )
        self._copy(own, state)

    def _copied_module(self, model: nn.Module) -> nn.Module:
        try:
            return copy.deepcopy(model, self._not_copied(model))
        except Exception as error:
            if not any(map(is_sharded, model.parameters())):
                raise
            raise ValueError(
                "a sharded model cannot be copied; give build=, a function that makes another one "
                "and shards it in the same way"
            ) from error

    def _not_copied(self, model: nn.Module) -> dict[int, object]:
        """What deepcopy need not make: shared parameters, and tensors for another device."""
        memo: dict[int, object] = {}
        for name, tensor in named_state(model).items():
            if name in self._frozen and type(tensor) is not nn.Parameter:
                memo[id(tensor)] = tensor  # quantised weights: a subclass, more than its storage
                continue
            there = moved(tensor.detach(), self._device or tensor.device)
            if name in self._frozen:
                memo[id(tensor)] = nn.Parameter(there, requires_grad=False)
            elif there.device != tensor.device:
                trained = isinstance(tensor, nn.Parameter)
                memo[id(tensor)] = nn.Parameter(there, tensor.requires_grad) if trained else there
        return memo

    def _state(self) -> dict[str, Tensor]:
        """Name → tensor that is shown, of all that is kept: all that is not frozen."""
        state = named_state(self.module)
        return {name: t.detach() for name, t in state.items() if name not in self._frozen}

    def masters(self) -> dict[str, Tensor]:
        """Name → tensor of all that is kept, in the precision in which it is kept."""
        return {**self._state(), **self._fp32}

    def _copy(self, own: dict[str, Tensor], new: dict[str, Tensor]) -> None:
        """Copy `new` into the masters `own`, and show all masters in the module."""
        copy_all([local(t) for t in own.values()], [local(new[name]) for name in own])
        if self._fp32:
            shown = self._state()
            halves = [local(shown[name]) for name in self._fp32]
            copy_all(halves, [local(t) for t in self._fp32.values()])


def built_like(model: nn.Module, build: Build) -> nn.Module:
    """What `build` makes, with storage of its own and the state and modes of `model`.

    Raises:
        ValueError: it has other tensors, or other shards, than `model`.
    """
    with undisturbed(model), torch.device("meta"):
        module = unwrapped(build())
    own, new = named_state(module), named_state(model)
    if [*own] != [*new] or any(_shape(own[name]) != _shape(new[name]) for name in own):
        raise ValueError(f"build= makes another model: {_difference(own, new)}")
    device = next(iter(new.values())).device if new else torch.device("cpu")
    module.to_empty(device=device)
    for name, tensor in named_state(module).items():
        local(tensor.detach()).copy_(local(new[name].detach()))
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    for name, p in module.named_parameters():
        p.requires_grad_(trained[name])
    return module.train(model.training)


def is_sharded(tensor: Tensor) -> bool:
    """Whether `tensor` is a DTensor."""
    if type(tensor) in (Tensor, nn.Parameter):  # nothing to ask a process group
        return False
    if not distributed.is_available() or not distributed.is_initialized():
        return False
    from torch.distributed.tensor import DTensor  # half a second, which others need not wait for

    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This rank's shard of a DTensor, sharing its storage; any other tensor itself."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(local(tensor).shape)


def _difference(own: dict[str, Tensor], new: dict[str, Tensor]) -> str:
    """Which tensor makes a model another model than the one that an average was built from."""
    for name in [*new, *own]:
        now, then = (tuple(s[name].shape) if name in s else "absent" for s in (new, own))
        if now != then:
            return (
                f"the model differs from the one this averager was built with, at {name!r}: "
                f"{now} now, {then} then; build a new averager for a new model"
            )
    return "the model has the tensors of the one this averager was built with in another order"
