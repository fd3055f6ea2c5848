"""Texts on disk: a file a split, or several books a split, as `.txt`, `.txt.gz` or `.txt.xz`.

A dataset without `books` has train.txt, valid.txt and test.txt. `books` names other files by split,
and `parts` takes of every book of a split the characters between two shares of its length, so that
one file can serve all splits.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aswa.data.folders import ENDINGS, find_split, read_split
from aswa.data.text.alphabet import UNKNOWN, fold

MOST_UNKNOWN = 0.1  # of the characters of a folded split


def book_files(folder: Path, split: str, books: Mapping[str, Any] | None) -> list[Path]:
    """The files of a split, in order.

    Raises:
        ValueError: the dataset has no such split, or a file is not there; says what to do.
    """
    names = [split] if books is None else books.get(split)
    if not names:
        raise ValueError(f"the dataset has no {split} text; it is for evaluation by task.elsewhere")
    found = []
    for name in names:
        path = find_split(folder, name)
        if path is None:
            endings = ", ".join(ENDINGS)
            raise ValueError(
                f"{folder}: no file {name} of the {split} split, as one of {endings}; put it "
                "there, or name another folder with dataset.folder=PATH"
            )
        found.append(path)
    return found


def checksum(paths: list[Path]) -> str:
    """sha256 of the uncompressed bytes of all files, one after another.

    Raises:
        ValueError: a file cannot be read; names it.
    """
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(_read(path, stat.st_mtime_ns, stat.st_size))
    return digest.hexdigest()


@functools.lru_cache(maxsize=128)
def _read(path: Path, mtime_ns: int, size: int) -> bytes:
    """The uncompressed bytes of a file, which is read once a process unless it changes."""
    return read_split(path)


def read_books(folder: Path, split: str, options: Mapping[str, Any], size: int | None) -> list[str]:
    """The texts of a split's books.

    Args:
        folder: of the dataset.
        options: of the dataset: `books`, `parts`, `sha256`, `fold`.
        size: characters of all books together: so many of each, from its beginning (books that
            are too short make the split shorter). None: all.

    Raises:
        ValueError: a file is missing, not UTF-8, empty, or not the published one; or folding would
            leave little of the text. Names the file and the fix.
    """
    paths = book_files(folder, split, options.get("books"))
    expected = (options.get("sha256") or {}).get(split)
    if expected and (found := checksum(paths)) != expected:
        names = ", ".join(path.name for path in paths)
        raise ValueError(
            f"{folder}: {split} ({names}) has sha256 {found}, expected {expected}; get the files "
            "again, or give a text of your own as dataset=own_text dataset.folder=PATH"
        )
    first, last = (options.get("parts") or {}).get(split) or (0.0, 1.0)
    each = None if size is None else max(1, size // len(paths))
    texts = []
    for path in paths:
        text = _text(path)
        text = text[int(first * len(text)) : int(last * len(text))]
        # Folding drops combining marks alone: twice as much is enough.
        text = fold(text if each is None else text[: 2 * each]) if options["fold"] else text
        texts.append(text[:each])
        if len(texts[-1]) < 2:
            raise ValueError(f"{path}: no text for the {split} split; put some there")
        unknown = texts[-1].count(UNKNOWN) / len(texts[-1])
        if options["fold"] and unknown > MOST_UNKNOWN:
            raise ValueError(
                f"{path}: {unknown:.0%} of its characters are not in the alphabet of English "
                "prose; take dataset.vocabulary=bytes dataset.fold=false"
            )
    return texts


def _text(path: Path) -> str:
    stat = path.stat()
    try:
        text = _read(path, stat.st_mtime_ns, stat.st_size).decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: byte {error.start:,} is not UTF-8; convert it, as with iconv -t UTF-8"
        ) from None
    return text.replace("\r\n", "\n")
