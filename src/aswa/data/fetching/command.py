"""What `aswa-fetch` does with datasets: fetch, verify, list. Prints; each returns an exit code."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from aswa import registry
from aswa.config.messages import nearest
from aswa.data.fetching import FetchFailed, UsageError, say
from aswa.data.fetching.checks import MISSING, WRONG, FileState
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import DatasetFiles
from aswa.data.folders import EMBEDDED, VARIABLE, find_folder
from aswa.files import cache_folder, is_locked, lock


def _fetching(files: DatasetFiles) -> Any:
    """The module of a kind, imported late because images bring torch. Each has two functions.

    fetch(files, data_dir, downloads, from_dir) -> str brings a dataset to `data_dir`, unless it is
    there and right, from the network or from the folder `from_dir`, and returns what was done, in
    words. It raises FetchFailed, with nothing changed, where no source has the right files, and
    OSError where `data_dir` cannot be written to.
    inspect(files, folder) -> dict[str, FileState] says the state of each file of a folder.
    """
    return importlib.import_module(registry.kinds()[files.kind].fetching)


def choose(names: Sequence[str], known: Mapping[str, DatasetFiles]) -> list[DatasetFiles]:
    """Datasets by config name or folder name, in the order given; `all` stands for all of them."""
    by_name = {each.folder.casefold(): each for each in known.values()}
    by_name |= {name.casefold(): each for name, each in known.items()}
    chosen: dict[str, DatasetFiles] = {}
    for name in names:
        if name != "all" and name.casefold() not in by_name:
            raise UsageError(f"{name}: no such dataset; {nearest(name, [*known, 'all'])}")
        found = known.values() if name == "all" else [by_name[name.casefold()]]
        chosen |= {each.name: each for each in found}
    return list(chosen.values())


def fetch_all(
    chosen: Sequence[DatasetFiles], data_dir: str | None, from_dir: Path | None, timeout: float
) -> int:
    """Fetch one dataset after another; a failed one does not stop the others.

    Raises:
        OSError: the data folder cannot be written to.
    """
    target = Path(data_dir or os.environ.get(VARIABLE) or cache_folder() / "data")
    downloads, failed = Downloads(target / ".downloads", timeout), []
    wanted = []
    for each in chosen:
        if not (data_dir or from_dir) and (EMBEDDED / each.folder).is_dir():
            print(f"{each.name}: comes with the package, in {EMBEDDED / each.folder}")
        else:
            wanted.append(each)
    if not wanted:
        return 0
    if is_locked(downloads.folder / "lock"):
        say(f"another aswa-fetch works in {downloads.folder}; waiting for it")
    with lock(downloads.folder / "lock"):
        for each in wanted:
            try:
                done = _fetching(each).fetch(each, target, downloads, from_dir)
                print(f"{each.name}: {done}, in {target / each.folder}", flush=True)
            except FetchFailed as error:
                failed.append(each)
                say(f"{each.name}: {error}")
        # A failed dataset keeps the parts of its files, to go on; after Ctrl-C all do.
        downloads.discard(url for each in wanted if each not in failed for url in each.urls())
    if failed and len(chosen) > 1:
        names = ", ".join(each.name for each in failed)
        say(f"{len(failed)} of {len(chosen)} failed: {names}")
    return 1 if failed else 0


def verify(chosen: Sequence[DatasetFiles], data_dir: str | None, named: bool) -> int:
    """A line a file. A dataset that is not there is wrong only if it was asked for by name."""
    wrong = False
    for each, folder, states in _inspect(chosen, data_dir):
        if folder is None:
            print(f"{each.name}: not there; get it with `aswa-fetch {each.name}`")
            wrong |= named
        for split, state in states.items():
            detail = f": {state.detail}" if state.state == WRONG else ""
            print(f"{each.name}: {state.path or f'{folder}/{split}.txt'}: {state.state}{detail}")
            wrong |= not state.usable
    if wrong:
        say("something is wrong or not there; `aswa-fetch NAME` gets what is published")
    return 1 if wrong else 0


def show(chosen: Sequence[DatasetFiles], data_dir: str | None) -> int:
    """A line a dataset: its state, size and place."""
    rows = []
    for each, folder, states in _inspect(chosen, data_dir):
        found = {state.state for state in states.values()}
        if found <= {MISSING}:
            summary = "missing"
        elif found & {WRONG, MISSING}:
            summary = "damaged" if WRONG in found else "incomplete"
        else:
            summary = "embedded" if folder and folder.parent == EMBEDDED else "ready"
        stored = folder.rglob("*") if folder else ()
        total = sum(path.stat().st_size for path in stored if path.is_file())
        size = f"{total / 1e6:.1f} MB" if total else ""
        rows.append((each.name, each.folder, summary, size, str(folder or "")))
    print(tabulate(rows, ["dataset", "folder", "state", "size", "where"], tablefmt="plain"))
    return 0


def _inspect(
    chosen: Sequence[DatasetFiles], data_dir: str | None
) -> Iterator[tuple[DatasetFiles, Path | None, Mapping[str, FileState]]]:
    for each in chosen:
        try:
            folder = find_folder(each.folder, data_dir)
        except FileNotFoundError:
            yield each, None, {}
        else:
            yield each, folder, _fetching(each).inspect(each, folder)
