"""Where the published figures are, and their files. See results/published/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from aswa.files import conf_dir

ALL_RUNS = "aswa_cifar_authors_logs.csv"
LIVE_RUNS = "aswa_cifar_authors_logs_noncollapsed.csv"
GRAPHS = "authors_kge_figures.csv"
FILES = (ALL_RUNS, LIVE_RUNS, GRAPHS)


def published_folder(results_dir: Path) -> Path:
    """RESULTS_DIR/published, or the one of the checkout.

    Raises:
        FileNotFoundError: neither has all of the figures.
    """
    candidates = [results_dir / "published", conf_dir().parent / "results" / "published"]
    for folder in candidates:
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise FileNotFoundError(
        f"no {', '.join(FILES)} in {' or '.join(map(str, candidates))}; a checkout of the "
        "repository has them in results/published"
    )


def read_columns(path: Path, wanted: Sequence[str], **options: Any) -> pd.DataFrame:
    """A file of figures; `options` are those of `pandas.read_csv`.

    Raises:
        ValueError: it lacks a column.
    """
    figures = pd.read_csv(path, **options)
    if missing := [name for name in wanted if name not in figures.columns]:
        raise ValueError(f"{path}: lacks the column(s) {', '.join(missing)}")
    return figures
