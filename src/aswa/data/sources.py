"""Where a dataset's folder is: given, in `$ASWA_DATA_DIR`, or embedded in the package."""

from __future__ import annotations

import os
from pathlib import Path

EMBEDDED = Path(__file__).parent / "embedded"
VARIABLE = "ASWA_DATA_DIR"


def find_folder(folder: str, data_dir: str | None) -> Path:
    """The folder of a dataset.

    Args:
        folder: its name, such as `fb15k-237`.
        data_dir: `data_dir=` of the configuration; looked at first.

    Raises:
        FileNotFoundError: it is nowhere; says where it was looked for.
    """
    bases = [base for base in (data_dir, os.environ.get(VARIABLE)) if base]
    for base in [*map(Path, bases), EMBEDDED]:
        if (base / folder).is_dir():
            return base / folder
    looked = ", ".join([*bases, "the package"])
    raise FileNotFoundError(
        f"no folder {folder!r} with train.txt, valid.txt and test.txt in {looked}; put it under a "
        f"folder named by data_dir=... or by the variable {VARIABLE}"
    )
