"""Taking one wanted file out of an archive or a packed file, and nothing else.

A name in an archive chooses what is read, never where it is written. Links, devices and paths that
lead out of the archive are passed over; nothing is unpickled or run; what comes out is bounded.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from aswa.data.fetching.disk import storing

LIMIT = 2**30  # bytes that may come out of one file; the largest graph here has under 2**26
BLOCK = 2**20


class Unreadable(Exception):
    """Not the archive it should be: damaged, of another kind, or far too large inside."""


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,  # zipfile's, for encrypted members
        NotImplementedError,  # zipfile's, for compressions it does not know
        ValueError,  # for names that are not in their encoding, and other nonsense
        KeyError,
        struct.error,
    ) as error:
        raise Unreadable(f"cannot be read ({error})") from error


class _Bounded:
    """A stream that refuses to give more than `limit` bytes; skipping counts as giving."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._limit, self._left = stream, limit, limit

    def read(self, size: int = BLOCK) -> bytes:
        content = self._stream.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise Unreadable(f"holds more than {self._limit:,} bytes, which no graph here has")
        return content


def members(archive: Path, ending: str, limit: int = LIMIT) -> list[str]:
    """Names of the plain files in an archive that stay inside it.

    Args:
        ending: what it is packed as, such as `.tar.gz`; its own name may be another.

    Raises:
        Unreadable: it is damaged or too large.
    """
    with _reading():
        if ending == ".zip":
            with zipfile.ZipFile(archive) as opened:
                names = [info.filename for info in opened.infolist() if _is_plain(info)]
        else:
            with _open_tar(archive, ending, limit) as tar:
                names = [info.name for info in tar if info.isreg()]
    return [name for name in names if _stays_inside(name)]


def copy_member(archive: Path, ending: str, name: str, target: Path, limit: int = LIMIT) -> None:
    """Write one file of an archive to `target`. Same arguments and errors as `members`."""
    with _reading():
        if ending == ".zip":
            with zipfile.ZipFile(archive) as opened, opened.open(name) as stream:
                _copy(stream, target, limit)
            return
        with _open_tar(archive, ending, limit) as tar:
            for info in tar:
                if info.name == name and info.isreg():
                    _copy(cast(IO[bytes], tar.extractfile(info)), target, limit)
                    return
    raise Unreadable(f"lost {name} between two readings of it")


def copy_unpacked(path: Path, ending: str, target: Path, limit: int = LIMIT) -> None:
    """Write a single file, packed as `.gz` or `.xz` or plain, to `target`. Errors: `members`."""
    with _reading(), unpacked(path, ending) as stream:
        _copy(stream, target, limit)


def _is_plain(info: zipfile.ZipInfo) -> bool:
    mode = info.external_attr >> 16  # zero where the archive was made without Unix modes
    return not info.is_dir() and (stat.S_IFMT(mode) in (0, stat.S_IFREG))


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and ":" not in name.partition("/")[0]


@contextlib.contextmanager
def _open_tar(archive: Path, ending: str, limit: int) -> Iterator[tarfile.TarFile]:
    """Read from front to end, so that what is passed over is bounded too."""
    with unpacked(archive, ending.replace("tgz", "gz").replace("txz", "xz")) as stream:
        bounded = cast(IO[bytes], _Bounded(stream, limit))
        with tarfile.open(fileobj=bounded, mode="r|") as tar:
            yield tar


def unpacked(path: Path, ending: str) -> IO[bytes]:
    """A packed or plain file, opened for reading what is in it."""
    if ending.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path))
    return cast(IO[bytes], lzma.open(path)) if ending.endswith(".xz") else path.open("rb")


def _copy(stream: IO[bytes], target: Path, limit: int) -> None:
    bounded = _Bounded(stream, limit)
    with storing(target):
        file = target.open("wb")
    with file:
        while block := bounded.read():
            with storing(target):
                file.write(block)
        with storing(target):
            file.flush()
