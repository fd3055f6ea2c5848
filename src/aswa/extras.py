"""The library needs torch alone; commands need extras, and say which."""

from __future__ import annotations

import importlib
import sys


def require(extra: str, *packages: str) -> None:
    """End the program with the command that installs what is missing.

    Args:
        extra: of pyproject.toml that brings the packages.
        packages: import names.

    Raises:
        SystemExit: with code 2, if a package is not installed.
    """
    missing = []
    for name in packages:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            missing.append(name)
    if missing:
        print(
            f"aswa: not installed: {', '.join(missing)}; pip install 'aswa[{extra}]'",
            file=sys.stderr,
        )
        sys.exit(2)
