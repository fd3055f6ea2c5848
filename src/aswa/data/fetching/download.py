"""Downloads over http(s) that survive cut connections, and of which two processes make one.

The standard library's urllib, because a download that goes on where it was cut, from the same
version of the file, needs control of the headers; pooch, for one, starts over.

    .downloads/<key>.part    what came so far     .downloads/<key>.lock    who works on it
    .downloads/<key>.json    of which version     .downloads/<key>.whole   the complete file

where <key> stands for the URL. Whole says nothing about right: callers check the content.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from aswa.data.fetching.disk import lock, storing, sync, write_atomically

BLOCK = 2**18
LARGEST = 4 * 2**30  # bytes of a file; the largest data set that is known here has 0.2 GB packed


class DownloadFailed(Exception):
    """A URL could not be downloaded completely; says which one and why."""


class _Cut(Exception):
    """An attempt ended early, and another one may go further."""


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        timeout: seconds without a connection, or without a byte. A slow server is no problem.
        tries: attempts in a row that bring less than `enough`, until the source is given up.
        pause: seconds before the second attempt; doubled before every further one.
        enough: bytes of progress that make an attempt no failure.
    """

    timeout: float = 30.0
    tries: int = 4
    pause: float = 1.0
    enough: int = 2**20


class Downloads:
    """Files of the web, kept until all who want them are done. Use it in a `with` statement.

    Args:
        folder: where they are kept; a second process on the same folder shares them.
        patience: how long to try.
        say: called with a line for a person.
        shared: URLs that more than one dataset of this call may want.
    """

    def __init__(
        self,
        folder: Path,
        patience: Patience,
        say: Callable[[str], None],
        shared: Collection[str] = (),
    ) -> None:
        self._folder, self._patience, self._say, self._shared = folder, patience, say, set(shared)
        self._held: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for url in list(self._held):
            if kind is None:
                self._remove(url)
            else:  # stopped in the middle: what is there serves the next call
                self._held.pop(url).close()

    def get(self, url: str) -> Path:
        """The whole file of a URL; nobody removes it before `done` or the end of the `with`.

        Raises:
            DownloadFailed: it could not be had.
            StorageFailed: it could not be written.
        """
        whole = self._path(url, "whole")
        if url in self._held:
            return whole
        waiting = f"another process is downloading {url}; waiting for it"
        file = lock(self._path(url, "lock"), lambda: self._say(waiting))
        try:
            while True:
                if not whole.exists():
                    self._download(url, whole)
                fcntl.flock(file, fcntl.LOCK_SH)  # shared now, after a moment without a lock
                if whole.exists():
                    break
                fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            file.close()
            raise
        self._held[url] = file
        return whole

    def done(self, url: str, damaged: bool = False) -> None:
        """A dataset needs the file no more; remove it, unless others may want it."""
        if damaged or url not in self._shared:
            self._remove(url)

    def _remove(self, url: str) -> None:
        if url not in self._held and not self._path(url, "part").exists():
            return
        path = self._path(url, "lock")
        with storing(path):
            file = self._held.pop(url, None) or path.open("ab")
        with file, contextlib.suppress(BlockingIOError):  # another process has it, and removes it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for ending in ("whole", "part", "json"):
                self._path(url, ending).unlink(missing_ok=True)

    def _path(self, url: str, ending: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:20]}.{ending}"

    def _download(self, url: str, whole: Path) -> None:
        part, fruitless = self._path(url, "part"), 0
        name = "/".join(url.split("/")[-2:])
        quiet = not sys.stderr.isatty()
        if quiet:
            self._say(f"downloading {url}")
        with tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=quiet) as bar:
            while True:
                before = _size(part)
                try:
                    _attempt(url, part, self._path(url, "json"), self._patience.timeout, bar)
                    break
                except TimeoutError:
                    why = f"nothing came for {self._patience.timeout:g} s"
                except (_Cut, OSError, http.client.HTTPException) as error:
                    why = str(error) or type(error).__name__
                fruitless = 0 if _size(part) - before >= self._patience.enough else fruitless + 1
                if fruitless >= self._patience.tries:
                    raise DownloadFailed(f"{url}: {why}, {fruitless} times in a row")
                self._say(f"{url}: {why}; trying again")
                time.sleep(self._patience.pause * 2 ** max(0, fruitless - 1))
        with storing(part):
            sync(part)
            os.replace(part, whole)
            self._path(url, "json").unlink(missing_ok=True)


def _attempt(url: str, part: Path, notes: Path, timeout: float, bar: tqdm[Any]) -> None:
    """Go on with a download where it is; return when it is whole.

    Raises:
        _Cut, OSError, HTTPException: it is not, but may be after another attempt.
        DownloadFailed: it will not be.
    """
    have, version = _size(part), _read_notes(notes)
    if have and have == version.get("length"):
        return
    headers = {"User-Agent": "aswa-fetch"}
    if have and version.get("validator"):
        headers |= {"Range": f"bytes={have}-", "If-Range": version["validator"]}
    with _open(urllib.request.Request(url, headers=headers), part, timeout) as answer:
        start, length = _extent(answer, have)
        if answer.status == 206 and (start != have or length != version.get("length", length)):
            part.unlink(missing_ok=True)
            raise _Cut("the server went on with something else than was asked for")
        _bound(url, length or 0, part)
        with storing(part):
            file = part.open("ab" if start else "wb")
        with file:
            version = {"url": url, "length": length, "validator": _validator(answer)}
            write_atomically(notes, json.dumps(version).encode())
            bar.total, bar.n = length, start
            size = start
            while block := answer.read1(BLOCK):
                size += len(block)
                _bound(url, size, part)  # the server may not have said how much it sends
                with storing(part):
                    file.write(block)
                    file.flush()
                bar.update(len(block))
    have = _size(part)
    if length is not None and have != length:
        raise _Cut(f"the connection was cut after {have:,} of {length:,} bytes")


def _bound(url: str, size: int, part: Path) -> None:
    """Fill no disk with an endless answer."""
    if size > LARGEST:
        part.unlink(missing_ok=True)
        raise DownloadFailed(
            f"{url}: more than {LARGEST:,} bytes, so it is not the file that was wanted; if it is, "
            "download it by other means and use --from DIR"
        )


def _open(request: urllib.request.Request, part: Path, timeout: float) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
        return answer
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # there is no such range: what came so far is of another file
            part.unlink(missing_ok=True)
            raise _Cut("the server cannot go on from here; starting over") from None
        if error.code < 500 and error.code not in (408, 425, 429):
            raise DownloadFailed(f"{request.full_url}: {error}") from None
        raise _Cut(str(error)) from None
    except urllib.error.URLError as error:
        hopeless = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)
        if isinstance(error.reason, hopeless):
            raise DownloadFailed(f"{request.full_url}: {error.reason}") from None
        raise _Cut(str(error.reason)) from None


def _extent(answer: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the answer begins and how long the whole file is, if the server says so."""
    given = answer.headers.get("Content-Length")
    length = int(given) if given and given.isdigit() else None
    if answer.status != 206:  # the whole file, also where only a part was asked for
        return 0, length
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not found:
        return -1, None
    start = int(found[1])
    return start, int(found[2]) if found[2] != "*" else length and start + length


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """What names this version of the file exactly; a weak ETag does not (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")


def _read_notes(notes: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(notes.read_bytes()))
    except (OSError, ValueError):
        return {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
