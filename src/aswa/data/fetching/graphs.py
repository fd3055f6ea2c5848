"""From the sources of a dataset to its folder: one after another, until every file is right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from aswa.data.fetching.archive import Unreadable, copy_member, copy_unpacked, members
from aswa.data.fetching.checks import BadRecords
from aswa.data.fetching.disk import lock
from aswa.data.fetching.download import DownloadFailed, Downloads
from aswa.data.fetching.gathering import Gathering, NotIt, Say, downloads_folder
from aswa.data.fetching.sources import REBUILT, Published, Source, ending_of
from aswa.data.folders import SPLITS, find_split


class FetchFailed(Exception):
    """A dataset is not complete after all of its sources; says what each of them had."""


def fetch(
    published: Published,
    data_dir: Path,
    downloads: Downloads,
    say: Say,
    from_dir: Path | None = None,
) -> str:
    """Bring a dataset to `data_dir`, unless it is there and right.

    Args:
        downloads: of `downloads_folder(data_dir)`.
        say: called with a line for a person.
        from_dir: take the files from this folder, and nothing from the network.

    Returns:
        what was done, in words.

    Raises:
        FetchFailed: no source had the right files; nothing has changed but what was right already.
        StorageFailed: the data folder cannot be written to.
    """
    waiting = f"{published.name}: another process is fetching it; waiting for that"
    path = downloads_folder(data_dir) / f"{published.folder}.lock"
    with lock(path, lambda: say(waiting)):
        try:
            gathering = Gathering(published, data_dir, say)
        except BadRecords as error:
            raise FetchFailed(f"{published.name}: {error}") from None
        if gathering.complete:
            return "was there already"
        gathering.begin()
        reasons = list(_gather(gathering, downloads, from_dir))
        if gathering.lacking:
            raise FetchFailed(_failure(gathering, reasons, from_dir))
        gathering.put_in_place()
        for source in published.sources:  # what was begun at a mirror that failed
            for split in SPLITS:
                downloads.done(source.url.replace("{split}", split))
    return "fetched" if from_dir is None else f"taken from {from_dir}"


def _gather(gathering: Gathering, downloads: Downloads, from_dir: Path | None) -> Iterator[str]:
    """Go through the sources until nothing lacks; yields what was wrong with each."""
    published = gathering.published
    attempts = [_what_is_there(gathering)]  # each begins when it is asked for what was wrong
    if from_dir is not None:
        attempts.append(_from_folder(gathering, from_dir))
    else:
        attempts += [_from_source(gathering, downloads, source) for source in published.sources]
    for number, attempt in enumerate(attempts):
        if number and not gathering.lacking:
            break
        wrong = list(attempt)
        try:
            gathering.check_counts()
        except NotIt as error:
            wrong.append(str(error))
        for reason in wrong:
            gathering.say(f"{published.name}: {reason}")
            yield reason


def _what_is_there(gathering: Gathering) -> Iterator[str]:
    for split, state in gathering.states.items():
        if state.path is not None and not state.usable:
            yield f"{state.path}: {split}.txt is not the published one: {state.detail}"


def _from_source(gathering: Gathering, downloads: Downloads, source: Source) -> Iterator[str]:
    if source.member is not None:
        try:
            path, damaged = downloads.get(source.url), False
            try:
                yield from _from_archive(gathering, path, source, source.url)
            except Unreadable as error:
                damaged = True
                yield f"{source.url}: {error}"
            downloads.done(source.url, damaged)
        except DownloadFailed as error:
            yield str(error)
        return
    for split in list(gathering.lacking):
        url = source.url.replace("{split}", split)
        try:
            path = downloads.get(url)
        except DownloadFailed as error:
            yield str(error)
            return  # the other files of this server would fail alike
        reason = _try_file(gathering, split, path, source.ending, url)
        downloads.done(url)
        if reason:
            yield reason


def _try_file(gathering: Gathering, split: str, path: Path, ending: str, place: str) -> str:
    """Offer a single file; returns what is wrong with it, or nothing."""
    try:
        gathering.offer(split, lambda target: copy_unpacked(path, ending, target), place)
    except (NotIt, Unreadable) as error:
        return f"{place}: {error}"
    return ""


def _from_archive(gathering: Gathering, archive: Path, source: Source, place: str) -> Iterator[str]:
    names = members(archive, source.ending)
    for split in list(gathering.lacking):
        candidates = _candidates(gathering.published, names, str(source.member), split)
        wrong = ""
        for name in candidates:
            try:
                copy = partial(copy_member, archive, source.ending, name)
                gathering.offer(split, copy, f"{place}, {name}")
                break
            except NotIt as error:
                wrong = wrong or f"{place}, {name}: {error}"
        else:
            wanted = str(source.member).replace("{split}", split)
            held = f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
            yield wrong or f"{place}: no {wanted} in it; it holds {held or 'no files'}"


def _candidates(published: Published, names: list[str], member: str, split: str) -> list[str]:
    """Members that may be the split: the one that was named, or the only one that can be meant.

    Where the checksum is known it decides among all files of that name.
    """
    exact = PurePosixPath(member.replace("{split}", split))
    if named := [name for name in names if PurePosixPath(name) == exact]:
        return named[:1]
    alike = [name for name in names if PurePosixPath(name).name == f"{split}.txt"]
    folder = published.folder.casefold()
    inside = [name for name in alike if PurePosixPath(name).parent.name.casefold() == folder]
    for only in (inside, alike):
        if len(only) == 1:
            return only
    return inside + alike if published.checksum(split) else []


def _from_folder(gathering: Gathering, from_dir: Path) -> Iterator[str]:
    published = gathering.published
    alike = published.folder.casefold()
    folders = sorted(path for path in from_dir.iterdir() if path.name.casefold() == alike)
    for folder in folders:
        for split in list(gathering.lacking):
            path = find_split(folder, split)
            ending = ending_of(path.name) if path else ""
            if path and (reason := _try_file(gathering, split, path, ending, str(path))):
                yield reason
    for source in published.sources:
        archive = from_dir / source.file_name
        if gathering.lacking and source.member is not None and archive.is_file():
            try:
                yield from _from_archive(gathering, archive, source, str(archive))
            except Unreadable as error:
                yield f"{archive}: {error}"
    for folder in folders:
        rebuilt = find_split(folder, REBUILT)
        if rebuilt and "train" in gathering.lacking:
            yield (
                f"{rebuilt}: a rebuilt file, which is not the published train.txt and not taken "
                f"as such; to train on it, give data_dir={from_dir} (its rows are then marked "
                "rebuilt)"
            )


def _failure(gathering: Gathering, reasons: list[str], from_dir: Path | None) -> str:
    published = gathering.published
    lacking = ", ".join(f"{split}.txt" for split in gathering.lacking)
    head = f"{published.name}: {lacking} could not be had"
    if from_dir is not None:
        archives = dict.fromkeys(s.file_name for s in published.sources if s.member is not None)
        wanted = " or ".join([f"{published.folder}/<split>.txt[.gz|.xz]", *archives])
        fix = f"--from {from_dir} should hold {wanted}"
    elif not published.sources:
        fix = f"conf/dataset/{published.name}.yaml names no `sources`; add one, or use --from DIR"
    else:
        fix = "try again later, add a mirror to `sources` of conf/dataset/"
        fix += f"{published.name}.yaml, or get the files by other means and use --from DIR"
    return "\n  ".join([head, *reasons, fix])
