"""Waiting for jobs of SLURM whatever becomes of them.

submitit waits for the answer of each job in turn. One that was cancelled never answers on a cluster
without accounting (sacct), and elsewhere ends the waiting for all. Here the queue is asked instead:
when it has none of the jobs any more, their folders tell how they ended.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

POLL_SECONDS = 3.0
ABSENT = 3  # polls in a row without a job in the queue: a job that is requeued leaves it for one


class JobsLost(RuntimeError):
    """No job is left in the queue, and some gave no answer."""


def launch_and_wait(launch: Callable[[], Any], folder: Path) -> Any:
    """What `launch` returns, if all of its jobs answer.

    Args:
        launch: submits jobs and waits for their answers.
        folder: where submitit keeps a folder `<id>_<task>` for each job.

    Raises:
        JobsLost: all jobs have left the queue without answering.
        Exception: of `launch`, once all jobs have left the queue.
    """
    earlier = _arrays(folder)
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(launch())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()  # it may never return
    absent = 0
    while absent < ABSENT and (not answer.done() or answer.exception()):
        time.sleep(POLL_SECONDS)
        jobs = _arrays(folder) - earlier
        gone = (bool(jobs) or answer.done()) and not _queued(jobs)
        absent = absent + 1 if gone else 0
    if not answer.done():
        raise JobsLost("all jobs have left the queue, and some gave no answer")
    return answer.result()


def _arrays(folder: Path) -> set[str]:
    return {path.name.partition("_")[0] for path in folder.glob("*/")}


def _queued(jobs: set[str]) -> bool:
    """Whether squeue lists one of them; if it does not answer, they may be there."""
    command = ["squeue", "--noheader", "--me", "--format=%F"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return False
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0 or bool(jobs & set(done.stdout.split()))
