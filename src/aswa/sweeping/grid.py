"""A grid of runs: planned, then launched in rounds until none is left that can be done."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus
from omegaconf import DictConfig

from aswa.config import ConfigError, tuned_elsewhere
from aswa.results.folder import RunFolder
from aswa.sweeping import progress, slurm
from aswa.sweeping.outcome import BUSY, RunFailed, RunHopeless, SweepFailed
from aswa.sweeping.plan import PLAN, write_plan
from aswa.sweeping.plan_cache import PlanCache
from aswa.sweeping.workers import workers_abreast

POLL_SECONDS = 2.0


@dataclass
class Job:
    """A run that is not finished.

    Attributes:
        overrides: that mean it.
        attempts: how often it failed in this sweep.
        error: of the last time.
        hopeless: it would fail the same way again.
    """

    overrides: list[str]
    folder: RunFolder
    title: str
    attempts: int = 0
    error: str = ""
    hopeless: bool = False


@dataclass
class Grid:
    """One `aswa-train -m`.

    Args:
        master: Hydra's configuration of the sweep.
        loader: Hydra's, which composes a job's configuration.
        launcher: Hydra's, of any kind.
        retries: how often a failed run is launched again.
        batch: jobs launched at a time; None for all.
    """

    master: DictConfig
    loader: Any
    launcher: Any
    retries: int = 1
    batch: int | None = None
    launched: int = field(default=0, init=False)

    def run(self, combinations: Sequence[list[str]]) -> None:
        """All runs that the combinations of overrides mean.

        Raises:
            ConfigError: a combination is wrong, or all of them are misfits; nothing was launched.
            SweepFailed: some runs failed each time they were tried.
        """
        results_dir = Path(str(self.master.results_dir))
        cache = PlanCache(self.master, self.loader, results_dir)
        jobs, done = self._plan(cache, combinations)
        sweep = progress.Sweep(results_dir, total=len(jobs) + done, done=done)
        print(sweep.begin(self._local_launcher()), flush=True)
        failed: list[Job] = []
        try:
            waiting = jobs
            while waiting:
                waiting, given_up = self._round(waiting)
                failed += given_up
        finally:
            sweep.end()
        if failed:
            raise SweepFailed(_report(failed, len(jobs) + done))

    def _local_launcher(self) -> int | None:
        """Let joblib run as many jobs abreast as this machine has GPUs, or cores for their threads.

        Returns:
            the process that its workers die with; None for jobs of a cluster, which outlive it.
        """
        workers = getattr(self.launcher, "joblib", None)
        if workers is None:
            return None
        if workers["n_jobs"] == -1:
            workers["n_jobs"] = workers_abreast(self.master.threads, self.master.device)
        return os.getpid()

    def _plan(self, cache: PlanCache, combinations: Sequence[list[str]]) -> tuple[list[Job], int]:
        """Runs to do, each once and with its plan in its folder, and how many are finished."""
        misfits: Counter[str] = Counter()
        jobs: dict[str, Job] = {}
        done: set[str] = set()
        for overrides in combinations:
            planned = cache.of(overrides)
            if planned.misfit:
                misfits[planned.misfit] += 1
                continue
            folder = RunFolder(Path(planned.folder), report=lambda line: print(line, flush=True))
            if planned.folder in jobs or planned.folder in done:
                continue
            if folder.result() is not None:
                done.add(planned.folder)
            else:
                jobs[planned.folder] = Job(list(overrides), folder, planned.title)
        cache.save()
        for reason, n in misfits.items():
            print(f"left out ({n}): {reason}", flush=True)
        if misfits and not jobs and not done:
            raise ConfigError(next(iter(misfits)))
        notes: set[str] = set()
        for job in jobs.values():
            if job.folder.owner() is not None and (job.folder.path / PLAN).exists():
                continue  # it is being computed with the plan that is there
            composed, config = cache.compose(job.overrides)
            write_plan(composed, config, job.overrides)
            notes.add(tuned_elsewhere(config) if composed.lr is None else "")
        for note in sorted(notes - {""}):
            print(note, flush=True)
        return list(jobs.values()), len(done)

    def _round(self, jobs: list[Job]) -> tuple[list[Job], list[Job]]:
        """Launch jobs; those to launch again, and those that failed too often."""
        again: list[Job] = []
        given_up: list[Job] = []
        size = self.batch or len(jobs)
        for first in range(0, len(jobs), size):
            for job, failure in self._launch(jobs[first : first + size]):
                if failure is None:
                    continue
                if failure == BUSY:
                    again.append(job)
                    continue
                job.attempts, job.error = job.attempts + 1, failure
                tried_enough = job.hopeless or job.attempts > self.retries
                (given_up if tried_enough else again).append(job)
        if again and all(not job.error for job in again):
            _wait_for_one(again)
        return again, given_up

    def _launch(self, jobs: list[Job]) -> list[tuple[Job, str | None]]:
        """Jobs with what went wrong with them: None, BUSY or an error."""
        words = [[*job.overrides, f"+planned={_quoted(job.folder.path)}"] for job in jobs]

        def launch() -> Any:
            return self.launcher.launch(words, initial_job_idx=self.launched)

        try:
            if type(self.launcher).__name__ == "SlurmLauncher":
                submitted = Path(str(self.master.hydra.sweep.dir), ".submitit")
                returned = slurm.launch_and_wait(launch, submitted)
            else:
                returned = launch()
        except Exception as error:  # a worker died, and with it what all the others returned
            why = f"{type(error).__name__}: {error}"
            return _left_behind(jobs, why)
        finally:
            self.launched += len(jobs)
        return [(job, _failure(job, ret)) for job, ret in zip(jobs, returned, strict=True)]


def _report(failed: Sequence[Job], total: int) -> str:
    return "\n".join([f"{len(failed)} of {total} runs failed", *(job.error for job in failed)])


def _failure(job: Job, returned: Any) -> str | None:
    if returned.status == JobStatus.COMPLETED:
        return BUSY if returned._return_value == BUSY else None
    error = returned._return_value
    job.hopeless = isinstance(error, (RunHopeless, ConfigError))
    return f"{type(error).__name__}: {error}" if not isinstance(error, RunFailed) else str(error)


def _left_behind(jobs: list[Job], why: str) -> list[tuple[Job, str | None]]:
    """What happened to jobs whose answers are lost, from their folders.

    Those that had not begun are not to blame, as long as others had.
    """
    found: list[tuple[Job, str | None]] = []
    for job in jobs:
        status = job.folder.status()
        if job.folder.result() is not None:
            found.append((job, None))
        elif status.get("status") == "failed":
            last = str(status.get("traceback", why)).strip().splitlines()[-1]
            found.append((job, f"{job.title}: {last}\n  {job.folder.path / 'status.json'}"))
        else:
            found.append((job, f"{job.title}: {why}" if status else BUSY))
    if all(outcome == BUSY for _, outcome in found):
        return [(job, f"{job.title}: {why}") for job, _ in found]
    return found


def _wait_for_one(jobs: list[Job]) -> None:
    """Until another sweep has finished, or left, one of the runs that it is computing."""
    while all(job.folder.owner() is not None for job in jobs):
        time.sleep(POLL_SECONDS)


def _quoted(path: Path) -> str:
    """For Hydra's grammar."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
