"""Where the members of a population are: all in this process, or one in each of several."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn

from aswa.averaging.weights import named_state, unwrapped


class Carrier:
    """All members are in this process; what one has, all can read.

    `own` stands for the members that this process trains, in the order of their numbers.
    """

    def size(self, own: Sequence[object]) -> int:
        """N, the number of members."""
        return len(own)

    def numbers(self, own: Sequence[object]) -> Sequence[int]:
        """The numbers of the own members."""
        return range(len(own))

    def gather(self, own: Sequence[Tensor]) -> Sequence[Tensor]:
        """A flat tensor of each own member → that of every member, in order. May be no copies."""
        return own

    def permute(self, own: Sequence[Tensor], order: Tensor) -> Sequence[Tensor]:
        """Values [k] of each own member → values [k] from the members of `order`, int64 [N, k].

        Value i of member n comes from member order[n, i]; each column is a permutation.
        """
        return torch.stack(list(own)).gather(0, order).unbind()

    def modules(self, own: Sequence[nn.Module]) -> Sequence[nn.Module]:
        """Every member as a module: the own ones themselves, copies of the others."""
        return own


class Processes(Carrier):
    """Process r of the default process group has member r.

    Every process calls the same operators with the same seeds, so only values travel, no indices.
    `gather` sends a member's numbers to all others; `permute` sends each number to one.

    Raises:
        RuntimeError: there is no process group.
    """

    def __init__(self) -> None:
        if not distributed.is_initialized():
            raise RuntimeError(
                "members in several processes need torch.distributed.init_process_group first, "
                "which torchrun prepares"
            )
        self._n, self._rank = distributed.get_world_size(), distributed.get_rank()
        self._others: dict[int, nn.Module] = {}  # copies of their members

    def size(self, own: Sequence[object]) -> int:
        return self._n

    def numbers(self, own: Sequence[object]) -> Sequence[int]:
        if len(own) != 1:
            raise ValueError(f"a process has one member of a population, not {len(own)}")
        return (self._rank,)

    def gather(self, own: Sequence[Tensor]) -> Sequence[Tensor]:
        (mine,) = own
        found = [torch.empty_like(mine) for _ in range(self._n)]
        distributed.all_gather(found, mine.contiguous())
        return found

    def permute(self, own: Sequence[Tensor], order: Tensor) -> Sequence[Tensor]:
        (mine,) = own
        to = [(order[member] == self._rank).nonzero()[:, 0] for member in range(self._n)]
        source = [(order[self._rank] == member).nonzero()[:, 0] for member in range(self._n)]
        found = torch.empty_like(mine)
        arrived = [mine.new_empty(len(places)) for places in source]
        waiting = []
        for member in range(self._n):
            if member == self._rank:
                arrived[member] = mine[to[member]]
                continue
            if len(to[member]):
                waiting.append(distributed.P2POp(distributed.isend, mine[to[member]], member))
            if len(source[member]):
                waiting.append(distributed.P2POp(distributed.irecv, arrived[member], member))
        for work in distributed.batch_isend_irecv(waiting) if waiting else ():
            work.wait()
        for places, values in zip(source, arrived, strict=True):
            found[places] = values
        return [found]

    def modules(self, own: Sequence[nn.Module]) -> Sequence[nn.Module]:
        (mine,) = own
        if not self._others:
            numbers = (n for n in range(self._n) if n != self._rank)
            self._others = {n: copy.deepcopy(unwrapped(mine)) for n in numbers}
        states = {n: named_state(member) for n, member in self._others.items()}
        for name, tensor in named_state(unwrapped(mine)).items():
            gathered = self.gather([flat(tensor)])
            for n, state in states.items():
                flat(state[name]).copy_(gathered[n])
        for member in self._others.values():
            member.train(mine.training)
        return [self._others.get(n, mine) for n in range(self._n)]


def flat(tensor: Tensor) -> Tensor:
    """A view [numel] of a dense tensor in the order of its memory (channels last, say).

    Raises:
        ValueError: a view with gaps or with the same memory twice, which has no such order.
    """
    if not tensor.is_contiguous() and not _dense(tensor):
        raise ValueError(
            f"members of a population need weights and buffers with memory of their own; one of "
            f"shape {list(tensor.shape)} has strides {list(tensor.stride())}: clone it when the "
            "model is built"
        )
    return tensor.detach().as_strided((tensor.numel(),), (1,))


def _dense(tensor: Tensor) -> bool:
    """Whether strides, from the smallest, leave no gap and no overlap."""
    expected = 1
    strides = zip(tensor.stride(), tensor.shape, strict=True)
    for stride, size in sorted((stride, size) for stride, size in strides if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True
