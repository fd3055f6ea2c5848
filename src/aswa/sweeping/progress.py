"""Progress of a sweep: which run of how many, and the time that is left.

Launchers run jobs in processes of their own, so the count travels in the environment and the
progress is read off a file to which every job appends one line when it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from aswa.config.messages import time_text

VARIABLE = "ASWA_SWEEP"
QUIET = "ASWA_QUIET"  # set by --quiet, for the processes of a sweep too
DRY_RUN = "ASWA_DRY_RUN"  # set by --dry-run


@contextlib.contextmanager
def sweep(results_dir: Path, total: int, done: int, launcher: int | None) -> Iterator[None]:
    """Jobs know of the sweep that launches them.

    Args:
        total: runs of the sweep.
        done: of them, before it began.
        launcher: the process without which jobs are not to go on.
    """
    log = Path(results_dir, ".sweep", f"progress-{os.getpid()}.jsonl").absolute()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    facts = {"total": total, "done": done, "start": time.time()}
    os.environ[VARIABLE] = json.dumps({**facts, "log": str(log), "launcher": launcher})
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        log.unlink(missing_ok=True)


def in_sweep() -> bool:
    """Whether this process computes a run of a sweep."""
    return VARIABLE in os.environ


def quiet() -> bool:
    """Whether nothing is to be said of runs while they go on."""
    return bool(os.environ.get(QUIET))


def dry_run() -> bool:
    """Whether runs are only to be listed."""
    return bool(os.environ.get(DRY_RUN))


def launcher() -> int | None:
    """Process id of the sweep that this process works for; None if it works for itself."""
    pid = json.loads(os.environ.get(VARIABLE, "{}")).get("launcher")
    return pid if pid != os.getpid() else None


def note_end(seconds: float) -> str:
    """Note the end of one run that took `seconds`: `[14/80,   3 min left] ` in a sweep."""
    if not in_sweep():
        return ""
    sweep = json.loads(os.environ[VARIABLE])
    log = Path(sweep["log"])
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(seconds) + "\n")
    computed = len(log.read_text("utf-8").splitlines())
    total, n = sweep["total"], sweep["done"] + computed
    place = f"[{n:>{len(str(total))}}/{total}"
    if n >= total:
        return place + "] "
    # Runs abreast and the time between them are in the pace. Clocks may differ, or be set.
    pace = max(0.0, time.time() - sweep["start"]) / computed
    return f"{place}, {time_text(pace * (total - n)):>6} left] "
