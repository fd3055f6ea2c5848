"""What `aswa-fetch` does with datasets: fetch, verify, list. Prints; each returns an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from aswa import registry
from aswa.config.messages import nearest
from aswa.data.fetching.checks import MISSING, WRONG, FileState
from aswa.data.fetching.download import Downloads, Patience
from aswa.data.fetching.sources import DatasetFiles, FetchFailed
from aswa.data.folders import EMBEDDED, VARIABLE, find_folder
from aswa.files import cache_folder, is_locked, lock


def _fetching(files: DatasetFiles) -> Any:
    """The module of a kind, imported late because images bring torch. Each has two functions.

    fetch(files, data_dir, downloads, say, from_dir) -> str brings a dataset to `data_dir`, unless
    it is there and right, from the network or from the folder `from_dir`, and returns what was
    done, in words. It raises FetchFailed, with nothing changed, where no source has the right
    files, and OSError where `data_dir` cannot be written to.
    inspect(files, folder) -> dict[str, FileState] says the state of each file of a folder.
    """
    return importlib.import_module(registry.kinds()[files.kind].fetching)


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(f"aswa-fetch: {text}", file=sys.stderr, flush=True)


class UsageError(ValueError):
    """A word on the command line cannot be followed; says which, and what would do."""


def choose(names: Sequence[str], known: Mapping[str, DatasetFiles]) -> list[DatasetFiles]:
    """Datasets by config name or folder name, in the order given; `all` stands for all of them."""
    by_name = {each.folder.casefold(): each for each in known.values()}
    by_name |= {name.casefold(): each for name, each in known.items()}
    chosen: dict[str, DatasetFiles] = {}
    for name in names:
        if name == "all":
            chosen |= known
        elif (found := by_name.get(name.casefold())) is None:
            raise UsageError(f"{name}: no such dataset; {nearest(name, [*known, 'all'])}")
        else:
            chosen[found.name] = found
    return list(chosen.values())


def fetch_all(
    chosen: Sequence[DatasetFiles],
    data_dir: str | None,
    from_dir: Path | None,
    patience: Patience,
) -> int:
    """Fetch one dataset after another; a failed one does not stop the others.

    Raises:
        OSError: the data folder cannot be written to.
    """
    target = Path(data_dir or os.environ.get(VARIABLE) or cache_folder() / "data")
    downloads, failed = Downloads(target / ".downloads", patience, say), []
    elsewhere = data_dir or from_dir
    wanted = [each for each in chosen if elsewhere or not (EMBEDDED / each.folder).is_dir()]
    for each in chosen:
        if each not in wanted:
            print(f"{each.name}: comes with the package, in {EMBEDDED / each.folder}")
    with _alone(downloads.folder / "lock") if wanted else contextlib.nullcontext():
        for each in wanted:
            try:
                done = _fetching(each).fetch(each, target, downloads, say, from_dir)
                print(f"{each.name}: {done}, in {target / each.folder}", flush=True)
            except FetchFailed as error:
                failed.append(each)
                say(str(error))
        # A failed dataset keeps the parts of its files, to go on; after Ctrl-C all do.
        served = {url for each in wanted if each not in failed for url in each.urls()}
        for url in downloads.complete | served:
            downloads.discard(url)
    if failed and len(chosen) > 1:
        names = ", ".join(each.name for each in failed)
        say(f"{len(failed)} of {len(chosen)} failed: {names}")
    return 1 if failed else 0


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    if is_locked(path):
        say(f"another aswa-fetch works in {path.parent}; waiting for it")
    with lock(path):
        yield


def verify(chosen: Sequence[DatasetFiles], data_dir: str | None, named: bool) -> int:
    """A line a file. A dataset that is not there is wrong only if it was asked for by name."""
    wrong = False
    for each in chosen:
        folder, states = _inspect(each, data_dir)
        if folder is None:
            print(f"{each.name}: not there; get it with `aswa-fetch {each.name}`")
            wrong |= named
        for split, state in states.items():
            detail = f": {state.detail}" if state.detail else ""
            print(f"{each.name}: {state.path or f'{folder}/{split}.txt'}: {state.state}{detail}")
            wrong |= not state.usable
    if wrong:
        say("something is wrong or not there; `aswa-fetch NAME` gets what is published")
    return 1 if wrong else 0


def show(chosen: Sequence[DatasetFiles], data_dir: str | None) -> int:
    """A line a dataset: its state, size and place."""
    rows = [("dataset", "folder", "state", "size", "where")]
    for each in chosen:
        folder, states = _inspect(each, data_dir)
        stored = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        total = sum(path.stat().st_size for path in stored)
        size = f"{total / 1e6:.1f} MB" if total else ""
        rows.append((each.name, each.folder, _summary(folder, states), size, str(folder or "")))
    print(tabulate(rows, headers="firstrow", tablefmt="plain"))
    return 0


def _inspect(files: DatasetFiles, data_dir: str | None) -> tuple[Path | None, dict[str, FileState]]:
    try:
        folder = find_folder(files.folder, data_dir)
    except FileNotFoundError:
        return None, {}
    return folder, _fetching(files).inspect(files, folder)


def _summary(folder: Path | None, states: Mapping[str, FileState]) -> str:
    found = {state.state for state in states.values()}
    if folder is None or found == {MISSING}:
        return "missing"
    if WRONG in found:
        return "damaged"
    if MISSING in found:
        return "incomplete"
    return "embedded" if folder.parent == EMBEDDED else "ready"
