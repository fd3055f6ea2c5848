"""Progress of a Hydra multirun: which run of how many, and the time that is left.

Launchers run jobs in processes of their own, so the count travels in the environment and the
progress is read off a file to which every job appends one line when it ends.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

VARIABLE = "ASWA_SWEEP"


class CountRuns(Callback):
    """Hydra callback: counts the runs of a multirun before the first starts."""

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Called in the launching process, once."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parameters = config.hydra.sweeper.get("params") or {}
        words = [f"{key}={value}" for key, value in parameters.items()]
        given = OverridesParser.create().parse_overrides([*words, *config.hydra.overrides.task])
        (runs,) = BasicSweeper.split_arguments(given, None)
        log = Path(config.hydra.sweep.dir, f"progress-{os.getpid()}.jsonl").absolute()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        facts = {"total": len(runs), "start": time.time(), "log": str(log)}
        os.environ[VARIABLE] = json.dumps({**facts, "launcher": os.getpid()})
        print(f"{len(runs)} runs", flush=True)

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Called in the launching process, once."""
        sweep = json.loads(os.environ.pop(VARIABLE, "{}"))
        if sweep:
            Path(sweep["log"]).unlink(missing_ok=True)


def launcher() -> int | None:
    """Process id of the multirun that this process works for; None if it works for itself."""
    pid = json.loads(os.environ.get(VARIABLE, "{}")).get("launcher")
    return pid if pid != os.getpid() else None


def note_end(seconds: float) -> str:
    """Note the end of one run that took `seconds`, 0 if it was already done.

    Returns:
        `[14/80,   3 min left] ` in a multirun, nothing otherwise.
    """
    if VARIABLE not in os.environ:
        return ""
    sweep = json.loads(os.environ[VARIABLE])
    log = Path(sweep["log"])
    with log.open("a") as file:
        file.write(json.dumps(seconds) + "\n")
    ended = [json.loads(line) for line in log.read_text().splitlines()]
    total, n = sweep["total"], len(ended)
    computed = [value for value in ended if value > 0]
    place = f"[{n:>{len(str(total))}}/{total}"
    if n >= total or not computed:
        return place + "] "
    # Runs abreast and the time between them are in the pace; runs found done are not.
    pace = (time.time() - sweep["start"]) / len(computed)
    return f"{place}, {_duration(pace * (total - n))} left] "


def _duration(seconds: float) -> str:
    return f"{seconds:3.0f} s" if seconds < 90 else f"{seconds / 60:3.0f} min"
