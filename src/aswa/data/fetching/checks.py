"""Whether the files of a graph are the published ones: checksums, counts, and first use.

Where no checksum of a file is published, the checksum of the first download is kept in the
dataset's `checksums.json`, with its origin and date; from then on the file has to have it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aswa.files import write_bytes

RECORDS = "checksums.json"

OK = "ok"
RECORDED = "recorded on first use"
UNRECORDED = "no checksum known, counts right"
WRONG = "wrong"
MISSING = "not there"


class BadRecords(ValueError):
    """A `checksums.json` that cannot be read; says what to do."""


class ChecksumMismatch(ValueError):
    """A file is not the published one; says what was expected and found."""


@dataclass(frozen=True)
class FileState:
    """The state of one file, or of a whole image dataset, on disk.

    Attributes:
        state: one of OK, RECORDED, UNRECORDED, WRONG, MISSING.
        path: None if the file is missing.
        detail: for WRONG, what was expected and found.
    """

    state: str
    path: Path | None = None
    detail: str = ""

    @property
    def usable(self) -> bool:
        """The file is there, and nothing speaks against it."""
        return self.state not in (WRONG, MISSING)


def sha256_of(content: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def match_published(content: bytes, expected: str) -> bytes:
    """The published bytes, if `content` has them but for its line ends.

    Mirrors exist with Windows line ends, and with or without a newline after the last triple. Only
    the checksum decides, so nothing else can pass.

    Raises:
        ChecksumMismatch: no line ends give the expected sha256.
    """
    plain = content.replace(b"\r\n", b"\n")
    for candidate in (content, plain, plain + b"\n", plain.removesuffix(b"\n")):
        if sha256_of(candidate) == expected:
            return candidate
    raise ChecksumMismatch(f"expected sha256 {expected}, found {sha256_of(content)}")


def check_rows(content: bytes, expected: int | None) -> bytes:
    """The content, if every line is a triple and, where known, there are as many as expected.

    Raises:
        ChecksumMismatch: says which line is none, or how many triples there are.
    """
    rows = 0
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        fields = line.rstrip(b"\r").split(b"\t")
        if line.strip() and not (len(fields) == 3 and all(fields)):
            raise ChecksumMismatch(f"line {number} is no triple: {line[:60]!r}")
        rows += bool(line.strip())
    if expected not in (None, rows):
        raise ChecksumMismatch(f"expected {expected} triples, found {rows}")
    return content


def read_records(folder: Path) -> dict[str, dict[str, str]]:
    """What was trusted on first use: split → sha256, url and date. Empty where nothing was.

    Raises:
        BadRecords: the file has another content than `write_records` gives it.
    """
    try:
        records = json.loads((folder / RECORDS).read_bytes())
        return {split: {key: f"{each[key]}" for key in ("sha256", "url", "date")}
                for split, each in records.items()}  # fmt: skip
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadRecords(
            f"{folder / RECORDS}: not what aswa-fetch wrote; put it back, or delete it to trust "
            "the files anew"
        ) from None


def write_records(folder: Path, records: Mapping[str, Mapping[str, str]]) -> None:
    """Write `checksums.json`, atomically."""
    write_bytes(folder / RECORDS, (json.dumps(records, indent=1, sort_keys=True) + "\n").encode())


def new_record(sha256: str, url: str) -> dict[str, str]:
    """One entry of `checksums.json`, of now."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"sha256": sha256, "url": url, "date": date}
