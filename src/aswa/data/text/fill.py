"""The bytes of a text's files, named in a configuration before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aswa.config.schema import ConfigError
from aswa.data.folders import SPLITS, find_folder
from aswa.data.text.files import book_files, checksum
from aswa.kinds.declaration import Filled, Plain, fewer_epochs
from aswa.kinds.text import FILLED
from aswa.registry import load


def fill(plain: Plain, hyperparameters: Mapping[str, Any]) -> Filled:
    """Name the bytes of the files: a run on other bytes is another run. Also a smaller run's name.

    Raises:
        ConfigError: a file is damaged.
    """
    dataset, model = plain["dataset"], plain["model"]["name"]
    files = load(FILLED[model])(plain) if model in FILLED else []
    parts = [f"{size:,} training characters"] if (size := dataset.get("train_size")) else []
    if shorter := fewer_epochs(plain, hyperparameters):
        parts.append(shorter)
    reduced = ", ".join(parts) or None
    wanted = [split for split in SPLITS if (dataset.get("books") or {split: True}).get(split)]
    known = {split: (dataset.get("sha256") or {}).get(split) for split in wanted}
    if all(known.values()):
        return Filled(tuple(files), reduced)
    try:
        folder = find_folder(dataset["folder"], plain.get("data_dir"))
        books = {split: book_files(folder, split, dataset.get("books")) for split in wanted}
    except (FileNotFoundError, ValueError):  # said when the text is to be read
        return Filled(tuple(files), reduced)
    try:
        dataset["sha256"] = {s: known[s] or checksum(paths) for s, paths in books.items()}
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return Filled((*files, *(path for paths in books.values() for path in paths)), reduced)
