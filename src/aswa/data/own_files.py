"""The bytes of a graph's files, named in a configuration before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aswa.config.schema import ConfigError
from aswa.data.fetching.checks import read_records
from aswa.data.folders import SPLITS, file_checksums, find_folder, find_split
from aswa.kinds.declaration import Filled, Plain, fewer_epochs


def name_bytes(plain: Plain, hyperparameters: Mapping[str, Any]) -> Filled:
    """Name the bytes of the files: a run on other bytes is another run. Also a shorter run's name.

    The published checksums count first, then what aswa-fetch recorded, then the files themselves.

    Raises:
        ConfigError: the record of aswa-fetch, or a file, is damaged.
    """
    dataset, shorter = plain["dataset"], fewer_epochs(plain, hyperparameters)
    checksums = {split: (dataset.get("sha256") or {}).get(split) for split in SPLITS}
    if all(checksums.values()):
        return Filled(reduced=shorter)
    try:
        folder = find_folder(dataset["folder"], plain.get("data_dir"))
        known = {split: record["sha256"] for split, record in read_records(folder).items()}
        if any(not checksums[split] and split not in known for split in SPLITS):
            known = file_checksums(folder) | known
    except FileNotFoundError:  # said when the graph is to be read
        return Filled(reduced=shorter)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    dataset["sha256"] = {split: checksums[split] or known.get(split) for split in SPLITS}
    found = [find_split(folder, split) or folder / f"{split}.txt" for split in SPLITS]
    return Filled(tuple(found), shorter)
