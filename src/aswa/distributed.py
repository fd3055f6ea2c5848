"""One run on several processes, started by torchrun: ranks, collectives, synchronised batch-norm.

Of a run with one model every process takes its shard of each batch; gradients, batch-norm
statistics and validation scores are summed over all. So all processes hold the same weights, and
every averager decides alike in each. Of a population every process trains one member on whole
batches: then there is one shard.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def world_size() -> int:
    """Number of processes of this run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0. Process 0 alone writes files and prints."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


_of_members = False  # each process trains a member of its own


def train_members_apart(apart: bool) -> None:
    """Whether each process trains a member of a population, instead of a shard of each batch."""
    global _of_members
    _of_members = apart and world_size() > 1


def members_apart() -> bool:
    """Whether each process trains a member of a population."""
    return _of_members


def shards() -> int:
    """Number of processes that share each batch."""
    return 1 if _of_members else world_size()


def shard_number() -> int:
    """Of this process, from 0."""
    return 0 if _of_members else rank()


def local_rank() -> int:
    """Number of this process on its machine, and of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world_size() > 1 else 0


def join(device: torch.device) -> None:
    """Join the process group, NCCL on GPUs and Gloo on CPUs; once in a process."""
    if world_size() > 1 and not dist.is_initialized():
        if device.type == "cuda":  # objects are gathered on the current device
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)


def broadcast_object(value: Any) -> Any:
    """The value of process 0, in every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over the shards, in place, the same bits in every process."""
    if shards() > 1:
        dist.all_reduce(tensor)
    return tensor


def all_reduce_max(number: int, device: torch.device) -> int:
    """The largest number of all processes, which wait for each other."""
    box = torch.tensor(number, device=device)
    if world_size() > 1:
        dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def gather_shards(value: Any) -> list[Any]:
    """The values of the processes that share a batch, in order, in every process."""
    return _gathered(value) if shards() > 1 else [value]


def gather_members(values: list[Any]) -> list[Any]:
    """What each process has of its members, in their order, in every process."""
    return [one for own in _gathered(values) for one in own] if _of_members else values


def _gathered(value: Any) -> list[Any]:
    box = [None] * world_size()
    dist.all_gather_object(box, value)
    return box


def shard(tensor: Tensor) -> Tensor:
    """Rows r, r + n, … [ceil((B - r) / n)] of a batch [B] for shard r of n."""
    return tensor[shard_number() :: shards()]


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` with batch-norm layers whose statistics in training are those of the whole batch.

    The layers keep their names and weights.

    Raises:
        ValueError: several processes on CPUs, for which torch has no such layer; says what to do.
    """
    if shards() == 1 or not any(isinstance(m, _BatchNorm) for m in model.modules()):
        return model
    if device.type != "cuda":
        raise ValueError(
            "torchrun with batch-norm needs GPUs: torch synchronises batch-norm on CUDA alone; run "
            "one process on a CPU, or take a model without batch-norm, such as model=vgg16"
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
