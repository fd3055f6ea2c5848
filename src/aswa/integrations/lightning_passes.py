"""Passes over a Lightning module's own data that leave no trace in its training run.

Lightning has no public call that runs a validation loop inside `fit`. `validate` runs a second
object of Lightning's own evaluation loop, so that every hook and metric of the module works as it
does in training: `on_validation_epoch_end`, torchmetrics, several loaders, precision, DDP. For the
time of the pass the trainer has no callbacks, dummy loggers and metrics of its own, so no
checkpoint, early stopping or progress bar takes the metrics of an average for those of the running
model. The names with an underscore are those of Lightning 2.6.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.trainer.connectors.logger_connector import _LoggerConnector
from lightning.pytorch.trainer.states import RunningStage, TrainerFn
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.seed import isolate_rng
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from aswa.averaging.undisturbed import undisturbed
from aswa.averaging.weights import named_state


def validate(trainer: Trainer, weights: nn.Module) -> dict[str, float]:
    """Metrics of one pass of the module's validation loop, with the values of `weights` in it.

    Returns:
        Every epoch metric by name, the mean over ranks.
    """
    model, fit = trainer.lightning_module, trainer.fit_loop
    usual, validating = fit.epoch_loop.val_loop, RunningStage.VALIDATING
    loop = _EvaluationLoop(
        trainer, TrainerFn.FITTING, validating, verbose=False, inference_mode=False
    )
    quiet: list[tuple[object, str, Any]] = [
        (trainer, "callbacks", []),
        (trainer, "loggers", [DummyLogger() for _ in trainer.loggers]),
        (trainer, "_logger_connector", _LoggerConnector(trainer)),
        (trainer.state, "stage", validating),
        (fit.epoch_loop, "val_loop", loop),
        # The clock of validations by time, and the epoch that samplers are told.
        (trainer, "_last_val_time", getattr(trainer, "_last_val_time", 0.0)),
        (fit.epoch_progress.current, "processed", trainer.current_epoch),
    ]
    with isolate_rng(include_cuda=False), undisturbed(model):
        if usual._combined_loader is None:  # Lightning has not validated yet
            with replaced((trainer.state, "stage", validating)):
                usual.setup_data()
        loop._combined_loader = own_workers(usual._combined_loader)
        loop._max_batches = usual._max_batches
        loop._last_val_dl_reload_epoch = trainer.current_epoch
        with generators_kept(loop._combined_loader), replaced(*quiet), holding(model, weights):
            loop.run()
            loop.teardown()
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return mean_over_ranks(metrics)


def mean_over_ranks(metrics: dict[str, float]) -> dict[str, float]:
    """The mean over ranks of every metric that all ranks have: the same numbers on every rank."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return metrics
    ranks: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(ranks, metrics)
    common = sorted(set(metrics).intersection(*ranks))
    return {name: sum(each[name] for each in ranks) / len(ranks) for name in common}


@contextmanager
def holding(model: nn.Module, weights: nn.Module) -> Iterator[None]:
    """The values of `weights` in the tensors of `model`, where DDP and compiled code look for them.

    Afterwards `model` has its own values again, to the last bit. Shared tensors are left alone.
    """
    own, new = named_state(model), named_state(weights)
    names = [name for name in own if own[name].data_ptr() != new[name].data_ptr()]
    before = {name: own[name].detach().clone() for name in names}
    try:
        for name in names:
            own[name].detach().copy_(new[name].detach())
        yield
    finally:
        now = named_state(model)  # a step may have assigned a buffer anew
        for name in names:
            now[name].detach().copy_(before[name])


@contextmanager
def replaced(*changes: tuple[object, str, Any]) -> Iterator[None]:
    """Other values for (owner, attribute, value), then the old ones."""
    before = [(owner, name, getattr(owner, name, None)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


def own_workers(loaders: CombinedLoader) -> CombinedLoader:
    """The same loaders with workers of their own: those that persist keep their random state."""
    own = copy.copy(loaders)
    own.flattened = [copy.copy(each) for each in loaders.flattened]
    for each in own.flattened:
        if isinstance(each, DataLoader):
            each._iterator = None
    return own


@contextmanager
def generators_kept(loaders: CombinedLoader) -> Iterator[None]:
    """Put back every random state from which the loaders draw."""
    with ExitStack() as stack:
        stack.enter_context(isolate_rng(include_cuda=False))
        for each in loaders.flattened:
            stack.enter_context(undisturbed(nn.Module(), each))
        yield


class TrainingPasses:
    """The training batches of a run, and its own `training_step` as the forward pass over them.

    Batch-norm layers thus see what they see in training, whatever a batch is. The step is that of a
    copy of the module without a trainer: what it logs is dropped, its metrics are not the run's.
    Statistics are the mean over all ranks.

    Args:
        trainer: the run; read when a pass begins.
        limit: number of batches of a pass; None: the whole epoch.
    """

    def __init__(self, trainer: Trainer, limit: int | None = None) -> None:
        self._trainer, self._limit = trainer, limit
        self._module: nn.Module | None = None
        self._batch_idx = 0

    def __iter__(self) -> Iterator[Any]:
        loaders = own_workers(self._trainer.fit_loop._combined_loader)
        with generators_kept(loaders):
            for batch, batch_idx, _ in itertools.islice(loaders, self._limit):
                self._batch_idx = batch_idx
                yield batch
            loaders.reset()
        if self._module is not None:
            _average_statistics(self._module)
            self._module = None

    def forward(self, module: LightningModule, batch: Any) -> None:
        """One `training_step` of `module`, without gradients."""
        self._module, trainer = module, self._trainer
        batch = trainer.precision_plugin.convert_input(batch)
        batch = trainer.lightning_module._on_before_batch_transfer(batch)
        batch = trainer.strategy.batch_to_device(batch, next(module.parameters()).device)
        step = module.training_step
        arguments = [batch, self._batch_idx]
        if not is_param_in_hook_signature(step, "batch_idx", min_args=2):
            del arguments[1]
        with trainer.precision_plugin.train_step_context(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*`self.trainer` reference is not registered.*")
            try:
                step(*arguments)
            except Exception as error:
                error.add_note(
                    "in a pass for batch-norm statistics, in which the module has no trainer; give "
                    "AveragingCallback forward=, a function (module, batch) that does without"
                )
                raise


def _average_statistics(module: nn.Module) -> None:
    """Mean over ranks of batch-norm statistics: those of the batches of all ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    for layer in module.modules():
        if isinstance(layer, _BatchNorm) and layer.track_running_stats:
            for statistic in (layer.running_mean, layer.running_var):
                assert isinstance(statistic, torch.Tensor)
                distributed.all_reduce(statistic)
                statistic /= distributed.get_world_size()


def averaged_state_dict(
    module: nn.Module, weights: dict[str, Any], raw: dict[str, Any]
) -> dict[str, Any]:
    """State dict of the average: `weights` under every name that shares them, the rest as `raw`."""
    names = {id(tensor): name for name, tensor in named_state(module).items()}
    state = module.state_dict(keep_vars=True)
    return {
        key: weights.get(names.get(id(value), ""), raw.get(key)) for key, value in state.items()
    }
