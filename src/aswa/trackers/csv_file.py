"""A file `history.csv` in the folder of the run, a line an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from aswa.config import RunConfig
from aswa.files import write_bytes
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
        assert self._file is not None
        self._rows.append(values)
        if values.keys() <= self._columns.keys():
            self._file.write(_lines([values.get(name) for name in self._columns]))
            self._file.flush()
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
        rows = ([row.get(name) for name in self._columns] for row in self._rows)
        write_bytes(self._path, _lines(list(self._columns), *rows).encode())
        self._file = self._path.open("a")


def _lines(*rows: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
