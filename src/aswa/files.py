"""Files: conf/, the cache folder, atomic writes, one text for one value, locks. Said once, here.

Imports nothing of aswa.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import filelock
import platformdirs


def conf_dir() -> Path:
    """The folder `conf/`: of the checkout, or the copy that a built package carries.

    Raises:
        FileNotFoundError: neither is there; the installation is broken.
    """
    here = Path(__file__).resolve().parent
    for candidate in (here.parents[1] / "conf", here / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError(
        f"no conf/config.yaml beside {here}; install from a checkout with `pip install -e .`"
    )


def cache_folder() -> Path:
    """The user's cache of aswa: fetched datasets in `data`, indexed graphs in `graphs`."""
    return Path(platformdirs.user_cache_dir("aswa", appauthor=False))


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces. The base of every hash here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_bytes(path: Path, content: bytes) -> None:
    """Write all of `content` or nothing: temporary name, fsync, rename.

    A reader, or a process killed in the middle, never sees half a file under the final name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


Locked = filelock.Timeout  # another process holds the lock


def lock(path: Path, wait: bool = True) -> filelock.BaseFileLock:
    """A context that holds the lock file `path`; the kernel frees the lock when its owner dies.

    Entering it raises Locked if another process holds the lock and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path, timeout=-1 if wait else 0)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path` now."""
    if not path.exists():
        return False
    try:
        with lock(path, wait=False):
            return False
    except Locked:
        return True
