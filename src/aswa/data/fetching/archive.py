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
LIMIT = 2**30  # bytes out of one file; the largest graph of conf/dataset has under 2**26
_UNPACK: dict[str, Callable[..., Any]] = {"gz": gzip.open, "xz": lzma.open}


@contextlib.contextmanager
def members(path: Path, place: str, limit: int = LIMIT) -> Iterator[dict[str, Callable[[], bytes]]]:
    """The regular files of an archive: how to read each, by its path in it.

    A single file, packed or plain, is its own content.

    Args:
        place: of the publisher, for messages; its ending says how the file is packed.
        limit: bytes of one file, or of a whole tar archive.

    Raises:
        FetchFailed: the archive is damaged, of another kind than its name says, or too large.
    """
    name = place.partition("?")[0].lower()
    bounded = partial(_bounded, place, limit)
    whole = partial(bounded, partial(_UNPACK.get(name[-2:], open), path, "rb"))
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield {
                    info.filename: partial(bounded, partial(archive.open, info))
                    for info in archive.infolist()
                    if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
                }
        elif name.endswith(ARCHIVES):
            # In memory at once, so that the bytes of members passed over are bounded too.
            with tarfile.open(fileobj=io.BytesIO(whole()), mode="r:") as tar:
                yield {
                    member.name: partial(bounded, partial(tar.extractfile, member))
                    for member in tar
                    if member.isreg()
                }
        else:
            yield {name: whole}
    except FetchFailed:
        raise
    except Exception as error:  # the standard library has a dozen types for damaged archives
        raise FetchFailed(f"{place}: cannot be read ({error})") from error


def _bounded(place: str, limit: int, opened: Callable[[], Any]) -> bytes:
    with opened() as stream:
        content: bytes = stream.read(limit + 1)
    if len(content) > limit:
        raise FetchFailed(f"{place}: holds more bytes than any graph here")
    return content
