"""Weights & Biases: one W&B run a run, whose id is the run_id."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aswa.config import RunConfig
from aswa.config.schema import ConfigError, setting
from aswa.trackers.series import higher_is_better
from aswa.trackers.tracker import Tracker, Values


@dataclass(frozen=True)
class WandBOptions:
    """See conf/tracker/wandb.yaml."""

    tags: list[str] = field(default_factory=list)
    project: str = "aswa"
    entity: str | None = None
    group: str | None = None
    notes: str | None = None
    mode: str | None = setting(None, choices=("online", "offline", "disabled"))
    weights: bool = False


class WandB(Tracker):
    """Online where there is an account and a way to the server, else offline.

    W&B's own environment variables, such as `WANDB_MODE`, hold where an option is null.
    """

    Options = WandBOptions
    package = extra = "wandb"
    _run: Any = None

    @classmethod
    def check(cls, options: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        if options["weights"] and config["save_weights"] is not True:
            raise ConfigError("tracker.wandb.weights=true: needs save_weights=true as well")

    def start(self, config: RunConfig, past: Sequence[Values]) -> str:
        import wandb

        folder = Path(config.results_dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        before = list(folder.glob(f"wandb/offline-run-*-{config.run_id}"))
        options, mode = self.options, self._mode()
        names = (config.dataset.name, config.dataset.kind, config.model.name, config.optimizer)
        self._config, self._run = config, wandb.init(
            project=options.project,
            entity=options.entity,
            id=config.run_id,
            name=config.title,
            group=options.group or f"{config.dataset.name}-{config.model.name}",
            job_type=config.optimizer,
            tags=list(dict.fromkeys((*names, *map(str, options.tags)))),
            notes=options.notes,
            config=config.resolved,
            dir=str(folder),
            mode=mode,
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
        self._defined: set[str] = set()
        self._run.define_metric("epoch", hidden=True)
        self._first = self._run.step  # what the server has of the run is not sent again
        for values in past:
            self.log(values)
        if not self._run.offline:
            return str(self._run.url or mode)
        for path in before:  # the new folder holds their epochs too
            if not list(path.glob("*.synced")):
                shutil.rmtree(path, ignore_errors=True)  # a killed process may still write
        return f"offline; send it by `wandb sync {self._run.settings.sync_dir}`"

    def _mode(self) -> Any:
        import wandb

        if said := self.options.mode or os.environ.get("WANDB_MODE"):
            return said
        try:
            return "online" if wandb.login(prompt=False) else "offline"
        except wandb.errors.Error:  # an account, and no way to the server
            return "offline"

    def log(self, values: Values) -> None:
        epoch = int(values["epoch"])
        if epoch < self._first:
            return
        for name in values.keys() - self._defined - {"epoch"}:
            best = {None: None, True: "max", False: "min"}[higher_is_better(name, self._config)]
            self._run.define_metric(name, step_metric="epoch", summary=best)
            self._defined.add(name)
        # Committed at once: else the last epoch would come after, and into, the final values.
        self._run.log(dict(values), step=epoch, commit=True)

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        if self._run is None:
            return
        run, self._run = self._run, None
        try:
            run.summary.update(dict(summary))
            if self.options.weights and not failed:
                self._send_weights(run)
        finally:
            run.finish(exit_code=1 if failed else 0)

    def _send_weights(self, run: Any) -> None:
        """The folder `weights/` of the run as an artifact."""
        import wandb

        config = self._config
        artifact = wandb.Artifact(f"weights-{config.run_id}", "model", description=config.title)
        artifact.add_dir(str(config.folder / "weights"), policy="immutable")
        run.log_artifact(artifact)

    def interrupt(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            try:
                run.mark_preempting()  # "preempted", until the run goes on under the same id
            finally:
                run.finish(exit_code=1)
