"""A grid of runs: planned, then launched in rounds until none is left that can be done."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus
from omegaconf import DictConfig

from aswa.config import ConfigError, remarks
from aswa.files import canonical_json
from aswa.results.folder import RunFolder
from aswa.sweeping import progress, slurm
from aswa.sweeping.job import BUSY, RunFailed, RunHopeless
from aswa.sweeping.plan import PLAN, check_run, write_plan
from aswa.sweeping.plan_cache import PlanCache
from aswa.sweeping.status import dry_run_text
from aswa.sweeping.workers import workers_abreast

POLL_SECONDS = 2.0


@dataclass
class Job:
    """A run that is not finished."""

    overrides: list[str]  # that mean it
    folder: RunFolder
    title: str
    attempts: int = 0  # how often it failed in this sweep
    error: str = ""  # of the last time
    hopeless: bool = False  # it would fail the same way again


@dataclass
class Grid:
    """One `aswa-train -m`."""

    master: DictConfig  # Hydra's configuration of the sweep
    loader: Any  # Hydra's, which composes a job's configuration
    launcher: Any  # Hydra's, of any kind
    retries: int  # how often a failed run is launched again
    batch: int | None  # jobs launched at a time; None for all
    launched: int = field(default=0, init=False)

    def run(self, combinations: Sequence[list[str]]) -> None:
        """All runs that the combinations of overrides mean.

        Raises:
            ConfigError: a combination is wrong, or all of them are misfits; nothing was launched.
            RunFailed: some runs failed each time they were tried.
        """
        results_dir = Path(str(self.master.results_dir))
        cache = PlanCache(self.master, self.loader, results_dir)
        waiting, done = self._plan(cache, combinations)
        total = len(waiting) + done
        if progress.dry_run():
            print(dry_run_text(results_dir, [job.folder.path for job in waiting], total))
            for job in waiting:
                print(f"  {job.title}")
            return
        failed: list[Job] = []
        with progress.sweep(results_dir, total, done, self._local_launcher()):
            before = f", {done} of them already done" if done else ""
            print(f"{total} run{'' if total == 1 else 's'}{before}", flush=True)
            while waiting:
                waiting, given_up = self._round(waiting)
                failed += given_up
        if failed:
            errors = "\n".join(job.error for job in failed)
            raise RunFailed(f"{len(failed)} of {total} runs failed\n{errors}")

    def _local_launcher(self) -> int | None:
        """Let joblib run one job a GPU of this machine, or as many as its cores have threads for.

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
        if not combinations:
            raise ConfigError("the sweep has no run: an axis is empty, such as range(0)")
        misfits: Counter[str] = Counter()
        jobs: dict[str, Job] = {}
        done: set[str] = set()
        for overrides in combinations:
            planned = cache.of(overrides)
            if planned.misfit:
                misfits[planned.misfit] += 1
            elif planned.folder not in jobs and planned.folder not in done:
                folder = RunFolder(Path(planned.folder), functools.partial(print, flush=True))
                if folder.result() is not None:
                    done.add(planned.folder)
                else:
                    jobs[planned.folder] = Job(list(overrides), folder, planned.title)
        cache.save()
        for reason, n in misfits.items():
            print(f"left out ({n}): {reason}", flush=True)
        if misfits and not jobs and not done:
            raise ConfigError(next(iter(misfits)))
        self._check_runs(cache, list(jobs.values()))
        notes: set[str] = set()
        for job in jobs.values():
            if job.folder.owner() is not None and (job.folder.path / PLAN).exists():
                continue  # it is being computed with the plan that is there
            composed, config = cache.compose(job.overrides)
            if not progress.dry_run():
                write_plan(composed, config, job.overrides)
            notes.update(remarks(config, composed))
        for note in sorted(notes):
            print(note, flush=True)
        return list(jobs.values()), len(done)

    def _check_runs(self, cache: PlanCache, jobs: Sequence[Job]) -> None:
        """Find the data, build every model and mixing: what does not fit stops the sweep here."""
        configs = (cache.compose(job.overrides)[1] for job in jobs)
        groups = ("dataset", "model", "population")
        different = {
            canonical_json([config.resolved[group] for group in groups]): config
            for config in configs
        }
        for config in different.values():
            check_run(config)

    def _round(self, jobs: list[Job]) -> tuple[list[Job], list[Job]]:
        """Launch jobs; those to launch again, and those that failed too often."""
        again: list[Job] = []
        given_up: list[Job] = []
        size = self.batch or len(jobs)
        for first in range(0, len(jobs), size):
            batch = jobs[first : first + size]
            for job, failure in zip(batch, self._launch(batch), strict=True):
                if failure == BUSY:
                    again.append(job)
                elif failure is not None:
                    job.attempts, job.error = job.attempts + 1, failure
                    tried_enough = job.hopeless or job.attempts > self.retries
                    (given_up if tried_enough else again).append(job)
        if again and all(not job.error for job in again):
            _wait_for_one(again)
        return again, given_up

    def _launch(self, jobs: list[Job]) -> list[str | None]:
        """What went wrong with each job: None, BUSY or an error."""
        words = [[*job.overrides, f"+planned={_quoted(job.folder.path)}"] for job in jobs]
        launch = functools.partial(self.launcher.launch, words, initial_job_idx=self.launched)
        try:
            if type(self.launcher).__name__ == "SlurmLauncher":
                submitted = Path(str(self.master.hydra.sweep.dir), ".submitit")
                returned = slurm.launch_and_wait(launch, submitted)
            else:
                returned = launch()
        except Exception as error:  # a worker died, and with it what all the others returned
            return _left_behind(jobs, f"{type(error).__name__}: {error}")
        finally:
            self.launched += len(jobs)
        return [_failure(job, ret) for job, ret in zip(jobs, returned, strict=True)]


def _failure(job: Job, returned: Any) -> str | None:
    if returned.status == JobStatus.COMPLETED:
        return BUSY if returned._return_value == BUSY else None
    error = returned._return_value
    job.hopeless = isinstance(error, (RunHopeless, ConfigError))
    return str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"


def _left_behind(jobs: list[Job], why: str) -> list[str | None]:
    """What went wrong with jobs whose answers are lost, from their folders.

    Those that had not begun are not to blame, as long as others had.
    """
    found: list[str | None] = []
    for job in jobs:
        status = job.folder.status()
        if job.folder.result() is not None:
            found.append(None)
        elif status.get("status") == "failed":
            last = str(status.get("traceback", why)).strip().splitlines()[-1]
            found.append(f"{job.title}: {last}\n  {job.folder.path / 'status.json'}")
        else:
            found.append(f"{job.title}: {why}" if status else BUSY)
    if all(failure == BUSY for failure in found):
        return [f"{job.title}: {why}" for job in jobs]
    return found


def _wait_for_one(jobs: list[Job]) -> None:
    """Until another sweep has finished, or left, one of the runs that it is computing."""
    while all(job.folder.owner() is not None for job in jobs):
        time.sleep(POLL_SECONDS)


def _quoted(path: Path) -> str:
    """For Hydra's grammar."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"
