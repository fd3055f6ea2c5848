"""The processes of a sweep on one machine: one GPU each, and none outlives its launcher."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from aswa.files import Locked, lock
from aswa.results.provenance import available_cores
from aswa.sweeping import progress

VISIBLE = "CUDA_VISIBLE_DEVICES"
_taken = ExitStack()  # of the lock on a GPU, held until this process ends


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, without importing torch or starting CUDA."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [name for name in given.split(",") if name.strip()]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    gpus = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    return [str(i) for i in range(gpus)] if done.returncode == 0 else []


@functools.cache
def take_gpu() -> str | None:
    """Keep one GPU that no other worker on this machine has, and see no other, until the end.

    With more workers than GPUs the rest share, each the one that its process id falls on.

    Returns:
        its name; None where there is no GPU.
    """
    names = visible_gpus()
    if not names:
        return None
    user = "" if sys.platform == "win32" else os.getuid()  # Windows has a folder a user
    folder = Path(tempfile.gettempdir(), f"aswa-gpus-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        with suppress(Locked):
            _taken.enter_context(lock(folder / name.replace("/", "-"), wait=False))
            break
    else:
        name = names[os.getpid() % len(names)]
    os.environ[VISIBLE] = name
    return name


def die_with_launcher() -> None:
    """A worker of a killed sweep saves its run and ends too: no run goes on without its sweep."""
    launcher = progress.launcher()
    if sys.platform != "linux" or launcher is None:
        return
    PR_SET_PDEATHSIG = 1
    if os.getppid() == launcher:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if not Path(f"/proc/{launcher}").exists():  # it died before this job began
        os.kill(os.getpid(), signal.SIGKILL)


def workers_abreast(threads: int, device: str) -> int:
    """How many runs side by side: one a GPU, or cores over threads."""
    gpus = len(visible_gpus()) if device in ("auto", "cuda") else 0
    return gpus or max(1, available_cores() // threads)
