"""Whether the files of a dataset are the published ones: checksums, and first use.

Where no checksum of a file is published, the checksum of the first download is kept in the
dataset's `checksums.json`, with its origin and date; from then on the file has to have it.
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


def match_published(content: bytes, expected: str) -> bytes:
    """The published bytes, if `content` has them but for its line ends.

    Mirrors exist with Windows line ends, and with or without a newline after the last triple. Only
    the checksum decides, so nothing else can pass.

    Raises:
        FetchFailed: no line ends give the expected sha256.
    """
    plain = content.replace(b"\r\n", b"\n")
    for candidate in (content, plain, plain + b"\n", plain.removesuffix(b"\n")):
        if hashlib.sha256(candidate).hexdigest() == expected:
            return candidate
    found = hashlib.sha256(content).hexdigest()
    raise FetchFailed(f"expected sha256 {expected}, found {found}")


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
