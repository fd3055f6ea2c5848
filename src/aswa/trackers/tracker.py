"""The protocol that all trackers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aswa.config import RunConfig
from aswa.config.schema import NoOptions

Value = float | int | str
Values = Mapping[str, Value]
"""Named values at the end of an epoch, `epoch` among them: see `aswa.trackers.series`."""


class Tracker:
    """Mirrors one run. A method that raises ends the mirroring, never the run.

    Args:
        options: of conf/tracker, checked.

    Attributes:
        Options: their schema.
        package: what has to be installed, as it is imported; None for nothing.
        extra: of aswa, which brings that package.
    """

    Options: ClassVar[type[Any]] = NoOptions
    package: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = self.Options(**options)

    @classmethod
    def check(cls, options: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Raise a ConfigError for options that do not fit the rest of a plain configuration."""

    def start(self, config: RunConfig, past: Sequence[Values]) -> str:
        """A run begins or goes on. Afterwards the mirror holds `past`, each epoch once.

        Args:
            config: of the run; `run_id` is its name for life.
            past: the epochs before, in order, from the checkpoint or the record of the run. The
                mirror may have fewer, or later ones that will be trained again.

        Returns:
            where the mirror is, for people.
        """
        raise NotImplementedError

    def log(self, values: Values) -> None:
        """The epoch after the last one is over."""
        raise NotImplementedError

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        """The run is over; `summary` holds its final values, none where it failed."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """The process ends before the run does; another one will go on with it."""
        raise NotImplementedError
