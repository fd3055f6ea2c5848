"""`aswa-fetch`: bring the datasets of conf/dataset to this machine, and check them.

    aswa-fetch wn18rr fb15k_237      aswa-fetch all      aswa-fetch --list      aswa-fetch --verify

Imports torch for images alone, torchvision to download them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from aswa.config.schema import nearest
from aswa.data.fetching.checks import MISSING, WRONG, BadRecords, FileState, inspect
from aswa.data.fetching.disk import StorageFailed
from aswa.data.fetching.download import Downloads, Patience
from aswa.data.fetching.gathering import downloads_folder
from aswa.data.fetching.graphs import FetchFailed, fetch
from aswa.data.fetching.sources import BadSource, Published, read_published
from aswa.data.folders import EMBEDDED, VARIABLE, find_folder
from aswa.files import cache_folder, conf_dir

GRAPH = "knowledge_graph"


class UsageError(ValueError):
    """Words on the command line that cannot be followed; says which, and what would do."""


def main(
    argv: Sequence[str] | None = None,
    datasets: Mapping[str, Published] | None = None,
    patience: Patience | None = None,
) -> int:
    """Console entry point.

    Args:
        argv: words of the command line; None for those of this process.
        datasets: what can be fetched; None for conf/dataset.
        patience: how long to try; None for the default, with --timeout.

    Returns:
        0 done; 1 a download or a check failed; 2 wrong usage; 130 Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        if args.timeout <= 0:
            raise UsageError(f"--timeout {args.timeout:g}: must be above 0")
        known = read_published(conf_dir() / "dataset") if datasets is None else datasets
        if not args.names and not (args.list or args.verify):
            raise UsageError("name some datasets, or all; --list shows them")
        chosen = _choose(args.names or ["all"], known)
        if args.list:
            return _list(chosen, args.data_dir)
        if args.verify:
            return _verify(chosen, args.data_dir, bool(args.names) and "all" not in args.names)
        return _fetch(chosen, args, patience or Patience(timeout=args.timeout))
    except (StorageFailed, BadRecords) as error:
        _say(str(error))
        return 1
    except (UsageError, BadSource) as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        return 130


def _say(text: str) -> None:
    print(f"aswa-fetch: {text}", file=sys.stderr, flush=True)


def _choose(names: Sequence[str], known: Mapping[str, Published]) -> list[Published]:
    """Datasets by config name or folder name, in the order given; `all` stands for all of them."""
    by_name = {each.folder.casefold(): each for each in known.values()}
    by_name |= {name.casefold(): each for name, each in known.items()}
    chosen: dict[str, Published] = {}
    for name in names:
        if name == "all":
            chosen |= known
        elif (found := by_name.get(name.casefold())) is None:
            raise UsageError(f"{name}: no such dataset; {nearest(name, [*known, 'all'])}")
        else:
            chosen[found.name] = found
    return list(chosen.values())


def _fetch(chosen: Sequence[Published], args: argparse.Namespace, patience: Patience) -> int:
    data_dir = Path(args.data_dir or os.environ.get(VARIABLE) or cache_folder() / "data")
    if args.from_dir is not None and not args.from_dir.is_dir():
        raise UsageError(f"--from {args.from_dir}: no such folder")
    failed: list[str] = []
    urls = Counter(source.url for each in chosen for source in each.sources)
    shared = [url for url, count in urls.items() if count > 1]
    with Downloads(downloads_folder(data_dir), patience, _say, shared) as downloads:
        for each in chosen:
            folder, embedded = data_dir / each.folder, EMBEDDED / each.folder
            if args.data_dir is None and args.from_dir is None and embedded.is_dir():
                print(f"{each.name}: comes with the package, in {embedded}", flush=True)
            else:
                try:
                    if each.kind == GRAPH:
                        done = fetch(each, data_dir, downloads, _say, args.from_dir)
                    else:
                        done = _fetch_images(each, data_dir, args.from_dir)
                    print(f"{each.name}: {done}, in {folder}", flush=True)
                except FetchFailed as error:
                    failed.append(each.name)
                    _say(str(error))
    if failed and len(chosen) > 1:
        _say(f"{len(failed)} of {len(chosen)} failed: {', '.join(failed)}")
    return 1 if failed else 0


def _fetch_images(each: Published, data_dir: Path, from_dir: Path | None) -> str:
    from aswa.data.fetching.cifar import fetch_cifar  # brings torch

    return fetch_cifar(each, data_dir, _say, from_dir)


def _verify(chosen: Sequence[Published], data_dir: str | None, named: bool) -> int:
    """A line a file. Where nothing is there, or a rebuilt file alone, that is wrong only if asked
    for by name."""
    wrong = False
    for each in chosen:
        folder, states = _inspect(each, data_dir)
        if folder is None:
            print(f"{each.name}: not there; get it with `aswa-fetch {each.name}`")
            wrong |= named
            continue
        for split, state in states.items():
            detail = f": {state.detail}" if state.detail else ""
            print(f"{each.name}: {state.path or folder / f'{split}.txt'}: {state.state}{detail}")
            expected = state.usable or (state.state == MISSING and state.detail and not named)
            wrong |= not expected
    if wrong:
        _say("something is wrong or not there; `aswa-fetch NAME` gets what is published")
    return 1 if wrong else 0


def _inspect(each: Published, data_dir: str | None) -> tuple[Path | None, dict[str, FileState]]:
    try:
        folder = find_folder(each.folder, data_dir)
    except FileNotFoundError:
        return None, {}
    if each.kind == GRAPH:
        return folder, inspect(each, folder)
    from aswa.data.fetching.cifar import inspect_cifar  # brings torch

    return folder, inspect_cifar(each, folder)


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _list(chosen: Sequence[Published], data_dir: str | None) -> int:
    rows = [("dataset", "folder", "state", "size", "where")]
    for each in chosen:
        folder, states = _inspect(each, data_dir)
        state, where = _state(folder, states), str(folder or "")
        total = sum(_bytes(found.path) for found in states.values() if found.path)
        size = f"{total / 1e6:.1f} MB" if total else ""
        rows.append((each.name, each.folder, state, size, where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    return 0


def _state(folder: Path | None, states: Mapping[str, FileState]) -> str:
    """The state of a dataset in a word or three."""
    kinds = [state.state for state in states.values()]
    if folder is None or all(kind == MISSING for kind in kinds):
        return "missing"
    if WRONG in kinds:
        return "damaged"
    if MISSING in kinds:
        rebuilt = kinds.count(MISSING) == 1 and states["train"].detail
        return "rebuilt train only" if rebuilt else "incomplete"
    return "embedded" if folder.parent == EMBEDDED else "ready"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-fetch",
        description="Download the datasets of conf/dataset, check them, and put them where "
        "aswa-train finds them. Stopped at any point, the same command goes on from there.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a dataset or its folder; all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="what there is, and in which state")
    what.add_argument("--verify", action="store_true", help="compute the checksums again")
    parser.add_argument(
        "--from", dest="from_dir", type=Path, metavar="DIR",
        help="take the files from DIR, which has them in folders, packed or not, or in the "
        "archives of the sources; nothing is downloaded",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="DIR",
        help=f"put them under DIR (default: ${VARIABLE}, or {cache_folder() / 'data'})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=Patience.timeout, metavar="SECONDS",
        help="give an attempt up after so long without a byte (default: %(default)g)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
