"""The parts of docs/published.md that are computed, and what `aswa-analyze --published` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aswa.analysis.published import graphs, images
from aswa.analysis.published.beside import (
    beside_sentences,
    beside_table,
    committed_rows,
    our_rows,
)
from aswa.analysis.records.runs import read_runs
from aswa.analysis.rendering.drawing import Drawing
from aswa.analysis.rendering.tables import TextTable


@dataclass(frozen=True)
class Part:
    """A table, what it says, and its figures."""

    table: TextTable
    sentences: list[str]
    drawings: tuple[Drawing, ...] = ()

    def text(self) -> str:
        """The table over the sentences, as markdown."""
        return "\n\n".join([self.table.markdown().strip(), *self.sentences])


def parts(folder: Path, results_dir: Path) -> dict[str, Part]:
    """By the block of the page: `images`, `graphs`, and `ours` beside the graphs.

    Args:
        folder: of the published figures.
        results_dir: may have runs of ours at their setting; else the committed ones count.
    """
    of_images = images.findings(folder)
    figures = graphs.read_graphs(folder)
    of_graphs = graphs.findings(figures)
    ours = our_rows(read_runs(results_dir)[0])
    beside = beside_table(figures, committed_rows(folder) if ours.empty else ours)
    return {
        "images": Part(
            images.findings_table(of_images),
            images.sentences(of_images),
            (images.growth(folder),),
        ),
        "graphs": Part(graphs.findings_table(of_graphs), graphs.sentences(figures, of_graphs)),
        "ours": Part(beside, beside_sentences(beside)),
    }
