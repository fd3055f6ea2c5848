"""The files of a dataset on their way to its folder: checked one by one, put in place together.

What comes is gathered in a folder beside the data and renamed to its final name when it is complete
and right. Of a folder that is there already, single files are put in place, each by one rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from aswa.data.fetching.checks import (
    OK,
    RECORDS,
    UNRECORDED,
    count_names,
    count_rows,
    inspect,
    match_published,
    new_record,
    read_records,
    sha256_of,
    write_records,
)
from aswa.data.fetching.disk import storing, sync
from aswa.data.fetching.sources import Published
from aswa.data.folders import SPLITS, find_split

Say = Callable[[str], None]


class NotIt(Exception):
    """A file that is not the published one, or not there; says why."""


def downloads_folder(data_dir: Path) -> Path:
    """Where locks and unfinished work are, on the file system of the data."""
    return data_dir / ".downloads"


class Gathering:
    """The splits that a dataset lacks, gathered until they are complete.

    Attributes:
        lacking: splits that are still to be had.
        trusted: splits for which there is no checksum, with the record that is to be made.
    """

    def __init__(self, published: Published, data_dir: Path, say: Say) -> None:
        self.published, self.say = published, say
        self.folder = data_dir / published.folder
        self.stage = downloads_folder(data_dir) / f"{published.folder}.new"
        self.records = read_records(self.folder)
        self.states = inspect(published, self.folder)
        self.lacking = [split for split in SPLITS if not self.states[split].usable]
        self.trusted = {
            split: new_record(str(state.sha256), str(state.path))
            for split, state in self.states.items()
            if state.state == UNRECORDED
        }

    @property
    def complete(self) -> bool:
        """Nothing is to be had, and nothing to be recorded."""
        return not self.lacking and not self.trusted

    def begin(self) -> None:
        """Of a fetch that was stopped, keep the files whose checksum is published and right."""
        with storing(self.stage):
            self.stage.mkdir(parents=True, exist_ok=True)
            (self.stage / RECORDS).unlink(missing_ok=True)  # trust is not kept, only checksums
        before = inspect(self.published, self.stage)
        kept = {before[split].path: split for split in self.lacking if before[split].state == OK}
        with storing(self.stage):
            for path in self.stage.iterdir():
                if path not in kept:
                    path.unlink()
        self.lacking = [split for split in self.lacking if split not in kept.values()]

    def offer(self, split: str, copy: Callable[[Path], None], place: str) -> None:
        """Take a split if it is right.

        Args:
            copy: writes it to the path it is given.
            place: where it comes from.

        Raises:
            NotIt: it is another file.
            Unreadable: the file it comes from is damaged.
        """
        path = self.stage / f"{split}.txt"
        copy(path)
        expected = self.published.checksum(split) or self.records.get(split, {}).get("sha256")
        if expected:
            found = match_published(path, expected)
            wrong = found != expected and f"expected sha256 {expected}, found {found}"
        else:
            wanted = self.published.rows(split)
            try:
                rows = count_rows(path)
                wrong = wanted not in (None, rows) and f"expected {wanted} triples, found {rows}"
            except ValueError as error:
                wrong = str(error)
        if wrong:
            path.unlink()
            raise NotIt(f"{split}.txt is not the published one: {wrong}")
        if not expected:
            self.trusted[split] = new_record(sha256_of(path), place)
        self.lacking.remove(split)

    def check_counts(self) -> None:
        """Once all splits are there, and some of them on trust, they must count up as published.

        Raises:
            NotIt: they do not, and those on trust are lacking again.
        """
        if self.lacking or not self.trusted:
            return
        found = count_names({split: self._current(split) for split in SPLITS})
        for what, wanted, count in zip(
            ("entities", "relations"),
            (self.published.entities, self.published.relations),
            found,
            strict=True,
        ):
            if wanted not in (None, count):
                splits = [split for split in SPLITS if split in self.trusted]
                for split in splits:
                    (self.stage / f"{split}.txt").unlink(missing_ok=True)
                self.trusted, self.lacking = {}, splits
                names = ", ".join(f"{split}.txt" for split in splits)
                raise NotIt(f"{names}: expected {wanted} {what} in all splits, found {count}")

    def _current(self, split: str) -> Path:
        staged = self.stage / f"{split}.txt"
        return staged if staged.exists() else self.states[split].path or staged

    def put_in_place(self) -> None:
        """Move what was gathered to its final name: the folder at once, or files one by one."""
        for split, record in self.trusted.items():
            counts = "its counts are right" if self.published.rows(split) else "no counts are known"
            self.say(
                f"{self.published.name}: no checksum of {split}.txt is known, so this one is "
                f"trusted on first use ({counts}); recorded in {self.folder / RECORDS}: sha256 "
                f"{record['sha256']}"
            )
        records = {**self.records, **self.trusted}
        with storing(self.folder):
            if not self.folder.exists():
                if records:
                    write_records(self.stage, records)
                for path in self.stage.iterdir():
                    sync(path)
                os.rename(self.stage, self.folder)
                sync(self.folder.parent)
                return
            if self.trusted:
                write_records(self.folder, records)
            for path in list(self.stage.iterdir()):
                sync(path)
                self._set_aside(path.stem)
                os.replace(path, self.folder / path.name)
            shutil.rmtree(self.stage)

    def _set_aside(self, split: str) -> None:
        """A wrong file may be somebody's own: it is kept under another name."""
        while wrong := find_split(self.folder, split):
            kept, number = wrong.with_name(f"{wrong.name}.wrong"), 1
            while kept.exists():
                number += 1
                kept = wrong.with_name(f"{wrong.name}.wrong{number}")
            os.replace(wrong, kept)
            self.say(f"{self.published.name}: {wrong} was not the published one; kept as {kept}")
