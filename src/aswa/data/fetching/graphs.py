"""Graphs, from the sources to the data folder: one source after another, until every file is right.

Files come into memory, are checked there, and are written when the dataset is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from aswa.data.fetching import checks
from aswa.data.fetching.archive import Unreadable, contents
from aswa.data.fetching.checks import MISSING, OK, WRONG, ChecksumMismatch, FileState
from aswa.data.fetching.download import DownloadFailed, Downloads, Say
from aswa.data.fetching.sources import DatasetFiles, FetchFailed, Source
from aswa.data.folders import SPLITS, find_split, read_split
from aswa.files import write_bytes

Records = dict[str, dict[str, str]]
Offers = Iterator[tuple[str, str, bytes]]  # split, place, content


def fetch(
    files: DatasetFiles, data_dir: Path, downloads: Downloads, say: Say, from_dir: Path | None
) -> str:
    """Bring a graph to `data_dir`; see `aswa.data.fetching.command`."""
    folder = data_dir / files.folder
    try:
        records, states = checks.read_records(folder), inspect(files, folder)
    except checks.BadRecords as error:
        raise FetchFailed(f"{files.name}: {error}") from None
    there = {split: state.path for split, state in states.items() if state.usable and state.path}
    on_trust = [s for s in SPLITS if not files.sha256.get(s) and s not in records]
    found = {split: (str(path), read_split(path)) for split, path in there.items()}
    if not _lacking(found) and not on_trust:
        return "was there already"
    reasons = [f"{each.path}: {each.detail}" for each in states.values() if each.state == WRONG]
    by_source = (_from_source(files, downloads, source, found) for source in files.sources)
    for offers in by_source if from_dir is None else _from_folder(files, from_dir, found):
        reasons += _take(files, records, offers, found)
    if _lacking(found):
        raise FetchFailed(_failure(files, _lacking(found), reasons, from_dir))
    for reason in reasons:
        say(f"{files.name}: {reason}")
    for split in SPLITS:
        if split not in there:
            _set_aside(folder, split, say)
            write_bytes(folder / f"{split}.txt", found[split][1])
    for split in on_trust:
        place, content = found[split]
        records[split] = checks.new_record(checks.sha256_of(content), place)
        say(f"{files.name}: no checksum of {split}.txt is published; trusted on first use")
        checks.write_records(folder, records)
    return "fetched" if from_dir is None else f"taken from {from_dir}"


def inspect(files: DatasetFiles, folder: Path) -> dict[str, FileState]:
    """The state of every split; raises BadRecords where `checksums.json` cannot be read."""
    records = checks.read_records(folder)
    return {split: _state(files, folder, split, records) for split in SPLITS}


def _state(files: DatasetFiles, folder: Path, split: str, records: Records) -> FileState:
    path = find_split(folder, split)
    if path is None:
        return FileState(MISSING)
    try:
        content = read_split(path)
        if _check(files, split, records, content) != content:
            return FileState(WRONG, path, "the published file has other line ends")
    except ValueError as error:
        return FileState(WRONG, path, str(error))
    recorded = checks.RECORDED if split in records else checks.UNRECORDED
    return FileState(OK if files.sha256.get(split) else recorded, path)


def _check(files: DatasetFiles, split: str, records: Records, content: bytes) -> bytes:
    """The right bytes of a split; raises ChecksumMismatch where `content` cannot be them."""
    expected = files.sha256.get(split) or records.get(split, {}).get("sha256")
    if expected:
        return checks.match_published(content, expected)
    return checks.check_rows(content, files.triples.get(split))


def _lacking(found: Mapping[str, object]) -> list[str]:
    return [split for split in SPLITS if split not in found]


def _take(
    files: DatasetFiles, records: Records, offers: Offers, found: dict[str, tuple[str, bytes]]
) -> Iterator[str]:
    """Add what is right to `found`; yields what is wrong with the rest."""
    try:
        for split, place, content in offers:
            try:
                found[split] = place, _check(files, split, records, content)
            except ChecksumMismatch as error:
                yield f"{place}: {split}.txt is not the published one: {error}"
    except (DownloadFailed, Unreadable) as error:
        yield str(error)


def _from_source(
    files: DatasetFiles, downloads: Downloads, source: Source, found: Mapping[str, object]
) -> Offers:
    if source.member is not None and _lacking(found):
        yield from _from_archive(files, downloads.get(source.url), source, source.url, found)
    for split in _lacking(found) if source.member is None else ():
        url = source.url.replace("{split}", split)
        for _, read in contents(downloads.get(url), url):
            yield split, url, read()


def _from_folder(
    files: DatasetFiles, from_dir: Path, found: Mapping[str, object]
) -> Iterator[Offers]:
    """From `<folder>/<split>.txt[.gz|.xz]`, whatever its case, or from archives of the sources."""
    alike = files.folder.casefold()
    for folder in sorted(path for path in from_dir.iterdir() if path.name.casefold() == alike):
        for split in _lacking(found):
            if path := find_split(folder, split):
                yield ((split, str(path), read()) for _, read in contents(path, str(path)))
    for source in files.sources:
        archive = from_dir / source.file_name
        if _lacking(found) and source.member is not None and archive.is_file():
            yield _from_archive(files, archive, source, str(archive), found)


def _from_archive(
    files: DatasetFiles, archive: Path, source: Source, place: str, found: Mapping[str, object]
) -> Offers:
    """The members that were named; failing these, of whatever folder, what can be meant."""
    names = [name for name, _ in contents(archive, place)]
    meant: dict[str, str] = {}
    for split in _lacking(found):
        wanted = PurePosixPath(str(source.member).replace("{split}", split))
        alike = [name for name in names if PurePosixPath(name).name == f"{split}.txt"]
        if len(alike) > 1 and not files.sha256.get(split):
            alike = []
        meant |= dict.fromkeys([n for n in names if PurePosixPath(n) == wanted] or alike, split)
    for name, read in contents(archive, place):
        if meant.get(name) in _lacking(found):
            yield meant[name], f"{place}, {name}", read()
    if absent := [split for split in _lacking(found) if split not in meant.values()]:
        held = ", ".join(names[:20]) or "no files"
        raise Unreadable(f"{place}: no {source.member} for {', '.join(absent)}; it holds {held}")


def _set_aside(folder: Path, split: str, say: Say) -> None:
    """A wrong file may be somebody's own: it is kept under another name."""
    while wrong := find_split(folder, split):
        number = 1
        while (kept := wrong.with_name(f"{wrong.name}.wrong{number}")).exists():
            number += 1
        os.replace(wrong, kept)
        say(f"{wrong} was not the published one; kept as {kept}")


def _failure(
    files: DatasetFiles, lacking: list[str], reasons: list[str], from_dir: Path | None
) -> str:
    head = f"{files.name}: no source has {', '.join(f'{split}.txt' for split in lacking)}"
    archives = dict.fromkeys(each.file_name for each in files.sources if each.member is not None)
    wanted = " or ".join([f"{files.folder}/<split>.txt[.gz|.xz]", *archives])
    fix = f"--from {from_dir} should hold {wanted}"
    if from_dir is None:
        fix = f"try again later, add a mirror to `sources` of conf/dataset/{files.name}.yaml, or "
        fix += f"get the files by other means and use --from DIR, which holds {wanted}"
    return "\n  ".join([head, *reasons, fix])
