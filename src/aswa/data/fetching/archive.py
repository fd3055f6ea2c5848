"""Reads files out of an archive or a packed file, into memory.

Nothing is unpacked to disk, so no path in an archive leads anywhere. Links and devices are passed
over; nothing is unpickled or run; the bytes that come out are bounded.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aswa.data.fetching import FetchFailed

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
LIMIT = 2**30  # bytes out of one file, or of a tar archive; the largest graph here has under 2**26
_UNPACK: dict[str, Callable[..., Any]] = {"gz": gzip.open, "xz": lzma.open}


@contextlib.contextmanager
def members(path: Path, place: str) -> Iterator[dict[str, Callable[[], bytes]]]:
    """The regular files of an archive: how to read each, by its path in it.

    A single file, packed or plain, is its own content.

    Args:
        place: of the publisher, for messages; its ending says how the file is packed.

    Raises:
        FetchFailed: the archive is damaged, of another kind than its name says, or too large.
    """
    name = place.partition("?")[0].lower()
    unpacked = partial(_UNPACK.get(name[-2:], open), path, "rb")
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield {
                    info.filename: partial(_read, place, partial(archive.open, info))
                    for info in archive.infolist()
                    if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
                }
        elif name.endswith(ARCHIVES):
            # In memory at once, so that the bytes of members passed over are bounded too.
            with tarfile.open(fileobj=io.BytesIO(_read(place, unpacked)), mode="r:") as tar:
                yield {
                    member.name: partial(_read, place, partial(tar.extractfile, member))
                    for member in tar
                    if member.isreg()
                }
        else:
            yield {name: partial(_read, place, unpacked)}
    except FetchFailed:
        raise
    except Exception as error:  # the standard library has a dozen types for damaged archives
        raise FetchFailed(f"{place}: cannot be read ({error})") from error


def _read(place: str, opened: Callable[[], Any]) -> bytes:
    with opened() as stream:
        content: bytes = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise FetchFailed(f"{place}: holds more bytes than any graph here")
    return content
