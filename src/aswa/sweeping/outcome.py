"""How a run, or a sweep of them, can end without a record."""

from __future__ import annotations

BUSY = "busy"  # what a job returns whose run another sweep is computing


class RunFailed(RuntimeError):
    """A run ended with an exception, which its status.json holds."""


class RunHopeless(RunFailed):
    """The same, and it would end so again: the loss diverged."""


class SweepFailed(RuntimeError):
    """Some runs of a sweep could not be done; the others are."""
