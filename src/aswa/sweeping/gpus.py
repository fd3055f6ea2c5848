"""One GPU for each run of a sweep on one machine, taken before CUDA is looked at."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

VISIBLE = "CUDA_VISIBLE_DEVICES"
_taken: list[IO[str]] = []  # open, and so locked, until this process ends


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, without importing torch or starting CUDA."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [name for name in given.split(",") if name.strip()]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(i) for i in range(len(lines))] if done.returncode == 0 else []


def take_gpu() -> str | None:
    """Keep one GPU that no other worker on this machine has, and see no other, until the end.

    With more workers than GPUs the rest share, each the one that its process id falls on.

    Returns:
        its name; None where there is no GPU.
    """
    names = visible_gpus()
    if not names or _taken:
        return os.environ.get(VISIBLE) if _taken else None
    folder = Path(tempfile.gettempdir(), f"aswa-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    chosen = names[os.getpid() % len(names)]
    for name in names:
        file = (folder / name.replace("/", "-")).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _taken.append(file)
        chosen = name
        break
    os.environ[VISIBLE] = chosen
    return chosen


def workers_abreast(threads: int, device: str) -> int:
    """How many runs side by side: one a GPU, or cores over threads."""
    gpus = len(visible_gpus()) if device in ("auto", "cuda") else 0
    return gpus or max(1, len(os.sched_getaffinity(0)) // threads)
