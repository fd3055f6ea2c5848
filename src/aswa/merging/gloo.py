"""The carrier between processes of torchrun: process r of W holds the parts r, r + W, …

Imports torch, and is imported by those alone who ask for this carrier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.distributed as dist

from aswa.merging.exchange import Ledger, Message, count


class Gloo:
    """Messages as objects of `torch.distributed`; process 0 is the master.

    Args:
        parts: P.

    Raises:
        RuntimeError: there is no process group; `torch.distributed.init_process_group` makes one.
    """

    def __init__(self, parts: int) -> None:
        if not dist.is_initialized():
            raise RuntimeError(
                "no process group: start under torchrun, and call init_process_group('gloo')"
            )
        self._parts, self._rank, self._world = parts, dist.get_rank(), dist.get_world_size()
        self.mine: Sequence[int] = range(self._rank, parts, self._world)
        self.master = self._rank == 0

    def gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        box: list[Any] | None = [None] * self._world if self.master else None
        dist.gather_object({part: sent[part] for part in self.mine}, box)
        if box is None:
            return []
        found = {part: message for some in box for part, message in some.items()}
        messages = [found[part] for part in range(self._parts)]
        count(ledger, round, what, True, messages)
        return messages

    def broadcast(self, ledger: Ledger, round: int, what: str, sent: Message | None) -> Message:
        found: Message = self.deliver(sent)
        count(ledger, round, what, False, [found], self._parts)
        return found

    def all_gather(
        self, ledger: Ledger, round: int, what: str, sent: Mapping[int, Message]
    ) -> list[Message]:
        found: list[Message] = self.deliver(self.gather(ledger, round, what, sent))
        count(ledger, round, what, False, found, self._parts)
        return found

    def deliver(self, value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def share(self, value: Any) -> list[Any]:
        box: list[Any] = [None] * self._world
        dist.all_gather_object(box, value)
        return box
