"""Where the YAML files are."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """The folder `conf/`: of the checkout, or the copy that a built package carries.

    Raises:
        FileNotFoundError: neither is there; the installation is broken.
    """
    here = Path(__file__).resolve().parent
    for candidate in (here.parents[1] / "conf", here / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError(
        f"no conf/config.yaml beside {here}; install from a checkout with `pip install -e .`"
    )
