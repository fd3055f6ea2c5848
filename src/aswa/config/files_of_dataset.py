"""What the files on this machine add to a dataset's configuration: their kind and checksums."""

from __future__ import annotations

from typing import Any

from aswa.config.schema import ConfigError
from aswa.data.fetching.checks import BadRecords, read_records
from aswa.data.fetching.sources import is_rebuilt
from aswa.data.folders import SPLITS, find_folder


def settle_files(dataset: dict[str, Any], data_dir: str | None) -> None:
    """Complete a member of conf/dataset in place, before anything is read or named by it.

    Where only a rebuilt train file is found, that one is expected and the run marked as of it.
    Where no checksum is published, the one that aswa-fetch recorded is: so `run_id` tells runs on
    different bytes apart.

    Raises:
        ConfigError: the record of aswa-fetch is damaged.
    """
    dataset.pop("sources", None)  # for aswa-fetch; a new mirror is no new setting
    rebuilt = dataset.pop("rebuilt", None)
    if "sha256" not in dataset or dataset.get("kind") == "images":
        return
    try:
        folder = find_folder(dataset["folder"], data_dir)
        records = read_records(folder)
    except FileNotFoundError:
        return  # said when the graph is to be read
    except BadRecords as error:
        raise ConfigError(str(error)) from None
    checksums = dict(dataset["sha256"] or {})
    if rebuilt and is_rebuilt(folder):
        dataset["split"] = "rebuilt"
        dataset["entities"] = rebuilt["entities"]
        dataset["triples"] = {**(dataset.get("triples") or {}), "train": rebuilt["train"]}
        checksums["train"] = rebuilt["sha256"]
    for split in SPLITS:
        if split in records and checksums.get(split) is None:
            checksums[split] = records[split]["sha256"]
    dataset["sha256"] = checksums or dataset["sha256"]
