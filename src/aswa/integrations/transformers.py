"""Averaging in `transformers.Trainer`.

trainer = Trainer(model=model, args=args, train_dataset=train, eval_dataset=valid)
averaging = AveragingCallback(ASWA).attach(trainer)
trainer.train()     # then averaging.averager.module, or from_pretrained(f"{output_dir}/aswa")
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.utils import is_peft_available

from aswa.averaging.averager import Averager
from aswa.averaging.scored import Scored
from aswa.averaging.undisturbed import undisturbed
from aswa.integrations.trainer_checkpoint import restore_averagers, save_averagers

Method = Callable[[nn.Module], Averager]
"""A class such as `ASWA`, or a function: `lambda model: ASWA(model, start=2)`."""
Methods = Method | Mapping[str, Method]
Metrics = dict[str, float]

TIMES = ("_runtime", "_per_second", "_preparation_time")  # ends of metrics that are no scores


class AveragingCallback(TrainerCallback):  # type: ignore[misc]
    """Averages the weights of the model that a `Trainer` trains. The training run is unchanged.

    A method takes a step after each optimizer step, and an update at each evaluation. Scores are
    `metric_for_best_model` (`eval_loss` without one) in the direction of `greater_is_better`, which
    replaces the `mode` of a method. Θ is scored by the evaluation that the Trainer makes anyway,
    every other model by `trainer.evaluate()`, silently.

    Each evaluation logs, under the method's name, the metrics of the offered weights
    (`eval_aswa_loss`), the size of the average (`eval_aswa_n_averaged`), and v̂, where there is one
    (`eval_aswa_look_ahead_loss`). Each checkpoint gets the averaged model as a folder for
    `from_pretrained`, `checkpoint-N/aswa` (adapters of peft: `checkpoint-N/aswa/adapter`), and the
    state from which `trainer.train(resume_from_checkpoint=...)` goes on exactly. The end of
    training writes `output_dir/aswa`. The Trainer's own files hold the running model.

    Args:
        methods: an averager class or a function model → averager, which is named by its class in
            lower case; or several by name: `{"aswa": ASWA, "late": lambda m: SWA(m, start=5)}`.

    Attributes:
        averagers: name → averager, from the beginning of training on.
    """

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._trainer: Trainer | None = None
        self.averagers: dict[str, Averager] = {}
        self._offered: dict[str, tuple[int, Metrics]] = {}  # version and metrics of the weights
        self._step = 0  # of the last update: one step is never counted twice
        self._training = False

    @property
    def averager(self) -> Averager:
        """The averager, where there is one."""
        if not self.averagers:
            raise RuntimeError("the averager is made when training begins: call trainer.train()")
        if len(self.averagers) > 1:
            raise RuntimeError(
                f"there are several averagers: averagers[name], name in {[*self.averagers]}"
            )
        [averager] = self.averagers.values()
        return averager

    def attach(self, trainer: Trainer) -> Self:
        """Ride on `trainer`, whose evaluation scores the averages; call before `trainer.train()`.

        Raises:
            ValueError: another callback of this class rides on it, or its model is sharded.
        """
        callbacks = trainer.callback_handler.callbacks
        if any(isinstance(each, AveragingCallback) and each is not self for each in callbacks):
            raise ValueError(
                "this Trainer has an AveragingCallback; give one callback all methods by name: "
                'AveragingCallback({"aswa": ASWA, "ema": EMA})'
            )
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise ValueError("AveragingCallback averages whole models: no FSDP, no DeepSpeed")
        if self not in callbacks:
            trainer.add_callback(self)
        self._trainer = trainer
        return self

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any
    ) -> None:
        """Make the averagers, and restore them where training is resumed."""
        trainer = self._attached
        if trainer.model is not model:
            raise RuntimeError("AveragingCallback is attached to another Trainer: attach it here")
        self._key, mode = _metric(trainer)
        self.averagers = _built(self._methods, model, mode)
        self._offered, self._step, self._training = {}, state.global_step, True
        if state.global_step > 0:
            checkpoint = self._folder / f"checkpoint-{state.global_step}"
            places = [Path(args.resume_from_checkpoint or checkpoint), checkpoint]
            self._offered = restore_averagers(places, state, self.averagers)

    def on_step_end(self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any) -> None:
        """The step of every averager, unless a loss scaler skipped the optimizer's."""
        if not self._attached.accelerator.optimizer_step_was_skipped:
            for averager in self.averagers.values():
                averager.step(model)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Metrics, model: nn.Module, **_: Any
    ) -> None:
        """The update of every averager, once an evaluation of a model that has been trained."""
        step = state.global_step
        if not self._training or step == self._step or not self._has_metric(metrics):
            return  # not of training; eval_on_start or a repetition; another evaluation set
        self._step = step
        logs: Metrics = {}
        for name, averager in self.averagers.items():
            logs |= self._update(name, averager, model, metrics)
        if logs:
            self._attached.log(logs)
        if all(averager.should_stop for averager in self.averagers.values()):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Averaged weights and the state of the averagers, into the checkpoint."""
        checkpoint = self._folder / f"checkpoint-{state.global_step}"
        self._save(checkpoint, "adapter" if _is_adapted(self._attached.model) else "")
        if args.should_save and not args.save_only_model:
            save_averagers(checkpoint, self.averagers, self._offered)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Averaged weights, beside the checkpoints."""
        self._training = False
        self._save(self._folder)

    @property
    def _attached(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError(
                "a Trainer shows itself to no callback, and AveragingCallback needs its "
                "evaluation: callback.attach(trainer) before trainer.train()"
            )
        return self._trainer

    @property
    def _folder(self) -> Path:
        """Where the Trainer keeps its checkpoints; a hyperparameter search: those of the trial."""
        return Path(self._attached._get_output_dir(self._attached._trial))

    @contextmanager
    def _shown(self, module: nn.Module) -> Iterator[Trainer]:
        """The Trainer with `module` as its model."""
        trainer = self._attached
        running, trainer.model = trainer.model, module
        try:
            yield trainer
        finally:
            trainer.model = running

    def _has_metric(self, metrics: Metrics) -> bool:
        """Whether `metrics` are of the evaluation set that counts.

        Raises:
            ValueError: they are of the only one, and lack the metric.
        """
        one_set = not isinstance(self._attached.eval_dataset, dict)
        if one_set and self._key not in metrics and any(key.startswith("eval_") for key in metrics):
            raise ValueError(
                f"evaluation gives {[*metrics]} and no {self._key}: set metric_for_best_model"
            )
        return self._key in metrics

    def _evaluate(self, module: nn.Module) -> Metrics:
        """Metrics of `module`, under the running model's names; nothing is logged or called."""
        history = self._attached.state.log_history
        handler, n_logged = self._attached.callback_handler, len(history)
        callbacks, handler.callbacks = handler.callbacks, []
        others = random.getstate(), np.random.get_state()
        try:
            with self._shown(module) as trainer, undisturbed(module):
                return trainer.evaluate()
        finally:
            handler.callbacks = callbacks
            del history[n_logged:]
            random.setstate(others[0])
            np.random.set_state(others[1])

    def _update(self, name: str, averager: Averager, model: nn.Module, metrics: Metrics) -> Metrics:
        """Update one averager; what is to be logged of it."""
        measured: list[Metrics] = []

        def evaluate(module: nn.Module) -> float:
            measured.append(metrics if module is model else self._evaluate(module))
            return measured[-1][self._key]

        averager.update(model, evaluate)
        if not _has_begun(averager):
            return {}
        if self._offered.get(name, (None,))[0] != averager.version:
            self._offered[name] = (averager.version, self._metrics(averager, measured))
        logs = {f"eval_{name}_{each}": value for each, value in self._offered[name][1].items()}
        logs[f"eval_{name}_n_averaged"] = averager.n_averaged
        if len(measured) > 1:
            metric = self._key.removeprefix("eval_")
            logs[f"eval_{name}_look_ahead_{metric}"] = measured[-1][self._key]
        return logs

    def _metrics(self, averager: Averager, measured: list[Metrics]) -> Metrics:
        """Of the offered weights: those behind their score, or measured where there is none."""
        for found in reversed(measured):
            if found[self._key] == averager.score:
                break
        else:
            [module] = averager.members()
            found = self._evaluate(module)
        return {
            metric.removeprefix("eval_"): value
            for metric, value in found.items()
            if metric.startswith("eval_") and not metric.endswith(TIMES)
        }

    def _save(self, folder: Path, below: str = "") -> None:
        """Each averaged model as the Trainer saves its own, to `folder`/name/`below`."""
        for name, averager in self.averagers.items():
            if _has_begun(averager):
                [module] = averager.members()
                with self._shown(module) as trainer:
                    trainer.save_model(str(folder / name / below), _internal_call=True)


def _metric(trainer: Trainer) -> tuple[str, str]:
    """The Trainer's own choice of a metric and its direction, as key of metrics and `mode`.

    Raises:
        ValueError: there will be no evaluation, or no such metric in it.
    """
    args = trainer.args
    if args.eval_strategy == "no":
        raise ValueError("averages are updated at evaluations: set eval_strategy and eval_dataset")
    key = f"eval_{(args.metric_for_best_model or 'loss').removeprefix('eval_')}"
    sets = trainer.eval_dataset if isinstance(trainer.eval_dataset, dict) else {}
    if sets and not any(key.startswith(f"eval_{name}_") for name in sets):
        raise ValueError(
            f"the evaluation sets {[*sets]} have no metric {key}: set metric_for_best_model, such "
            f"as '{next(iter(sets))}_loss'"
        )
    return key, "max" if args.greater_is_better else "min"


def _built(methods: Methods, model: nn.Module, mode: Any) -> dict[str, Averager]:
    """Name → new averager of `model`, those that score in direction `mode`."""
    if isinstance(methods, Mapping):
        built = {name: method(model) for name, method in methods.items()}
    else:
        averager = methods(model)
        built = {type(averager).__name__.lower(): averager}
    if not built:
        raise ValueError("AveragingCallback needs a method, such as AveragingCallback(ASWA)")
    for name, averager in built.items():
        if not isinstance(averager, Averager) or not name.isidentifier():
            raise TypeError(
                "AveragingCallback takes functions model -> averager by names that can be part of "
                f"a metric's; {name!r} gave a {type(averager).__name__}"
            )
        if isinstance(averager, Scored):
            averager.mode = mode
    return built


def _has_begun(averager: Averager) -> bool:
    """Whether there is an average."""
    return averager.n_averaged > 0 or averager.score is not None


def _is_adapted(model: nn.Module) -> bool:
    """Whether `model` is one of peft's.

    The Trainer takes each folder in a checkpoint that holds an adapter for a further adapter of
    the model, and loads it on resuming, but it looks no deeper.
    """
    if not is_peft_available():
        return False
    from peft import PeftModel

    return isinstance(model, PeftModel)
