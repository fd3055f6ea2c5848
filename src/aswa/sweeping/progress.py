"""Progress of a sweep: which run of how many, and the time that is left.

Launchers run jobs in processes of their own, so the count travels in the environment and the
progress is read off a file to which every job appends one line when it ends.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

VARIABLE = "ASWA_SWEEP"


class Sweep:
    """The count of a sweep, in the process that launches it.

    Args:
        total: runs of the sweep.
        done: of them, before it began.
    """

    def __init__(self, results_dir: Path, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._log = Path(results_dir, ".sweep", f"progress-{os.getpid()}.jsonl").absolute()

    def begin(self, launcher: int | None) -> str:
        """Let jobs know of it; `launcher` is the process without which they are not to go on.

        Returns:
            a line for a person.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        facts = {"total": self.total, "done": self.done, "start": time.time()}
        os.environ[VARIABLE] = json.dumps({**facts, "log": str(self._log), "launcher": launcher})
        before = f", {self.done} of them already done" if self.done else ""
        return f"{self.total} runs{before}"

    def end(self) -> None:
        """Nothing is left of it."""
        os.environ.pop(VARIABLE, None)
        self._log.unlink(missing_ok=True)


def in_sweep() -> bool:
    """Whether this process computes a run of a sweep."""
    return VARIABLE in os.environ


def launcher() -> int | None:
    """Process id of the sweep that this process works for; None if it works for itself."""
    pid = json.loads(os.environ.get(VARIABLE, "{}")).get("launcher")
    return pid if pid != os.getpid() else None


def note_end(seconds: float) -> str:
    """Note the end of one run that took `seconds`.

    Returns:
        `[14/80,   3 min left] ` in a sweep, nothing otherwise.
    """
    if VARIABLE not in os.environ:
        return ""
    sweep = json.loads(os.environ[VARIABLE])
    log = Path(sweep["log"])
    with log.open("a") as file:
        file.write(json.dumps(seconds) + "\n")
    computed = len(log.read_text().splitlines())
    total, n = sweep["total"], sweep["done"] + computed
    place = f"[{n:>{len(str(total))}}/{total}"
    if n >= total:
        return place + "] "
    # Runs abreast and the time between them are in the pace. Clocks may differ, or be set.
    pace = max(0.0, time.time() - sweep["start"]) / computed
    return f"{place}, {_duration(pace * (total - n))} left] "


def _duration(seconds: float) -> str:
    return f"{seconds:3.0f} s" if seconds < 90 else f"{seconds / 60:3.0f} min"
