"""Texts that a model did not learn from, by the names of their datasets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from aswa.config.members import members, template
from aswa.config.schema import ConfigError, unknown
from aswa.data.folders import find_folder
from aswa.data.text.files import read_books
from aswa.kinds.declaration import Plain


def fill(task: Plain) -> list[Path]:
    """Name the bytes of the test texts of `elsewhere`, and of `question_file`.

    Raises:
        ConfigError: no dataset of texts has a name, or the file is not there.
    """
    if names := task.get("elsewhere"):
        known = [name for name in members("dataset") if template("dataset", name)["kind"] == "text"]
        for name in names:
            if name not in known:
                raise unknown(f"task.elsewhere: {name}", str(name), known)
        sums = {name: (template("dataset", name).get("sha256") or {}).get("test") for name in names}
        task["elsewhere_sha256"] = sums
    if not task.get("question_file"):
        return []
    path = Path(task["question_file"])
    if not path.is_file():
        raise ConfigError(f"task.question_file={path}: no such file, seen from {Path.cwd()}")
    task["question_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return [path]


def read_elsewhere(name: str, data_dir: str | None, options: Any, size: int | None) -> str:
    """The test text of another dataset, folded or not as the model's own.

    Args:
        options: of the dataset that the model learns.
        size: characters.

    Raises:
        FileNotFoundError: the dataset is not here.
        ValueError: a file is not the published one.
    """
    other = template("dataset", name)
    folder = find_folder(other["folder"], data_dir)
    texts = read_books(folder, "test", other | {"fold": options["fold"]}, size)
    return "\n".join(texts)
