"""Weights brought to where an average is: group by group, pinned and ahead of the work.

An average on the CPU of a model on a GPU takes one copy over the bus a step. Copies into pinned
memory are asynchronous, so that of the next group runs while the caller averages this one. At most
two groups are in flight, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

GROUP_BYTES = 1 << 22  # large enough for a bus, small beside a model
Pair = tuple[Tensor, Tensor]


def brought(
    starts: Sequence[Tensor], ends: Sequence[Tensor]
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Groups of `starts` with their `ends`, these on the devices and in the dtypes of the starts.

    Where nothing has to be converted there is one group, and nothing is copied.

    Args:
        starts: masters of an average.
        ends: tensors of a running model, one for each, of equal shapes.
    """
    pairs = list(zip(starts, ends, strict=True))
    if all(start.dtype == end.dtype and start.device == end.device for start, end in pairs):
        if pairs:  # torch refuses empty lists
            yield list(starts), list(ends)
        return
    coming = (_begin(group) for group in groups(pairs))
    now = next(coming, None)
    while now is not None:
        following = next(coming, None)  # its copies run while this group is averaged
        group, copies, events = now
        for event in events:
            event.synchronize()
        own = [start for start, _ in group]
        yield own, [copy.to(start) for start, copy in zip(own, copies, strict=True)]
        now = following


def copy_all(own: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    """Copy `new` into `own`; copies from GPUs into pinned memory are waited for once, together."""
    if not own:  # torch refuses empty lists
        return
    to_cpu = all(tensor.device.type == "cpu" for tensor in own)
    torch._foreach_copy_(list(own), list(new), non_blocking=to_cpu)
    if to_cpu:
        wait_for({tensor.device for tensor in new})


def wait_for(devices: set[torch.device]) -> None:
    """Return when the copies that were begun on these devices have ended."""
    for device in devices:
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()


def groups(pairs: Sequence[Pair], limit: int = GROUP_BYTES) -> Iterator[list[Pair]]:
    """Neighbours, of `limit` bytes at most, or of one pair."""
    group: list[Pair] = []
    size = 0
    for pair in pairs:
        more = max(tensor.nbytes for tensor in pair)
        if group and size + more > limit:
            yield group
            group, size = [], 0
        group.append(pair)
        size += more
    if group:
        yield group


def _begin(group: list[Pair]) -> tuple[list[Pair], list[Tensor], list[torch.cuda.Event]]:
    """Start the copies of a group from GPUs to the CPU, and mark their ends."""
    copies, gpus = [], set()
    for start, end in group:
        if end.is_cuda and start.device.type == "cpu":
            gpus.add(end.device)
            pinned = torch.empty_like(end, device="cpu", pin_memory=True)
            copies.append(pinned.copy_(end, non_blocking=True))
        else:
            copies.append(end)
    events = [torch.cuda.current_stream(gpu).record_event() for gpu in gpus]
    return group, copies, events


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; what comes from a GPU to the CPU is in pinned memory."""
    if not tensor.is_cuda or device.type != "cpu":
        return tensor.to(device)
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor)
