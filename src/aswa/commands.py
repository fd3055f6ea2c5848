"""The console commands. The library needs torch alone; a command that lacks an extra says which."""

from __future__ import annotations

import functools
import importlib
import os
import sys


def _run(module: str, extra: str) -> int:
    """The exit code of a command's `main`; 2 where a package of its extra is not installed."""
    try:
        main = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "aswa":
            raise
        words = f"{error.name} is not installed; pip install 'aswa[{extra}]'"
        print(f"aswa: {words}", file=sys.stderr)
        return 2
    try:
        code = main() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


train = functools.partial(_run, "aswa.train", "experiments")
analyze = functools.partial(_run, "aswa.analyze", "analysis")
fetch = functools.partial(_run, "aswa.fetch", "experiments")
status = functools.partial(_run, "aswa.status", "experiments")
export = functools.partial(_run, "aswa.export", "experiments")
ensemble = functools.partial(_run, "aswa.ensemble", "experiments")
queries = functools.partial(_run, "aswa.queries.command", "experiments")
