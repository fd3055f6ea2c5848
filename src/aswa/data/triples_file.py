"""One file of triples: its bytes, its checksum and its names.

A file is `<split>.txt`, `.txt.gz` or `.txt.xz`: head TAB relation TAB tail, UTF-8, one triple a
line, ended by a newline alone or after a carriage return. A byte-order mark and blank lines are
passed over. Names may hold spaces, which are part of them, and anything else but tabs and line
ends. `parse` is fast on plain files and goes line by line through the others; both give the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from aswa.data.folders import ENDINGS, find_split, read_split

_MARK = b"\xef\xbb\xbf"
_BLOCK = 2**20  # bytes that a thread parses at a time, measured
_COLUMNS = ("head", "relation", "tail")


@dataclass(frozen=True)
class TriplesFile:
    """A file as it is stored.

    Attributes:
        path: of the file.
        stored: its bytes.
        sha256: of these.
    """

    path: Path
    stored: bytes
    sha256: str

    def content(self) -> bytes:
        """The uncompressed bytes; raises as `read_split`."""
        return read_split(self.path, self.stored)


def open_split(folder: Path, split: str) -> TriplesFile:
    """The file of a split.

    Raises:
        FileNotFoundError: it is not there; says which names were tried.
        ValueError: it cannot be read.
    """
    path = find_split(folder, split)
    if path is None:
        tried = ", ".join(f"{split}{ending}" for ending in ENDINGS)
        raise FileNotFoundError(f"{folder}: no {split} split (looked for {tried})")
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); get the file again") from None
    return TriplesFile(path, stored, hashlib.sha256(stored).hexdigest())


def parse(content: bytes, path: Path) -> pa.Table:
    """Columns head, relation, tail of names, in the order of the lines.

    Args:
        content: uncompressed bytes.
        path: where they are from, for messages.

    Raises:
        ValueError: not UTF-8, a line is not a triple, or there is none; names file and line.
    """
    table = _parse_plain(content)
    return _parse_lines(content, path) if table is None else table


def _parse_plain(content: bytes) -> pa.Table | None:
    """The table of a file without blank lines or faults; None if it may have some."""
    if content.startswith(_MARK) or content.endswith((b"\n\n", b"\r\n")):
        content = content.removeprefix(_MARK).rstrip(b"\r\n")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
        if b"\r" in content:  # part of a name: Arrow would end the line there
            return None
    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(content),
            pyarrow.csv.ReadOptions(column_names=list(_COLUMNS), block_size=_BLOCK),
            pyarrow.csv.ParseOptions(
                delimiter="\t", quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    # No line at all has no shortest name, and is left to the other parser too.
    shortest = (pc.min(pc.binary_length(table[column])).as_py() for column in _COLUMNS)
    return table if all(shortest) else None


def _parse_lines(content: bytes, path: Path) -> pa.Table:
    """The table of any file, line by line."""
    try:
        text = content.removeprefix(_MARK).decode()
    except UnicodeDecodeError as error:
        line = content.removeprefix(_MARK).count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: cannot be read (line {line} is not UTF-8: {error}); get the file again"
        ) from None
    triples = []
    for number, written in enumerate(text.split("\n"), 1):
        fields = written.rstrip("\r").split("\t")
        if len(fields) == 3 and all(fields):
            triples.append(fields)
        elif written.strip(" \r"):
            raise ValueError(
                f"{path}, line {number}: expected head TAB relation TAB tail, "
                f"found {len(fields)} field(s): {written.rstrip()[:80]!r}"
            )
    if not triples:
        raise ValueError(f"{path}: the file is empty")
    columns = [pa.array(column, pa.string()) for column in zip(*triples, strict=True)]
    return pa.table(dict(zip(_COLUMNS, columns, strict=True)))


def line_of(content: bytes, relation: str) -> int:
    """The first line, from 1, whose relation is the one given; the relation occurs."""
    lines, wanted = enumerate(content.split(b"\n"), 1), [relation.encode()]
    return next(number for number, line in lines if line.split(b"\t")[1:2] == wanted)
