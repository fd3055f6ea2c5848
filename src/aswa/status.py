"""`aswa-status RESULTS_DIR`: how far a sweep is.

    aswa-status                            # of ./results: counts, running runs, failures, time left
    aswa-status results --failed           # paths of failed runs, one a line, for scripts
    aswa-status results --watch 10         # again every 10 s, until nothing is left to do

Exit codes: 0 all planned runs are finished, 1 some failed, 3 some are to be done, 2 a wrong word.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aswa.sweeping.status import exit_code, read_states, text


def main(arguments: Sequence[str] | None = None) -> int:
    """Console entry; see the module."""
    parser = argparse.ArgumentParser(prog="aswa-status", description=__doc__.splitlines()[0])
    parser.add_argument("results_dir", type=Path, nargs="?", default=Path("results"))
    parser.add_argument("--failed", action="store_true", help="list paths of failed runs only")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="again and again")
    options = parser.parse_args(arguments)
    if options.watch is not None and not options.watch > 0:
        print(f"aswa-status: --watch {options.watch:g}: must be above 0", file=sys.stderr)
        return 2
    while True:
        try:
            states = read_states(options.results_dir)
        except FileNotFoundError as error:
            print(f"aswa-status: {error}", file=sys.stderr)
            return 2
        if options.failed:
            print("\n".join(str(s.path) for s in states if s.state == "failed"))
        else:
            redraw = "\033[H\033[2J" if options.watch and sys.stdout.isatty() else ""
            print(f"{redraw}{text(states)}", flush=True)
        code = exit_code(states)
        if options.watch is None or not {s.state for s in states} - {"done", "failed"}:
            return code
        time.sleep(options.watch)


if __name__ == "__main__":
    sys.exit(main())
