"""The mirror of a run. The results folder is the truth: a mirror that breaks is dropped."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aswa.config import RunConfig


class Tracker:
    """One Weights & Biases run a job, with id = run_id; nothing under the name `none`.

    `WANDB_MODE` is obeyed; without it the run is online when there is an account and offline
    otherwise. The first failure of W&B is told and ends the mirroring, never the run.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._run: Any = None

    def start(self, config: RunConfig) -> None:
        """A run begins, or goes on under the same run_id."""
        if self._name == "wandb":
            self._try(lambda: self._start(config))

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Named values at the end of an epoch."""
        if self._run is not None:
            self._try(lambda: self._run.log({"epoch": epoch, **values}, step=epoch))

    def finish(self, summary: dict[str, Any], failed: bool = False) -> None:
        """The run is over; `summary` holds its final values."""
        self._end(lambda: self._run.summary.update(summary), exit_code=1 if failed else 0)

    def interrupt(self) -> None:
        """The process ends before the run does; another one will go on with it."""
        # "preempted", until the run goes on under the same id
        self._end(lambda: self._run.mark_preempting(), exit_code=1)

    def _end(self, last: Callable[[], None], exit_code: int) -> None:
        if self._run is not None:
            self._try(last)
        run, self._run = self._run, None
        if run is not None:
            self._try(lambda: run.finish(exit_code=exit_code))

    def _start(self, config: RunConfig) -> None:
        import wandb

        folder = Path(config.results_dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        account = os.environ.get("WANDB_API_KEY") or wandb.api.api_key  # of `wandb login`
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if account else "offline")
        self._run = wandb.init(
            project=config.tracker.project,
            entity=config.tracker.entity,
            id=config.run_id,
            name=config.title,
            group=f"{config.dataset.name}-{config.model.name}",
            job_type=config.optimizer,
            tags=[config.dataset.name, config.dataset.kind, config.model.name, config.optimizer],
            config=config.resolved,
            dir=str(folder),
            mode=mode,
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever a service or its client can come up with
            run, self._run = self._run, None
            if run is not None:
                with contextlib.suppress(Exception):
                    run.finish(exit_code=1)  # else the next job of this process would log into it
            warnings.warn(f"W&B: {error}; the run goes on without it", stacklevel=2)


def latest(history: dict[str, Any]) -> dict[str, float]:
    """The last entry of a history, as flat names."""
    values = {"train/loss": history["train_loss"][-1]}
    for name, scores in history["valid"].items():
        if scores[-1] is not None:
            values[f"valid/{name}"] = scores[-1]
    for name, decisions in history["decisions"].items():
        if decisions[-1] is not None:
            values[f"decision/{name}"] = ("reject", "soft", "hard").index(decisions[-1])
    return values


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """The final values of a record, as flat names."""
    values = {f"{r['split']}/{r['metric']}/{r['optimizer']}": r["value"] for r in record["rows"]}
    for name, counts in record["decisions"].items():
        values |= {f"decisions/{name}/{decision}": n for decision, n in counts.items()}
    return {**values, "status": record["status"], "seconds": record["seconds"]["total"]}
