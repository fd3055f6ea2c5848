"""Writing files so that a reader, or a process killed at any point, never leaves half of one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


class StorageFailed(Exception):
    """The data folder cannot be written to, whatever the source; says why and what would help."""


_WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission to write",
    errno.EPERM: "no permission to write",
    errno.EROFS: "the file system is read-only",
}


@contextlib.contextmanager
def storing(place: Path) -> Iterator[None]:
    """Turns an OSError of the disk into a `StorageFailed` that names the place and the fix.

    Reading from a source does not belong in it: that fails for other reasons.
    """
    try:
        yield
    except OSError as error:
        why = _WHY.get(error.errno or 0, str(error))
        raise StorageFailed(
            f"{place}: {why}; make room or give write permission there, or name another folder "
            "with --data-dir"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """All of `content` or nothing. For callers that hold the lock of the folder.

    Raises:
        StorageFailed: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with storing(path):
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def sync(path: Path) -> None:
    """Wait until a file, or the list of files of a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(path: Path, waiting: Callable[[], None]) -> IO[bytes]:
    """Take the lock that a file stands for; closing the file, or dying, gives it back.

    Lock files stay: removing one while another process waits on it would split the lock in two.

    Args:
        waiting: called if another process has it, before waiting for that.

    Raises:
        StorageFailed: the file cannot be made.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    return file
