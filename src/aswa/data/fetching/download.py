"""Downloads by pooch that go on where an earlier attempt, or an earlier process, was cut.

    .downloads/<name>/whole       the complete file: pooch puts it there by one rename
    .downloads/<name>/part        the bytes so far
    .downloads/<name>/validator   the version of the file that the part belongs to

where <name> stands for the URL. A complete file need not be the right one: callers check it. One
process at a time works on the folder.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pooch
import requests
from urllib3.exceptions import MaxRetryError

from aswa.data.fetching import FetchFailed, say

CHUNK = 2**12  # bytes; less than that is lost when a download stops
LARGEST = 4 * 2**30  # bytes of a file; the largest public archive here has 0.2 GB
TRIES = 4  # attempts in a row without progress, until the source is given up
PAUSE = 1.0  # seconds before the second attempt; doubled before every further one
TIMEOUT = 30.0  # seconds without a connection, or without a byte; a slow server is no problem
TEMPORARY = (408, 416, 425, 429)  # HTTP states below 500 after which another attempt may do

pooch.get_logger().setLevel("WARNING")


class Downloads:
    """Downloaded files in `folder`, kept until they are discarded."""

    def __init__(self, folder: Path, timeout: float = TIMEOUT) -> None:
        self.folder, self._timeout = folder, timeout

    def get(self, url: str) -> Path:
        """The complete file of a URL.

        Raises:
            FetchFailed: the server does not give it.
            OSError: it cannot be written.
        """
        place = self.place(url)
        if not (place / "whole").exists():
            say(f"downloading {url}")
        return Path(pooch.retrieve(url, None, "whole", place, downloader=self._download))

    def discard(self, urls: Iterable[str]) -> None:
        """Remove every complete file, and what has come of the files of `urls`."""
        complete = {whole.parent for whole in self.folder.glob("*/whole")}
        for place in complete.union(map(self.place, urls)):
            shutil.rmtree(place, ignore_errors=True)

    def place(self, url: str) -> Path:
        """The folder of a URL's file."""
        return self.folder / pooch.utils.unique_file_name(url)

    def _download(self, url: str, output_file: str, _: object) -> None:
        """A downloader for pooch: attempts, each from where the last ended."""
        part, fruitless = Path(output_file).with_name("part"), 0
        while True:
            part.touch()
            before = part.stat().st_size
            try:
                _attempt(url, part, self._timeout)
                break
            except requests.RequestException as error:
                why, final = _judge(error)
            fruitless = 0 if part.stat().st_size > before else fruitless + 1
            if final or fruitless >= TRIES:
                raise FetchFailed(f"{url}: {why}")
            say(f"{url}: {why}; trying again")
            time.sleep(PAUSE * 2 ** max(0, fruitless - 1))
        os.replace(part, output_file)


class _Part(io.FileIO):
    """The bytes so far; no answer, however long, fills the disk."""

    def write(self, content: Any) -> int:
        written = super().write(content)
        if self.tell() > LARGEST:
            self.truncate(0)
            raise FetchFailed(f"{self.name}: more than {LARGEST:,} bytes, so not a wanted file")
        return written


def _attempt(url: str, part: Path, timeout: float) -> None:
    """Append to the part, or start over if the server has another version or gives no ranges."""
    have, version = part.stat().st_size, part.with_name("validator")
    headers = {"User-Agent": "aswa-fetch", "Accept-Encoding": "identity"}
    if have and version.exists() and (validator := version.read_text("utf-8")):
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with _Part(part, "ab") as file:

        def begin(answer: requests.Response, **_: object) -> None:
            code, given = answer.status_code, answer.headers.get("Content-Range", "")
            if code == 206 and given.startswith(f"bytes {have}-"):
                return
            if have and code in (200, 206, 416):
                file.truncate(0)
            if code == 206:
                raise requests.RequestException("the server went on at another byte than asked")
            if code == 200:
                # A weak ETag names no exact version (RFC 9110, 13.1.5).
                names = [answer.headers.get(each, "W/") for each in ("ETag", "Last-Modified")]
                version.write_text(next((n for n in names if not n.startswith("W/")), ""), "utf-8")

        hooks = {"response": begin}  # called before the first byte of the body is read
        download = pooch.HTTPDownloader(
            sys.stderr.isatty(), CHUNK, headers=headers, timeout=timeout, hooks=hooks
        )
        download(url, file, None)


def _judge(error: requests.RequestException) -> tuple[str, bool]:
    """What went wrong, and whether another attempt would fail alike."""
    if error.response is not None:
        code = error.response.status_code
        return f"HTTP {code} {error.response.reason}", code < 500 and code not in TEMPORARY
    gone = next((each for each in error.args if isinstance(each, MaxRetryError)), None)
    cut = isinstance(error, requests.exceptions.ChunkedEncodingError)
    why = "the connection was cut" if cut else str(gone.reason if gone else error)
    return why, gone is not None and not isinstance(error, requests.Timeout)
