"""One run on several processes started by torchrun: who I am, and sums over all of us.

Every process takes its part of each batch, and gradients, batch-norm statistics and validation
scores are summed over all. So all processes hold the same weights, and every averager comes to the
same decision in each: there is nothing to broadcast, and nothing that could fall apart.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
from torch import Tensor, nn


def world_size() -> int:
    """Processes that work on this run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0. Number 0 alone writes files and speaks."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def local_rank() -> int:
    """Number of this process on its machine: of the GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world_size() > 1 else 0


def join(device: torch.device) -> None:
    """Meet the other processes, by NCCL for GPUs and Gloo for CPUs; once in a process."""
    if world_size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)


def share(value: Any) -> Any:
    """What process 0 gives here, in every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def sum_over(tensor: Tensor) -> Tensor:
    """The sum of everyone's tensor, in place, the same bits in every process."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def largest(number: int, device: torch.device) -> int:
    """The largest of everyone's numbers; the processes wait for each other."""
    box = torch.tensor(number, device=device)
    if world_size() > 1:
        dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def gather(value: Any) -> list[Any]:
    """Everyone's value, in the order of the ranks, in every process."""
    if world_size() == 1:
        return [value]
    box = [None] * world_size()
    dist.all_gather_object(box, value)
    return box


def my_part(tensor: Tensor) -> Tensor:
    """Every `world_size`-th row [ceil(B / world_size)] of a batch [B], starting at my rank."""
    return tensor[rank() :: world_size()]


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Batch-norm layers whose statistics in training are those of the whole batch.

    The layers keep their names and weights. torch has such a layer for GPUs only.
    """
    if world_size() == 1:
        return model
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = WholeBatchNorm
    return model


class WholeBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` over the batches of all processes together, by two sums over them."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W], of the same C, H, W in every process → the same shape."""
        if not self.training:
            return super().forward(input)
        dims = (0, 2, 3)
        count = input.new_tensor([input.numel() / input.shape[1]])
        n = sum_over(count)
        mean = dist_nn.all_reduce(input.sum(dims)) / n
        centred = input - mean[:, None, None]
        variance = dist_nn.all_reduce(centred.square().sum(dims)) / n
        self._track(mean.detach(), (variance * n / (n - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Running statistics, as torch keeps them; `momentum=None` is the cumulative mean."""
        if self.num_batches_tracked is None or self.running_mean is None:
            return
        self.num_batches_tracked.add_(1)
        seen = float(self.num_batches_tracked)
        weight = 1 / seen if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        assert self.running_var is not None
        self.running_var.lerp_(variance, weight)
