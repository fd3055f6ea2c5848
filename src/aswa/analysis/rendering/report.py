"""What a report shows, and how it is written. No dates; a path only in commands, as given there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from aswa.analysis.declaration import Declaration
from aswa.analysis.made_with import COMMANDS, MadeWith
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

LEAST, MOST = 0.8, 1.2  # width of a figure on the page, as a part of that in which it was drawn


@dataclass(frozen=True)
class Study:
    """The analysis of one regime, or of a folder without declared regimes.

    `notices` is what a reader has to know before believing a number, the worst first.
    """

    declared: Declaration
    regime: str  # name, "" without
    title: str  # begins the regime's sentences
    note: str  # which runs these are, and which setting was taken where there are several
    names: Names
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
    notices: tuple[str, ...]
    runs_used: int
    seeds: str

    def primary(self) -> list[str]:
        """A sentence on the primary comparison for each primary metric."""
        return self._said(lambda records: records[0].sentence())

    def secondary(self) -> list[str]:
        """A sentence on the other comparisons for each primary metric."""
        return self._said(lambda records: summary_sentence(records[1:]))

    def _said(self, say: Callable[[list[SignificanceRecord]], str]) -> list[str]:
        families = [family(self.records, metric) for metric in self.declared.primary_metrics]
        lead = f"{self.title}: " if self.title else ""
        return [f"{lead}{said}" for records in families if records and (said := say(records))]

    def tables(self) -> list[TextTable]:
        """All tables that get files of their own."""
        tests = [self.tests, self.tests_by_dataset, *self.intervals]
        maybe = (self.structures, self.decisions, self.method_costs)
        return [*self.metric_tables.values(), self.cost_table, *tests, *filter(None, maybe)]

    @property
    def ending(self) -> str:
        """Of the names of its files."""
        return f"_{self.regime}" if self.regime else ""


@dataclass(frozen=True)
class Report:
    """The analysis of one results folder: a study, or one for each declared regime.

    `results`, `runs` and `costs` hold every readable run; a study rests on chosen settings.
    """

    studies: tuple[Study, ...]
    results: pd.DataFrame
    runs: pd.DataFrame  # a row a run, with the settings that vary; unfinished ones too
    run_list: TextTable  # the same for a reader
    made: MadeWith
    unfinished: tuple[str, ...]  # sentences on runs without a result
    costs: pd.DataFrame
    by: tuple[str, ...]  # keys by whose values metrics are given
    curves: tuple[Drawing, ...]
    curve_tables: tuple[TextTable, ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]  # about all studies
    title: str = "Does adaptive stochastic weight averaging generalise better?"
    command: str = "aswa-analyze RESULTS_DIR"  # that writes this report again

    def primary(self) -> list[str]:
        """The sentences on the primary comparisons of all studies."""
        return [sentence for study in self.studies for sentence in study.primary()]

    def secondary(self) -> list[str]:
        """The sentences on the other comparisons of all studies."""
        return [sentence for study in self.studies for sentence in study.secondary()]

    def answer(self) -> list[str]:
        """Both, the primary comparisons first."""
        return self.primary() + self.secondary()

    def all_notices(self) -> list[str]:
        """Of the folder and of all studies, each once."""
        own = [notice for study in self.studies for notice in study.notices]
        return list(dict.fromkeys([*self.notices, *own]))


def write_report(report: Report, folder: Path) -> Path:
    """Write all files of a report under `folder`, each atomically; returns report.html's path.

    Equal reports give equal bytes. Tables and figures that an earlier analysis left in `tables/`
    and `figures/` and this one does not have are removed, so that no file there contradicts the
    report.
    """
    answer = report.answer()
    evidence = [study.evidence for study in report.studies]
    files: dict[str, bytes] = {
        "results.csv": csv_bytes(report.results),
        "results.parquet": _parquet_bytes(report.results),
        "runs.csv": csv_bytes(report.runs),
        "costs.csv": csv_bytes(report.costs),
        "significance.csv": csv_bytes(_joined(report, [s.significance for s in report.studies])),
        "effects.csv": csv_bytes(
            _joined(report, [frame(found.effects, EFFECT_COLUMNS) for found in evidence])
        ),
        "ranks.csv": csv_bytes(_joined(report, [ranks_frame(found.ranks) for found in evidence])),
        "posterior.csv": csv_bytes(
            _joined(report, [frame(found.posteriors, POSTERIOR_COLUMNS) for found in evidence])
        ),
        "tables/answer.md": ("\n\n".join(answer) + "\n").encode(),
        "tables/answer.tex": ("\n\n".join(map(latex_text, answer)) + "\n").encode(),
    }
    for ending, table in _named_tables(report):
        files |= {f"tables/{n}": content for n, content in table_files(table, ending).items()}
    for ending, drawing in _named_drawings(report):
        files |= {f"figures/{n}": content for n, content in drawing_files(drawing, ending).items()}
    files["report.html"] = render_html(report).encode()
    write_files(folder, files)
    for kind in ("tables/*.md", "tables/*.tex", "tables/*.csv", "figures/*.svg", "figures/*.png"):
        for path in sorted(folder.glob(kind)):
            if str(path.relative_to(folder)) not in files:
                path.unlink()
    return folder / "report.html"


def _named_tables(report: Report) -> Iterator[tuple[str, TextTable]]:
    yield from (("", table) for table in report.curve_tables)
    for study in report.studies:
        yield from ((study.ending, table) for table in study.tables())


def _named_drawings(report: Report) -> Iterator[tuple[str, Drawing]]:
    yield from (("", drawing) for drawing in report.curves)
    for study in report.studies:
        yield from ((study.ending, drawing) for drawing in study.drawings)


def _joined(report: Report, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One below the other, with the column `regime` behind the others where there are regimes."""
    if not any(study.regime for study in report.studies):
        return frames[0]
    named = zip(frames, report.studies, strict=True)
    return pd.concat([f.assign(regime=study.regime) for f, study in named], ignore_index=True)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Each atomically."""
    for name, content in files.items():
        write_bytes(folder / name, content)


def table_files(table: TextTable, ending: str = "") -> dict[str, bytes]:
    """Markdown, LaTeX, and the unrounded numbers as csv; `ending` is behind the stem."""
    return {
        f"{table.stem}{ending}.md": table.markdown().encode(),
        f"{table.stem}{ending}.tex": table.latex().encode(),
        f"{table.stem}{ending}.csv": csv_bytes(table.numbers),
    }


def drawing_files(drawing: Drawing, ending: str = "") -> dict[str, bytes]:
    """SVG and PNG; `ending` is behind the stem."""
    stem = f"{drawing.stem}{ending}"
    return {f"{stem}.svg": drawing.svg, f"{stem}.png": drawing.png}


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


def render_html(report: Report) -> str:
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
    first = report.studies[0]
    return template.render(report=report, declared=first.declared, names=first.names, most=COMMANDS)


def _inline_svg(drawing: Drawing, ending: str = "") -> str:
    """The SVG element without its XML prologue; ids made unique, in about the size it was drawn in.

    A telephone scrolls it sideways in its own box, since smaller letters could not be read.
    """
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{drawing.stem}{ending}-", text)
    head, rest = text.split(">", 1)
    size = re.search(r'\bwidth="([\d.]+)pt"', head)
    most = ""
    if size:
        wide = float(size[1])
        most = f' style="min-width:{LEAST * wide:.0f}pt;max-width:{MOST * wide:.0f}pt"'
    return re.sub(r'\s(width|height)="[^"]*"', "", head) + most + ">" + rest
