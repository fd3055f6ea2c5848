"""What `aswa-analyze` prints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from aswa.analysis.records.runs import Problem
from aswa.analysis.rendering.report import Report
from aswa.analysis.rendering.tables import TextTable


def print_warnings(report: Report, console: Console) -> None:
    """What a reader has to know before believing a number."""
    print_problems(report.problems, console)
    for sentence in report.unfinished:
        console.print(Text(sentence, style="bold red"), soft_wrap=True)
    for notice in report.all_notices():
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)


def print_problems(problems: Iterable[Problem], console: Console) -> None:
    """Records that could not be used."""
    for problem in problems:
        text = f"left out: {problem.path}: {problem.reason}; {problem.fix}"
        console.print(Text(text, style="red"), soft_wrap=True)


def print_summary(report: Report, page: Path, console: Console) -> None:
    """The primary metrics by cell, or the first table; the answer; where the report is."""
    for study in report.studies:
        if said := ". ".join(filter(None, (study.title, study.note))):
            console.print(Text(said, style="bold"), soft_wrap=True)
        tables = study.metric_tables
        primary = [tables[m] for m in study.declared.primary_metrics if m in tables]
        for table in primary or list(tables.values())[:1]:
            print_table(table, console)
    for sentence in report.answer():
        console.print(Text(sentence))
    console.print(Text(f"report: {page}"), soft_wrap=True)


def print_table(table: TextTable, console: Console) -> None:
    """In markdown where it is too wide: cut cells would be worse than long lines."""
    drawn = _terminal_table(table)
    fits = Measurement.get(console, console.options, drawn).maximum < console.width
    console.print(drawn if fits else Text(table.markdown()), soft_wrap=not fits)
    if fits and any("†" in cell for row in table.rows for cell in row):
        console.print(Text(table.note))


def _terminal_table(table: TextTable) -> Table:
    drawn = Table(title=table.title, title_justify="left", title_style="bold")
    for name, side in zip(table.header, table.alignment(), strict=True):
        drawn.add_column(name, justify="left" if side == "left" else "right", no_wrap=True)
    for row in table.marked("[bold green]{}[/]", "[underline]{}[/]", escape):
        drawn.add_row(*row)
    return drawn
