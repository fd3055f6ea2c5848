"""Jobs of a SLURM array that are still in the queue when the launcher has given up on them.

submitit's launcher stops waiting at the first job that did not end well. The others go on; before
anything is launched again they should have ended, or the queue would fill with doubles.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

POLL_SECONDS = 5.0


def jobs_of(folder: Path) -> set[str]:
    """Ids of the arrays that submitit started from a sweep's folder, `.submitit/<id>_<task>`."""
    if not folder.is_dir():
        return set()
    return {path.name.partition("_")[0] for path in folder.iterdir() if path.is_dir()}


def wait_for(jobs: set[str]) -> None:
    """Until SLURM has none of the jobs in its queue any more, neither running nor pending."""
    while jobs and _queued(jobs):
        time.sleep(POLL_SECONDS)


def _queued(jobs: set[str]) -> bool:
    """Whether squeue lists one of them; where it does not answer, nobody can wait for them."""
    command = ["squeue", "--noheader", "--me", "--format=%F"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(jobs & set(done.stdout.split()))
