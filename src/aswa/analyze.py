"""`aswa-analyze RESULTS_DIR`: from runs on disk to tables, tests, figures and one report."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from aswa.analysis.declaration import load_declaration
from aswa.analysis.published.files import published_folder
from aswa.analysis.published.page import parts
from aswa.analysis.rendering import report, terminal
from aswa.analysis.study import NoResults, analyse

WIDTH = 140  # of the terminal, where there is none to ask: a log file or a pipe


def main(argv: list[str] | None = None) -> int:
    """Console entry point. Returns 0, or 2 if there is nothing to analyse or a word is wrong."""
    words = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(words)
    errors = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH, highlight=False)
    try:
        if args.published:
            return _published(args.results_dir)
        found = analyse(args.results_dir, load_declaration(args.plan), args.where, by=args.by)
    except (NoResults, ValueError, FileNotFoundError) as error:
        if isinstance(error, NoResults):
            terminal.print_problems(error.problems, errors)
        errors.print(Text(f"aswa-analyze: {error}"), soft_wrap=True)
        return 2
    found = replace(found, command=shlex.join(["aswa-analyze", *words]))
    if args.title:
        found = replace(found, title=args.title)
    terminal.print_warnings(found, errors)
    page = report.write_report(found, args.results_dir / "analysis")
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    for table in found.curve_tables if args.by else ():
        terminal.print_table(table, console)
    terminal.print_summary(found, page, console)
    return 0


def _published(results_dir: Path) -> int:
    """Test the authors' own figures; the files go to `tested/` beside them."""
    folder = published_folder(results_dir)
    target = folder / "tested"
    found = parts(folder, results_dir)
    for part in found.values():
        report.write_files(target, report.table_files(part.table))
        for drawing in part.drawings:
            report.write_files(target, report.drawing_files(drawing))
    print("\n\n".join([*(part.text() for part in found.values()), f"files: {target}"]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-analyze",
        description="Tables, Wilcoxon tests, figures and report.html from the runs in a folder; "
        "written to RESULTS_DIR/analysis/. Reads only; safe to run at any time, also during runs.",
    )
    parser.add_argument(
        "results_dir", type=Path, nargs="?", default=Path("results"), metavar="RESULTS_DIR",
        help="the folder given to aswa-train as results_dir (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "--where", action="append", default=[], metavar="KEY=VALUE[,VALUE]",
        help="use only runs whose config has this value, or one of these: --where lr=0.01,0.1; "
        "repeatable. results.csv, runs.csv and costs.csv always hold all runs",
    )  # fmt: skip
    parser.add_argument(
        "--by", action="append", default=[], metavar="KEY",
        help="the primary metrics by the value of a key, as a table and a figure, e.g. --by lr or "
        "--by optimizer.aswa.start; repeatable; in place of the key that the plan declares",
    )  # fmt: skip
    parser.add_argument(
        "--published", action="store_true",
        help="test the figures of the paper's authors (RESULTS_DIR/published) instead of own runs",
    )  # fmt: skip
    parser.add_argument(
        "--plan", default="default", metavar="NAME",
        help="a file of conf/analysis/, or the path of a YAML file: the declared comparisons",
    )  # fmt: skip
    parser.add_argument("--title", metavar="TEXT", help="of the report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
