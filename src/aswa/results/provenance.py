"""What a result was made with: code version and packages."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("aswa", "torch", "hydra-core", "numpy")


@functools.cache
def versions() -> dict[str, str]:
    """Python and the packages that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@functools.cache
def git_state() -> dict[str, Any]:
    """Commit of the checkout that the code runs from, and whether files differ from it."""
    sha = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "sha": None if sha is None else sha.decode().strip(),
        "dirty": None if changes is None else bool(changes.strip()),
    }


@functools.cache
def git_diff() -> bytes:
    """What that checkout's files have that the commit has not; empty without changes or git."""
    return _git("diff", "HEAD", "--binary") or b""


def available_cores() -> int:
    """Of this process, which may be fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(*words: str) -> bytes | None:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
