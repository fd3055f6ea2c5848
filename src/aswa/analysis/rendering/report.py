"""What a report shows, and how it is written: files and the terminal. No dates, no paths."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import pyarrow as pa
from pyarrow import csv
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from aswa.analysis.declaration import Declaration
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Problem
from aswa.analysis.rendering.drawing import Drawing
from aswa.analysis.rendering.tables import TextTable, latex_text
from aswa.analysis.statistics.bayesian import POSTERIOR_COLUMNS
from aswa.analysis.statistics.compared import frame
from aswa.analysis.statistics.comparisons import family
from aswa.analysis.statistics.evidence import Evidence
from aswa.analysis.statistics.friedman import ranks_frame
from aswa.analysis.statistics.resampling import EFFECT_COLUMNS
from aswa.analysis.statistics.signed_rank import SignificanceRecord, summary_sentence
from aswa.files import write_bytes


@dataclass(frozen=True)
class Study:
    """The analysis of one results folder.

    `results` and `costs` hold every readable run; all else rests on the chosen settings.
    `notices` is what a reader has to know before believing a number, the worst first.
    """

    declared: Declaration
    names: Names
    results: pd.DataFrame
    costs: pd.DataFrame
    records: tuple[SignificanceRecord, ...]
    significance: pd.DataFrame  # of `records`, as significance.csv has them
    evidence: Evidence
    metric_tables: dict[str, TextTable]  # by metric
    structures: TextTable | None  # of logical queries
    tests: TextTable  # scope all
    tests_by_dataset: TextTable
    decisions: TextTable | None
    intervals: tuple[TextTable, ...]
    cost_table: TextTable
    method_costs: TextTable | None
    drawings: tuple[Drawing, ...]
    environment: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    runs_used: int
    seeds: str

    def answer(self) -> list[str]:
        """Per primary metric: the sentence on the primary comparison, then one on the others."""
        sentences = []
        for metric in self.declared.primary_metrics:
            if records := family(self.records, metric):
                sentences += [records[0].sentence(), summary_sentence(records[1:])]
        return [sentence for sentence in sentences if sentence]

    def tables(self) -> list[TextTable]:
        """All tables that get files of their own."""
        tests = [self.tests, self.tests_by_dataset, *self.intervals]
        maybe = (self.structures, self.decisions, self.method_costs)
        return [*self.metric_tables.values(), self.cost_table, *tests, *filter(None, maybe)]


def write_study(study: Study, folder: Path) -> Path:
    """Write all files of a study under `folder`, each atomically; returns report.html's path.

    Equal studies give equal bytes. Tables and figures that an earlier analysis left in `tables/`
    and `figures/` and this one does not have are removed, so that no file there contradicts the
    report.
    """
    evidence, answer = study.evidence, study.answer()
    files: dict[str, bytes] = {
        "results.csv": csv_bytes(study.results),
        "results.parquet": _parquet_bytes(study.results),
        "costs.csv": csv_bytes(study.costs),
        "significance.csv": csv_bytes(study.significance),
        "effects.csv": csv_bytes(frame(evidence.effects, EFFECT_COLUMNS)),
        "ranks.csv": csv_bytes(ranks_frame(evidence.ranks)),
        "posterior.csv": csv_bytes(frame(evidence.posteriors, POSTERIOR_COLUMNS)),
        "tables/answer.md": ("\n\n".join(answer) + "\n").encode(),
        "tables/answer.tex": ("\n\n".join(map(latex_text, answer)) + "\n").encode(),
    }
    for table in study.tables():
        files |= {f"tables/{name}": content for name, content in table_files(table).items()}
    for drawing in study.drawings:
        files |= {f"figures/{name}": content for name, content in drawing_files(drawing).items()}
    files["report.html"] = render_html(study).encode()
    write_files(folder, files)
    for kind in ("tables/*.md", "tables/*.tex", "tables/*.csv", "figures/*.svg", "figures/*.png"):
        for path in sorted(folder.glob(kind)):
            if str(path.relative_to(folder)) not in files:
                path.unlink()
    return folder / "report.html"


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Each atomically."""
    for name, content in files.items():
        write_bytes(folder / name, content)


def table_files(table: TextTable) -> dict[str, bytes]:
    """Markdown, LaTeX, and the unrounded numbers as csv."""
    return {
        f"{table.stem}.md": table.markdown().encode(),
        f"{table.stem}.tex": table.latex().encode(),
        f"{table.stem}.csv": csv_bytes(table.numbers),
    }


def drawing_files(drawing: Drawing) -> dict[str, bytes]:
    """SVG and PNG."""
    return {f"{drawing.stem}.svg": drawing.svg, f"{drawing.stem}.png": drawing.png}


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """CSV with `\\n` line ends; floats in the shortest form that reads back to the same float.

    By Arrow, ten times as fast as pandas, but for the names of columns, which it would quote.
    """
    buffer = io.BytesIO((",".join(frame.columns) + "\n").encode())
    buffer.seek(0, io.SEEK_END)
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, options)
    return buffer.getvalue()


def _parquet_bytes(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def render_html(study: Study) -> str:
    """The report: one page that needs no other file and no network."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aswa.analysis.rendering", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline_svg
    template = environment.get_template("report.html.j2")
    return template.render(study=study, declared=study.declared, names=study.names)


def _inline_svg(drawing: Drawing) -> str:
    """The SVG element without its XML prologue; ids made unique, at most a fifth larger."""
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{drawing.stem}-", text)
    head, rest = text.split(">", 1)
    size = re.search(r'\bwidth="([\d.]+)pt"', head)
    most = f' style="max-width:{1.2 * float(size[1]):.0f}pt"' if size else ""
    return re.sub(r'\s(width|height)="[^"]*"', "", head) + most + ">" + rest


def print_summary(study: Study, report: Path, console: Console) -> None:
    """The primary metrics by cell, or the first table; the answer; where the report is."""
    tables = study.metric_tables
    primary = [tables[m] for m in study.declared.primary_metrics if m in tables]
    for table in primary or list(tables.values())[:1]:
        drawn = _terminal_table(table)
        fits = Measurement.get(console, console.options, drawn).maximum < console.width
        # Cut cells would be worse than long lines.
        console.print(drawn if fits else Text(table.markdown()), soft_wrap=not fits)
    for sentence in study.answer():
        console.print(Text(sentence))
    console.print(Text(f"report: {report}"), soft_wrap=True)


def _terminal_table(table: TextTable) -> Table:
    drawn = Table(title=table.title, title_justify="left", title_style="bold")
    for name, side in zip(table.header, table.alignment(), strict=True):
        drawn.add_column(name, justify="left" if side == "left" else "right", no_wrap=True)
    for row in table.marked("[bold green]{}[/]", "[underline]{}[/]", escape):
        drawn.add_row(*row)
    return drawn
