"""A file `history.csv` in the folder of the run, a line an epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from aswa.config import RunConfig
from aswa.trackers.tracker import Tracker, Values


class CSV(Tracker):
    """A column a name, in the order in which the names first come; what is not known is empty."""

    _file: TextIO | None = None

    def start(self, config: RunConfig, past: Sequence[Values]) -> str:
        self._path = config.folder / "history.csv"
        self._rows = list(past)
        self._rewrite()
        return str(self._path)

    def log(self, values: Values) -> None:
        self._rows.append(values)
        if values.keys() <= self._columns.keys():
            self._write(values)
        else:
            self._rewrite()

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        self.interrupt()

    def interrupt(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rewrite(self) -> None:
        """The whole file, with the columns of all rows; then it is open for more lines."""
        self.interrupt()
        self._columns = dict.fromkeys(name for row in self._rows for name in row)
        self._path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is emptied
        self._file = self._path.open("w", encoding="utf-8", newline="", buffering=1)
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self._columns)
        for row in self._rows:
            self._write(row)

    def _write(self, row: Values) -> None:
        self._writer.writerow([row.get(name) for name in self._columns])
