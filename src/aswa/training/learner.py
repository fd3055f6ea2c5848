"""One model that learns: update rule and its rate, precision, random numbers of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from aswa import distributed
from aswa.averaging.seeded import seeded
from aswa.config import BaseOptimizerConfig, RunConfig
from aswa.tasks.task import Stage, Task
from aswa.training.rates import rates


class Learner:
    """A model and its optimizer, from batch to batch.

    Everything random follows from (seed, number, epoch) and from the state of torch's global
    generators, which dropout draws from; the state is saved, so an epoch can be resumed after any
    batch. Where a population has a common start, every learner is number 0 until its end.

    Args:
        number: of the learner. Number 0 draws what it would draw alone.

    Attributes:
        batches: trained so far of the unfinished epoch.
        rates: of learning.
        generators: states of the global generators while another learner is at work.
    """

    def __init__(self, config: RunConfig, task: Task, number: int = 0) -> None:
        self._config, self._task, self.number = config, task, number
        self._common = config.population.common_epochs
        shared = config.population.shared_init or self._common > 0
        first = self._stream("initial weights", shared)
        self.model = task.build_model(first)
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(
            config.base_optimizer, self.model, config.lr, task.sparse_gradient
        )
        self.rates, self._clip = rates(config, task), config.base_optimizer.clip
        # fp16 gradients are scaled, so that small ones do not vanish; otherwise this does nothing.
        fp16 = config.precision == "fp16"
        self.scaler = torch.amp.GradScaler(task.device.type, enabled=fp16)
        self.generators = global_generators(task.device)
        self.forget()

    def forget(self) -> None:
        """The next epoch has not begun."""
        self.batches, self._n_examples = 0, 0
        self._total = torch.zeros((), device=self._task.device)  # of losses over examples

    def begin(self, epoch: int) -> None:
        """Prepare for the batches of `epoch` (from 0) that are not yet trained."""
        self._epoch = epoch
        self._set_rate()
        self.model.train()
        stream = self._stream(f"epoch {epoch}", shared=epoch < self._common)
        seed = int(torch.randint(2**62, (), generator=stream))
        if self.batches == 0:
            # Not `torch.manual_seed`, which asks every kind of device: 0.2 ms an epoch.
            torch.default_generator.manual_seed(seed + distributed.shard_number())
            if self._task.device.type == "cuda":
                torch.cuda.manual_seed_all(seed + distributed.shard_number())
        self._losses = self._task.losses(self.model, stream, self.batches, *self._stage(epoch))

    def _stage(self, epoch: int) -> list[Stage]:
        """For a task that declares recipes; members take theirs in turn, one model by epochs."""
        config = self._config
        if config.kind.tasks[config.task.name].recipe is None:
            return []
        recipes = config.population.recipes or [{}]
        alone = config.population.members == 1 or epoch < self._common
        place = epoch if alone else self.number
        return [Stage(recipes[place % len(recipes)], epoch / config.epochs)]

    def step(self) -> bool:
        """Train on one batch; false when the epoch has no more."""
        with autocast(self._task.device, self._config.precision):
            batch = next(self._losses, None)
        if batch is None:
            return False
        loss, n = batch
        if self.rates.steps is not None:
            self._set_rate()
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        if self._clip is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self._trained, self._clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._total += loss.detach() * n
        self._n_examples += n
        self.batches += 1
        return True

    def _set_rate(self) -> None:
        rate = self.rates.at(self._epoch, self.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @property
    def loss(self) -> float:
        """Mean training loss of the epoch so far, over all shards."""
        return float(self._total_per_process()) / self._n_examples

    def state_dict(self) -> dict[str, Any]:
        """The whole state. Under torchrun all processes call it together and get the same."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generators": distributed.gather_shards(self.generators),
            "total": self._total_per_process(),
            "n_examples": self._n_examples,
            "batches": self.batches,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly from where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        last = len(state["generators"]) - 1  # there may be more processes now
        self.generators = state["generators"][min(distributed.shard_number(), last)]
        self._total, self._n_examples = state["total"], state["n_examples"]
        self.batches = state["batches"]

    def _total_per_process(self) -> Tensor:
        return distributed.all_reduce_sum(self._total.clone()) / distributed.shards()

    def _stream(self, purpose: str, shared: bool = False) -> torch.Generator:
        """Random numbers that depend on seed, learner (if not shared) and purpose alone."""
        member = "" if shared or not self.number else f"member {self.number} "
        return seeded(f"{self._config.seed} {member}{purpose}")


def global_generators(device: torch.device) -> list[Tensor]:
    """States of the generators that dropout draws from."""
    gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *gpu]


def set_global_generators(device: torch.device, states: list[Tensor]) -> None:
    """Let dropout go on with the numbers that were next when `global_generators` was called."""
    torch.set_rng_state(states[0].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1].cpu(), device)


def build_optimizer(
    config: BaseOptimizerConfig, model: nn.Module, lr: float, sparse_gradient: bool
) -> torch.optim.Optimizer:
    """AdamW, Adam, SGD or Adagrad over the model's trainable parameters, fused where torch has it.

    AdamW decays matrices alone, not the scales and shifts of norms.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    decay = config.weight_decay
    if config.name == "adamw":
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": decay},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        first, second = config.betas or (0.9, 0.999)
        kept = [group for group in groups if group["params"]]
        return torch.optim.AdamW(kept, lr, betas=(first, second), fused=True)
    if config.name == "adam":
        return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=True)
    if config.name == "adagrad":
        return torch.optim.Adagrad(parameters, lr, weight_decay=decay)
    fused = None if sparse_gradient else True
    return torch.optim.SGD(parameters, lr, config.momentum, weight_decay=decay, fused=fused)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """bf16 or fp16 for what torch computes in half precision; nothing for fp32 and tf32."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return contextlib.nullcontext() if half is None else torch.autocast(device.type, half)


@contextlib.contextmanager
def tf32(on: bool) -> Iterator[None]:
    """fp32 products and convolutions by TF32 units, where a GPU has them; scores stay fp32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on  # torch's default is true
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = False
