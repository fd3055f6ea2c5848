"""The methods of `aswa.averaging` as a callback of Lightning 2.6 or newer.

    averaging = AveragingCallback(ASWA, monitor="val_loss", mode="min")
    trainer = Trainer(callbacks=[averaging], max_epochs=100)
    trainer.fit(model, datamodule=data)
    trainer.test(averaging.module, datamodule=data)

`module` is the average: an ordinary LightningModule.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from torch import nn

from aswa.averaging import Averager, Decision, has_batch_norm
from aswa.averaging.averager import check_turns, has_turn
from aswa.averaging.scored import Scored
from aswa.integrations.lightning_passes import (
    TrainingPasses,
    averaged_state_dict,
    mean_over_ranks,
    validate,
)

Build = Callable[..., Averager]
"""An averager class, or a function from the module to an averager."""

AVERAGED = "averaged_state_dict"  # in checkpoints: label → state dict of the average
DECISION_CODE = {Decision.REJECT: 0.0, Decision.SOFT: 1.0, Decision.HARD: 2.0}  # as logged


class AveragingCallback(Callback):
    """Averagers that ride on a Lightning run, which is bit-identical to the run without them.

    `step` is called after each optimizer step and `update` at the end of training epochs. The
    running model's score is that of Lightning's own validation; an epoch in which Lightning has not
    validated the final weights costs one more pass. Averages are scored by the module's own
    validation loop, unseen by loggers and other callbacks, and never before there is one. Scores
    are means over ranks, so all ranks decide alike.

    Logged at the end of an epoch, beside the untouched metrics of the running model: every
    validation metric of the average as `<metric>_<label>`, and of a method that decides
    `<monitor>_<label>_look_ahead` (v̂), `<label>_members` and `<label>_decision` (0 reject, 1 soft,
    2 hard), for other callbacks to monitor. A label is the averager's class in snake case or a key.

    A checkpoint has the running model in "state_dict", as without the callback, and averages in
    "averaged_state_dict" by label, as `model.load_state_dict` takes them.

    Args:
        averagers: a class such as ASWA, a function from module to averager, or several by label.
        monitor: validation metric that decides; None: nothing is scored (SWA, EMA).
        mode: whether a lower ("min") or a higher ("max") monitor is better.
        start: epochs before the first update.
        every: epochs from one update to the next; EMA averages every optimizer step all the same.
        train_batches: training batches from which batch-norm statistics of averages are recomputed
            before each score; None: the whole epoch.
        options: keywords of the averager class, such as `decay=` of EMA. `batches=` and `forward=`
            take the place of the module's training batches and `training_step`.
    """

    def __init__(
        self,
        averagers: Build | Mapping[str, Build],
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        *,
        start: int = 0,
        every: int = 1,
        train_batches: int | None = None,
        **options: Any,
    ) -> None:
        check_turns(type(self).__name__, start, every)
        if monitor is not None and mode not in ("min", "max"):
            raise ValueError(f"give mode='min' or mode='max' for {monitor!r}, not {mode!r}")
        self._one = not isinstance(averagers, Mapping)
        several = averagers if isinstance(averagers, Mapping) else {_label(averagers): averagers}
        self._builds = dict(several)
        self.monitor, self.mode, self.start, self.every = monitor, mode, start, every
        self._train_batches, self._options = train_batches, options
        self._loaded: dict[str, Any] | None = None
        self._before: dict[str, Any] = {}  # metrics before a validation
        self._forget()

    def _forget(self) -> None:
        self.averagers: dict[str, Averager] = {}
        self._scored: dict[str, tuple[int, dict[str, float]]] = {}  # by label: version, metrics
        self._validated: tuple[int, dict[str, float]] = (-1, {})  # optimizer steps, metrics of Θ
        self._stepped = self._updated = 0  # optimizer steps at the last step and update

    @property
    def averager(self) -> Averager:
        """The averager, where there is one."""
        if len(self.averagers) != 1:
            raise RuntimeError(f"one averager, when fit has begun; not {[*self.averagers]}")
        return next(iter(self.averagers.values()))

    @property
    def module(self) -> LightningModule:
        """The averaged LightningModule, where there is one averager; see `modules`."""
        return self._offered(self.averager)

    @property
    def modules(self) -> dict[str, LightningModule]:
        """Label → averaged LightningModule, with batch-norm statistics of its own weights."""
        return {label: self._offered(each) for label, each in self.averagers.items()}

    @property
    def state_key(self) -> str:
        """Differs between callbacks with other labels, so one trainer takes several."""
        return self._generate_state_key(averagers=sorted(self._builds), monitor=self.monitor)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot be averaged."""
        sharded = (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy)
        if stage == "fit" and isinstance(trainer.strategy, sharded):
            raise ValueError(
                "AveragingCallback copies the whole model on every rank, and cannot average shards "
                f"of {type(trainer.strategy).__name__}; use strategy='ddp', or FSDP2 in a loop of "
                "your own with the build= of aswa.averaging"
            )

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the state for `on_fit_start`: the module is not yet where it is trained."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._forget()
            self._loaded = checkpoint["callbacks"].get(self.state_key)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Build the averagers, from the checkpoint if there is one; a run that goes on has them."""
        if self.monitor is not None and not trainer.enable_validation:
            raise ValueError(f"no validation loop measures {self.monitor!r}; give monitor=None")
        if self.averagers and self._loaded is None and trainer.current_epoch > 0:
            return
        self._forget()
        passes = TrainingPasses(trainer, self._train_batches)
        for label, build in self._builds.items():
            averager = self._build(build, pl_module, passes)
            self.averagers[_label(type(averager)) if self._one else label] = averager
        self._stepping = [a for a in self.averagers.values() if type(a).step is not Averager.step]
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            for label, averager in self.averagers.items():
                averager.load_state_dict(loaded["averagers"][label])
            self._scored, self._validated = loaded["scored"], loaded["validated"]
            self._stepped, self._updated = loaded["stepped"], loaded["updated"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Step the averagers that do something then, where the optimizer has made a step."""
        if self._stepping and trainer.global_step != self._stepped:
            self._stepped = trainer.global_step
            for averager in self._stepping:
                averager.step(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the metrics there are, to tell those of this validation from them."""
        if self.monitor is not None:  # asking for them takes longer than an update of SWA
            self._before = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the running model's metrics for the update."""
        if self.monitor is None or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        now, before = trainer.callback_metrics, self._before
        new = {name: float(value) for name, value in now.items() if before.get(name) is not value}
        self._validated = (trainer.global_step, mean_over_ranks(new))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update the averagers and log, before checkpoints are written and stops decided on."""
        # A resumed run may come here again for an epoch whose update is in the checkpoint.
        done = trainer.global_step == self._updated
        if done or not has_turn(trainer.current_epoch, self.start, self.every):
            return
        for label, averager in self.averagers.items():
            self._update(trainer, label, averager)
            self._log(pl_module, label, averager)
        self._updated = trainer.global_step
        if all(averager.should_stop for averager in self.averagers.values()):
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs; nothing before there are averagers."""
        if not self.averagers:
            return {}
        return {
            "averagers": {label: each.state_dict() for label, each in self.averagers.items()},
            "scored": dict(self._scored),
            "validated": self._validated,
            "stepped": self._stepped,
            "updated": self._updated,
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the averages as state dicts of the module; their tensors are stored once."""
        averaged = {label: each for label, each in self.averagers.items() if each.n_averaged}
        # After an error on one rank the others do not take part in passes.
        if has_batch_norm(pl_module) and trainer.state.status != TrainerStatus.INTERRUPTED:
            for averager in averaged.values():
                averager.members()
            checkpoint["callbacks"][self.state_key] = self.state_dict()
        raw, entry = checkpoint["state_dict"], checkpoint.setdefault(AVERAGED, {})
        for label, averager in averaged.items():
            weights = checkpoint["callbacks"][self.state_key]["averagers"][label]["weights"]
            entry[label] = averaged_state_dict(averager.module, weights, raw)

    def _build(self, build: Build, model: LightningModule, passes: TrainingPasses) -> Averager:
        """An averager of `model`: classes are given the options, functions have their own."""
        options, made = dict(self._options), build
        if isinstance(build, functools.partial):
            options, made = build.keywords | options, build.func
        if isinstance(made, type):
            if has_batch_norm(model) and "forward" not in options:
                if not model.automatic_optimization:
                    raise ValueError(
                        "training_step of a module with manual optimization moves its weights; "
                        "give forward=, a function (module, batch) for batch-norm statistics"
                    )
                options["forward"] = passes.forward
            options.setdefault("batches", passes)
        averager = build(model, **options)
        if isinstance(averager, Scored):
            if self.monitor is None or self.mode is None:
                raise ValueError(f"{type(averager).__name__} decides by a score; give monitor=")
            averager.mode = self.mode
        return averager

    def _update(self, trainer: Trainer, label: str, averager: Averager) -> None:
        """`averager.update`, and the metrics of what it offers now."""
        model = trainer.lightning_module
        measured: list[dict[str, float]] = []

        def evaluate(module: nn.Module) -> float:
            measured.append(self._measure(trainer, module))
            return measured[-1][str(self.monitor)]

        averager.update(model, evaluate)
        version, _ = self._scored.get(label, (0, {}))
        if averager.n_averaged == 0 or averager.version == version:
            return
        offered = self._offered(averager)
        if self.monitor is not None:
            # Of the weights that the update measured, the latest with the offered score.
            of_score = [m for m in measured if m[self.monitor] == averager.score]
            metrics = of_score[-1] if of_score else self._measure(trainer, offered)
            self._scored[label] = (averager.version, metrics)

    def _measure(self, trainer: Trainer, module: nn.Module) -> dict[str, float]:
        """Validation metrics: for the running model those that Lightning has just measured."""
        step, metrics = self._validated
        if module is not trainer.lightning_module:
            metrics = validate(trainer, module)
        elif step != trainer.global_step:
            metrics = validate(trainer, module)
            self._validated = (trainer.global_step, metrics)
        if self.monitor not in metrics:
            raise ValueError(
                f"validation logs no epoch metric {self.monitor!r}, but {sorted(metrics)}; log it "
                "in the module's own validation hooks"
            )
        return metrics

    def _log(self, model: LightningModule, label: str, averager: Averager) -> None:
        """What changed in this epoch; nothing of weights that were never averaged."""
        scored = self._scored.get(label, (0, {}))[1]  # nothing before an average
        values = {f"{name}_{label}": value for name, value in scored.items()}
        if averager.decision is not None:
            values[f"{label}_decision"] = DECISION_CODE[averager.decision]
            values[f"{label}_members"] = float(averager.n_averaged)
        if averager.last_scores is not None and not math.isnan(averager.last_scores[1]):
            values[f"{self.monitor}_{label}_look_ahead"] = averager.last_scores[1]
        if values:
            model.log_dict(values, add_dataloader_idx=False, sync_dist=True, batch_size=1)

    def _offered(self, averager: Averager) -> LightningModule:
        if averager.n_averaged == 0:
            raise RuntimeError("there is no average yet: no epoch or step has been averaged")
        averager.members()  # brings the batch-norm statistics of `module` up to date
        module: Any = averager.module
        module._metric_attributes = None  # the module's memory of its torchmetrics is by id
        return module


def _label(build: Build) -> str:
    """early_stopping for EarlyStopping; a partial is named as what it calls."""
    made = build.func if isinstance(build, functools.partial) else build
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", made.__name__).lower().strip("<>")
