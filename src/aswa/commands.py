"""The console commands. The library needs torch alone; a command that lacks an extra says which."""

from __future__ import annotations

import importlib
import sys


def train() -> int:
    """`aswa-train`"""
    return _run("aswa.train", "experiments")


def analyze() -> int:
    """`aswa-analyze`"""
    return _run("aswa.analyze", "analysis")


def fetch() -> int:
    """`aswa-fetch`"""
    return _run("aswa.fetch", "experiments")


def status() -> int:
    """`aswa-status`"""
    return _run("aswa.status", "experiments")


def queries() -> int:
    """`aswa-queries`"""
    return _run("aswa.queries.command", "experiments")


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
    return main() or 0
