"""Reads files out of an archive or a packed file, into memory.

Nothing is unpacked to disk, so no path in an archive leads anywhere. Links and devices are passed
over; nothing is unpickled or run; the bytes that come out are bounded.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
LIMIT = 2**30  # bytes out of one file; the largest graph of conf/dataset has under 2**26


class Unreadable(Exception):
    """An archive is damaged, of another kind than its name says, or far too large inside."""


@contextlib.contextmanager
def _reading(place: str) -> Iterator[None]:
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:  # the standard library has a dozen types for damaged archives
        raise Unreadable(f"{place}: cannot be read ({error})") from error


class _Bounded:
    """A stream that refuses to give more than `limit` bytes; skipped bytes count."""

    def __init__(self, stream: IO[bytes] | None, limit: int, place: str) -> None:
        self._stream, self._left, self._place = cast(IO[bytes], stream), limit, place

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        with _reading(self._place):
            content = self._stream.read(most if size < 0 else min(size, most))
        self._left -= len(content)
        if self._left < 0:
            raise Unreadable(f"{self._place}: holds more bytes than any graph here")
        return content


def contents(
    path: Path, place: str, limit: int = LIMIT
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every regular file of an archive: its path, and how to read it before the next is asked for.

    A single file, packed or plain, is its own content.

    Args:
        place: of the publisher, for messages; its ending says how the file is packed.
        limit: bytes of one file, or of a whole tar archive.

    Raises:
        Unreadable: the archive is damaged or too large.
    """
    name = place.partition("?")[0].lower()
    with _reading(place):
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as opened:
                for info in opened.infolist():
                    if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                        yield info.filename, partial(_member, opened, info, limit, place)
            return
        with _unpacked(path, name) as stream:
            bounded = _Bounded(stream, limit, place)
            if not name.endswith(ARCHIVES):
                yield name, bounded.read
                return
            # From front to end, so that the bytes of members passed over are bounded too.
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|") as tar:
                for member in tar:
                    if member.isreg():
                        yield member.name, _Bounded(tar.extractfile(member), limit, place).read


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, place: str) -> bytes:
    with _reading(place), opened.open(info) as member:
        return _Bounded(member, limit, place).read()


def _unpacked(path: Path, name: str) -> IO[bytes]:
    if name.endswith(("gz", "xz")):
        return cast(IO[bytes], gzip.open(path) if name.endswith("gz") else lzma.open(path))
    return path.open("rb")
