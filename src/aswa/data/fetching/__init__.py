"""Datasets brought to this machine and checked."""

import sys


class FetchFailed(ValueError):
    """A source, an archive or a file is not what it should be; says which one and why."""


class UsageError(ValueError):
    """A word on the command line, or an entry of conf/dataset, cannot be followed; says which."""


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(f"aswa-fetch: {text}", file=sys.stderr, flush=True)
