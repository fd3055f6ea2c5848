"""`aswa-fetch`: bring the datasets of conf/dataset to this machine, and check them.

    aswa-fetch wn18rr fb15k_237      aswa-fetch all      aswa-fetch --list      aswa-fetch --verify

Imports torch for images alone, torchvision to unpack them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from aswa.config.members import folders_of_members
from aswa.data.fetching import FetchFailed, UsageError, say
from aswa.data.fetching.command import choose, fetch_all, show, verify
from aswa.data.fetching.download import TIMEOUT
from aswa.data.fetching.sources import DatasetFiles, read_datasets
from aswa.data.folders import VARIABLE
from aswa.files import cache_folder


def main(
    argv: Sequence[str] | None = None, datasets: Mapping[str, DatasetFiles] | None = None
) -> int:
    """Console entry point.

    Args:
        argv: words of the command line; None for those of this process.
        datasets: what can be fetched; None for conf/dataset.

    Returns:
        0 done; 1 a download or a check failed; 2 wrong usage; 130 Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        if args.timeout <= 0:
            raise UsageError(f"--timeout {args.timeout:g}: must be above 0")
        if args.from_dir is not None and not args.from_dir.is_dir():
            raise UsageError(f"--from {args.from_dir}: no such folder")
        if not args.names and not (args.list or args.verify):
            raise UsageError("name some datasets, or all; --list shows them")
        known = datasets or read_datasets(*(conf / "dataset" for conf in folders_of_members()))
        chosen = choose(args.names or ["all"], known)
        if args.list:
            return show(chosen, args.data_dir)
        if args.verify:
            return verify(chosen, args.data_dir, bool(args.names) and "all" not in args.names)
        return fetch_all(chosen, args.data_dir, args.from_dir, args.timeout)
    except UsageError as error:
        say(str(error))
        return 2
    except FetchFailed as error:
        say(str(error))
        return 1
    except OSError as error:
        fix = "make room or give write permission there, or name another folder with --data-dir"
        say(f"{error.filename or args.data_dir or VARIABLE}: {error.strerror or error}; {fix}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-fetch",
        description="Download the datasets of conf/dataset, check them, and put them where "
        "aswa-train finds them. Stopped at any point, the same command goes on from there.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="a dataset or its folder; all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="the datasets and their states")
    what.add_argument("--verify", action="store_true", help="compute the checksums again")
    given = "take the files from DIR, in folders or in the archives of the sources; no download"
    add("--from", dest="from_dir", type=Path, metavar="DIR", help=given)
    place = f"folder of dataset folders (default: ${VARIABLE}, or {cache_folder() / 'data'})"
    add("--data-dir", metavar="DIR", help=place)
    silence = "give an attempt up after so long without a byte (default: %(default)g)"
    add("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help=silence)
    return parser


if __name__ == "__main__":
    sys.exit(main())
