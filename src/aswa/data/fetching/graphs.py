"""Graphs, from the sources to the data folder: one source after another, until every file is right.

Files come into memory, are checked there, and are written when the dataset is complete.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from aswa.data.fetching import FetchFailed, checks, say
from aswa.data.fetching.archive import members
from aswa.data.fetching.checks import FileState, Records, match_published, read_records
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import DatasetFiles, Source
from aswa.data.folders import ENDINGS, SPLITS, find_split, read_split
from aswa.data.triples_file import parse
from aswa.files import write_bytes

Found = dict[str, tuple[str, bytes]]  # split → place, content


def fetch(files: DatasetFiles, data_dir: Path, downloads: Downloads, from_dir: Path | None) -> str:
    """Bring a graph to `data_dir`; see `aswa.data.fetching.command`."""
    folder = data_dir / files.folder
    records, states = read_records(folder), inspect(files, folder)
    there = {split: state.path for split, state in states.items() if state.usable and state.path}
    found: Found = {split: (str(path), read_split(path)) for split, path in there.items()}
    if not _lacking(found) and not _unrecorded(files, records, found):
        return "was there already"
    reasons = [f"{each.path}: {each.detail}" for each in states.values() if each.detail]
    get = Path if from_dir else downloads.get
    for source in _sources(files, from_dir):
        reasons += _take(files, records, _offers(files, source, get, found), found)
    if lacking := _lacking(found):
        raise FetchFailed(_failure(files, lacking, reasons, from_dir))
    for reason in reasons:
        say(f"{files.name}: {reason}")
    for split in SPLITS:
        if split not in there:
            _set_aside(folder, split)
            write_bytes(folder / f"{split}.txt", found[split][1])
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    new = _unrecorded(files, records, found)
    for split in new:
        place, content = found[split]
        records[split] = {"sha256": checks.digest(content), "url": place, "date": date}
        if not files.md5.get(split):
            say(f"{files.name}: no checksum of {split}.txt is published; trusted on first use")
    if new:
        written = json.dumps(records, indent=1, sort_keys=True) + "\n"
        write_bytes(folder / checks.RECORDS, written.encode())
    return f"taken from {from_dir}" if from_dir else "fetched"


def inspect(files: DatasetFiles, folder: Path) -> dict[str, FileState]:
    """The state of every split; raises FetchFailed where `checksums.json` cannot be read."""
    records, states = read_records(folder), dict.fromkeys(SPLITS, FileState(checks.MISSING))
    for split in SPLITS:
        if path := find_split(folder, split):
            recorded = checks.RECORDED if split in records else checks.UNRECORDED
            published = files.sha256.get(split) or files.md5.get(split)
            states[split] = FileState(checks.OK if published else recorded, path)
            try:
                content = read_split(path)
                if _check(files, split, records, content) != content:
                    raise FetchFailed("the published file has other line ends")
            except ValueError as error:
                states[split] = FileState(checks.WRONG, path, str(error))
    return states


def _check(files: DatasetFiles, split: str, records: Records, content: bytes) -> bytes:
    """The right bytes: those of the checksum or, where none is known, the number of triples."""
    if not files.sha256.get(split) and (expected := files.md5.get(split)):
        return match_published(content, expected, "md5")
    if expected := files.sha256.get(split) or records.get(split, {}).get("sha256"):
        return match_published(content, expected)
    rows, expected_rows = len(parse(content, Path(f"{split}.txt"))), files.triples.get(split)
    if expected_rows not in (None, rows):
        raise FetchFailed(f"expected {expected_rows} triples, found {rows}")
    return content


def _unrecorded(files: DatasetFiles, records: Records, found: Found) -> list[str]:
    """Splits without a published sha256 whose record is missing, or is of another file."""
    return [
        split
        for split, (_, content) in found.items()
        if not files.sha256.get(split)
        and records.get(split, {}).get("sha256") != checks.digest(content)
    ]


def _lacking(found: Found) -> list[str]:
    return [split for split in SPLITS if split not in found]


def _sources(files: DatasetFiles, from_dir: Path | None) -> Sequence[Source]:
    """The published ones; those in `from_dir`: a folder by any case, archives by their names."""
    if from_dir is None:
        return files.sources
    alike = files.folder.casefold()
    folders = sorted(path for path in from_dir.iterdir() if path.name.casefold() == alike)
    local = [Source(f"{folder}/{{split}}{ending}") for folder in folders for ending in ENDINGS]
    archives = [each for each in files.sources if each.member is not None]
    return local + [Source(str(from_dir / each.file_name), each.member) for each in archives]


def _take(
    files: DatasetFiles, records: Records, offers: Iterator[tuple[str, str, bytes]], found: Found
) -> Iterator[str]:
    """Add what is right to `found`; yields what is wrong with the rest."""
    try:
        for split, place, content in offers:
            try:
                found[split] = place, _check(files, split, records, content)
            except ValueError as error:
                yield f"{place}: {split}.txt is not the published one: {error}"
    except ValueError as error:
        yield str(error)


def _offers(
    files: DatasetFiles, source: Source, get: Callable[[str], Path], found: Found
) -> Iterator[tuple[str, str, bytes]]:
    """Split, place and content of what a source has, while the split is not found."""
    lacking = _lacking(found)
    if source.member is None:
        for split in lacking:
            place = source.url.replace("{split}", split)
            if (path := get(place)).is_file():
                with members(path, place) as held:
                    yield from ((split, place, read()) for read in held.values())
    elif lacking and (path := get(source.url)).is_file():
        with members(path, source.url) as held:
            meant = {split: _meant(files, source.member, split, list(held)) for split in lacking}
            for split in lacking:
                for name in meant[split]:
                    if split not in found:
                        yield split, f"{source.url}, {name}", held[name]()
        if absent := ", ".join(split for split in lacking if not meant[split]):
            names = ", ".join(list(held)[:20]) or "no files"
            raise FetchFailed(f"{source.url}: no {source.member} for {absent}; it holds {names}")


def _meant(files: DatasetFiles, member: str, split: str, names: list[str]) -> list[str]:
    """The member that was named; failing this, of whatever folder, what can be meant."""
    wanted = PurePosixPath(member.replace("{split}", split))
    named = [name for name in names if PurePosixPath(name) == wanted]
    alike = [name for name in names if PurePosixPath(name).name == f"{split}.txt"]
    # Of several, only a published checksum can choose.
    decides = files.sha256.get(split) or files.md5.get(split)
    return named or (alike if len(alike) == 1 or decides else [])


def _set_aside(folder: Path, split: str) -> None:
    """A wrong file may be somebody's own: it is kept under another name."""
    while wrong := find_split(folder, split):
        names = (wrong.with_name(f"{wrong.name}.wrong{number}") for number in itertools.count(1))
        kept = next(name for name in names if not name.exists())
        os.replace(wrong, kept)
        say(f"{wrong} was not the published one; kept as {kept}")


def _failure(
    files: DatasetFiles, lacking: list[str], reasons: list[str], from_dir: Path | None
) -> str:
    head = f"no source has {', '.join(f'{split}.txt' for split in lacking)}"
    archives = dict.fromkeys(each.file_name for each in files.sources if each.member is not None)
    wanted = " or ".join([f"{files.folder}/<split>.txt[.gz|.xz]", *archives])
    fix = f"--from {from_dir} should hold {wanted}"
    if from_dir is None:
        fix = f"try again later, add a mirror to `sources` of conf/dataset/{files.name}.yaml, or "
        fix += f"get the files by other means and use --from DIR, which holds {wanted}"
    return "\n  ".join([head, *reasons, fix])
