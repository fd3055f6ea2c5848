"""Whether the files on disk are the published ones: checksums, counts, and what was trusted.

Where no checksum of a file is published, the one of the first download is kept in the dataset's
`checksums.json`, with where and when it was had; from then on the file has to be that one.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aswa.data.fetching.archive import unpacked
from aswa.data.fetching.disk import write_atomically
from aswa.data.fetching.sources import REBUILT, Published
from aswa.data.folders import SPLITS, find_split

RECORDS = "checksums.json"

OK = "ok"
RECORDED = "recorded on first use"
UNRECORDED = "no checksum known, counts right"
WRONG = "wrong"
MISSING = "not there"


class BadRecords(ValueError):
    """A `checksums.json` that cannot be read; says what to do."""


@dataclass(frozen=True)
class FileState:
    """What is known of one split on disk.

    Attributes:
        state: one of OK, RECORDED, UNRECORDED, WRONG, MISSING.
        path: of the file; None if it is missing.
        sha256: of its uncompressed bytes; None if they cannot be had.
        detail: for WRONG and MISSING, what was expected and found.
    """

    state: str
    path: Path | None = None
    sha256: str | None = None
    detail: str = ""

    @property
    def usable(self) -> bool:
        """There, and nothing speaks against it."""
        return self.state in (OK, RECORDED, UNRECORDED)


def inspect(published: Published, folder: Path) -> dict[str, FileState]:
    """The state of every split in a folder, which need not exist."""
    records = read_records(folder)
    return {split: _inspect(published, folder, split, records.get(split)) for split in SPLITS}


def _inspect(
    published: Published, folder: Path, split: str, record: Mapping[str, str] | None
) -> FileState:
    path = find_split(folder, split)
    if path is None:
        rebuilt = find_split(folder, REBUILT) if split == "train" else None
        return FileState(MISSING, detail=f"only {rebuilt.name}, a rebuilt file" if rebuilt else "")
    known = published.checksum(split)
    expected = known or (record or {}).get("sha256")
    try:
        found = sha256_of(path)
        if expected:
            if found == expected:
                return FileState(OK if known else RECORDED, path, found)
            recorded = f" (recorded {record['date']})" if record and not known else ""
            detail = f"expected sha256 {expected}{recorded}, found {found}"
            return FileState(WRONG, path, found, detail)
        rows, wanted = count_rows(path), published.rows(split)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        return FileState(WRONG, path, None, f"cannot be read ({error})")
    if wanted is not None and rows != wanted:
        return FileState(WRONG, path, found, f"expected {wanted} triples, found {rows}")
    return FileState(UNRECORDED, path, found)


def _open(path: Path) -> IO[bytes]:
    return unpacked(path, path.suffix)


def sha256_of(path: Path) -> str:
    """sha256 of the uncompressed bytes, in hex."""
    with _open(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def match_published(path: Path, expected: str) -> str:
    """Give a plain file the published bytes, if only its line ends differ.

    Mirrors exist with Windows line ends, and with or without a newline after the last triple. Only
    the checksum decides, so nothing else can pass.

    Returns:
        sha256 of what the file now holds: `expected`, or another one if it is another file.
    """
    found = sha256_of(path)
    if found == expected:
        return found
    plain = path.read_bytes().replace(b"\r\n", b"\n")
    for content in (plain, plain + b"\n", plain.removesuffix(b"\n")):
        if hashlib.sha256(content).hexdigest() == expected:
            write_atomically(path, content)
            return expected
    return found


def count_rows(path: Path) -> int:
    """Number of triples.

    Raises:
        ValueError: a line is none; says which.
    """
    return sum(1 for _ in _triples(path))


def count_names(paths: Mapping[str, Path]) -> tuple[int, int]:
    """Number of entities and relations over some splits."""
    entities: set[bytes] = set()
    relations: set[bytes] = set()
    for path in paths.values():
        for fields in _triples(path):
            entities.update((fields[0], fields[-1]))
            relations.update(fields[1:-1])
    return len(entities), len(relations)


def _triples(path: Path) -> Iterator[list[bytes]]:
    with _open(path) as stream:
        for number, line in enumerate(stream):
            bare = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            fields = bare.rstrip(b"\r\n").split(b"\t")
            if len(fields) == 3 and all(fields):
                yield fields
            elif bare.strip():
                raise ValueError(f"line {number + 1} is no triple: {bare[:60]!r}")


def read_records(folder: Path) -> dict[str, dict[str, str]]:
    """What was trusted on first use: split → sha256, url and date. Empty if nothing was.

    Raises:
        BadRecords: the file is not what was written.
    """
    try:
        records = json.loads((folder / RECORDS).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        records = None
    if not isinstance(records, dict) or not all(_is_record(each) for each in records.values()):
        raise BadRecords(
            f"{folder / RECORDS}: not what aswa-fetch wrote; put it back, or delete it to trust "
            "the files anew"
        )
    return records


def _is_record(value: Any) -> bool:
    keys = ("sha256", "url", "date")
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in keys)


def write_records(folder: Path, records: Mapping[str, Mapping[str, str]]) -> None:
    """Write `checksums.json`, atomically.

    Raises:
        StorageFailed: it cannot be written.
    """
    content = json.dumps(records, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / RECORDS, content.encode())


def new_record(sha256: str, url: str) -> dict[str, str]:
    """One entry of `checksums.json`, of now."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"sha256": sha256, "url": url, "date": date}
