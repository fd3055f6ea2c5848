"""Whether the files of a dataset are the published ones: checksums, and first use.

Where no sha256 of a file is published, that of the first file is kept in the dataset's
`checksums.json`, with its origin and date; from then on the file has to have it. An md5 decides
which file may be the first, where one is published.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from aswa.data.fetching import FetchFailed

RECORDS = "checksums.json"
Records = dict[str, dict[str, str]]  # split → sha256, url and date

OK = "ok"
RECORDED = "recorded on first use"
UNRECORDED = "no checksum known, counts right"
WRONG = "wrong"
MISSING = "not there"


@dataclass(frozen=True)
class FileState:
    """The state of one file, or of a whole image dataset, on disk.

    Attributes:
        state: one of OK, RECORDED, UNRECORDED, WRONG, MISSING.
        path: None if the file is missing.
        detail: what was expected and found, unless the file is right.
    """

    state: str
    path: Path | None = None
    detail: str = ""

    @property
    def usable(self) -> bool:
        """The file is there, and nothing speaks against it."""
        return self.state not in (WRONG, MISSING)


def digest(content: bytes, algorithm: str = "sha256") -> str:
    """The checksum in hexadecimal digits; `algorithm` is sha256 or md5."""
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()


def match_published(content: bytes, expected: str, algorithm: str = "sha256") -> bytes:
    """The published bytes, if `content` has them but for its line ends.

    Mirrors exist with Windows line ends, and with or without a newline after the last triple. Only
    the checksum decides, so nothing else can pass.

    Raises:
        FetchFailed: no line ends give the expected checksum.
    """
    plain = content.replace(b"\r\n", b"\n")
    for candidate in (content, plain, plain + b"\n", plain.removesuffix(b"\n")):
        if digest(candidate, algorithm) == expected:
            return candidate
    found = digest(content, algorithm)
    raise FetchFailed(f"expected {algorithm} {expected}, found {found}")


def read_records(folder: Path) -> Records:
    """What was trusted on first use; empty where nothing was.

    Raises:
        FetchFailed: the file has another content than aswa-fetch gives it; says what to do.
    """
    try:
        records = json.loads((folder / RECORDS).read_bytes())
        return {
            split: {key: str(each[key]) for key in ("sha256", "url", "date")}
            for split, each in records.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise FetchFailed(
            f"{folder / RECORDS}: not what aswa-fetch wrote; put it back, or delete it to trust "
            "the files anew"
        ) from None
