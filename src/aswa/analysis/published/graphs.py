"""The authors' figures of link prediction, tested: test MRR of last epoch, SWA and ASWA.

Every figure is a single run. A unit of a test is a dataset × model, the mean over its scorings:
KvsAll and AllvsAll of one graph and model are not independent. Settings are not pooled. Keci with
p = 0 and q = 1 is ComplEx but for one learned number, so each question is asked again with the two
as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy import stats

from aswa.analysis.published.files import GRAPHS, read_columns
from aswa.analysis.records.long_table import UNIT
from aswa.analysis.rendering.tables import TextTable, p_cell, signed_cell
from aswa.analysis.statistics.compared import frame
from aswa.analysis.statistics.signed_rank import SignedRank, signed_rank

COLUMNS = ["source", *UNIT, "scoring", "dim", "optimizer", "split", "metric", "value", "setting"]
CELL = [*UNIT, "scoring", "dim", "setting"]
README, NOTES = "dice-embeddings README", "Polyak parameter ensemble notes"
LONG = ("300 epochs, batch 1024, Adam 0.1", "no setting stated under this table")
COUNTRIES = "100 epochs, batch 32"
METHODS = {
    "last_epoch": "last epoch", "swa": "SWA", "aswa": "ASWA", "polyak_all_epochs": "all epochs",
    "polyak_last_20_percent": "last fifth",
}  # fmt: skip
AVERAGED = ["last_epoch", "swa", "aswa"]
PAIRS = (("aswa", "last_epoch"), ("aswa", "swa"), ("swa", "last_epoch"))
FOUR_GRAPHS = "UMLS, FB15k-237, WN18RR, YAGO3-10"
FOUR_GRAPHS_ONE_MODEL = "the same four, Keci and ComplEx as one model"
COUNTRIES_UNITS = "Countries-S1, -S2, -S3"
COUNTRIES_ONE_GRAPH = "the same three as one graph, Keci and ComplEx as one model"
SINGLE_CELLS = "single cells, as if independent"
NOTES_UNITS = "notes: UMLS, KINSHIP, means over three dims"
ROUNDING = 0.001  # of a bound that is made of numbers with three decimals


@dataclass(frozen=True)
class Finding:
    """One question with its tests: test MRR of a minus b.

    `sign_p` is the two-sided p of the exact sign test, without ties.
    """

    question: str
    a: str
    b: str
    mean: float
    sign_p: float
    test: SignedRank


def read_graphs(folder: Path) -> pd.DataFrame:
    """One row a published figure, with COLUMNS; all but `value` are texts.

    Raises:
        ValueError: the file lacks a column.
    """
    texts = {name: str for name in COLUMNS if name != "value"}
    return read_columns(folder / GRAPHS, COLUMNS, dtype=texts, keep_default_na=False)


def mrr_cells(
    figures: pd.DataFrame, source: str, methods: Sequence[str], split: str = "test"
) -> pd.DataFrame:
    """MRR of the cells that have all `methods`: index CELL, one column a method."""
    chosen = figures[figures["source"] == source]
    chosen = chosen[(chosen["split"] == split) & (chosen["metric"] == "mrr")]
    wide = chosen.pivot(index=CELL, columns="optimizer", values="value")
    return wide.reindex(columns=list(methods)).dropna()


def as_one_model(cells: pd.DataFrame) -> pd.DataFrame:
    """Keci under the name of ComplEx."""
    return cells.rename(index={"keci": "complex"}, level="model")


def ask(question: str, cells: pd.DataFrame, by: Sequence[str], a: str, b: str) -> Finding:
    """a minus b over the units of `by`; a unit is the mean of its cells."""
    means = cells.groupby(level=list(by), sort=True)[[a, b]].mean()
    test = signed_rank(means[a].to_numpy(), means[b].to_numpy())
    decided = test.wins + test.losses
    sign_p = float(stats.binomtest(test.wins, decided).pvalue) if decided else 1.0
    return Finding(question, a, b, float((means[a] - means[b]).mean()), sign_p, test)


def findings(figures: pd.DataFrame) -> list[Finding]:
    """All questions, in the order of the page."""
    cells = mrr_cells(figures, README, AVERAGED)
    settings = cells.index.get_level_values("setting")
    large, countries = cells[settings.isin(LONG)], cells[settings == COUNTRIES]
    groups = (
        (FOUR_GRAPHS, large, UNIT),
        (FOUR_GRAPHS_ONE_MODEL, as_one_model(large), UNIT),
        (COUNTRIES_UNITS, countries, UNIT),
        (COUNTRIES_ONE_GRAPH, as_one_model(countries), ["model"]),
        (SINGLE_CELLS, cells, CELL),
    )
    found = [ask(*group, a, b) for a, b in PAIRS for group in groups]
    averages = ["polyak_all_epochs", "polyak_last_20_percent"]
    notes = mrr_cells(figures, NOTES, ["last_epoch", *averages])
    return [*found, *(ask(NOTES_UNITS, notes, UNIT, a, "last_epoch") for a in averages)]


def findings_table(found: Sequence[Finding]) -> TextTable:
    """One row a question; differences in test MRR."""
    rows = tuple(
        (f.question, f"{METHODS[f.a]} − {METHODS[f.b]}", str(f.test.n),
         f"{f.test.wins} / {f.test.ties} / {f.test.losses}", signed_cell(f.mean, 3),
         signed_cell(f.test.median_difference, 3), p_cell(f.sign_p), p_cell(f.test.p),
         p_cell(f.test.smallest_p))
        for f in found
    )  # fmt: skip
    asked = pd.DataFrame(
        [(f.question, f.a, f.b, f.mean, f.sign_p) for f in found],
        columns=["question", "optimizer_a", "optimizer_b", "mean", "sign_p"],
    )
    tested = ["n", "wins", "ties", "losses", "statistic", "p", "rank_biserial", "median_difference"]
    return TextTable(
        "published_graphs",
        "Published figures of the authors' framework: test MRR, single runs",
        ("question", "difference", "n", "wins / ties / losses", "mean", "median", "p (sign)",
         "p (signed rank)", "smallest p"),
        rows,
        asked.join(frame([f.test for f in found], tested)),
        note="A unit is a dataset × model, the mean over its scorings, where the question says "
        "nothing else. Sign test and Wilcoxon's signed-rank test, two-sided, exact up to 50 units, "
        "uncorrected: asked after the fact, so p describes. Figures of the authors, not ours.",
    )  # fmt: skip


def impossible(figures: pd.DataFrame) -> pd.DataFrame:
    """Cells whose metrics contradict each other: index of a row of metrics, columns the metrics.

    Hits@1 ≤ Hits@3 ≤ Hits@10, and the MRR lies between the values that these three leave possible:
    ranks 2 and 3 count 1/3 to 1/2, ranks 4 to 10 count 1/10 to 1/4, and later ones at most 1/11.
    """
    keys = ["source", *CELL, "optimizer", "split"]
    wide = figures.pivot(index=keys, columns="metric", values="value")
    one, three, ten = (wide[f"hits@{k}"] for k in (1, 3, 10))
    least = one + (three - one) / 3 + (ten - three) / 10
    most = one + (three - one) / 2 + (ten - three) / 4 + (1 - ten) / 11
    out = (wide["mrr"] < least - ROUNDING) | (wide["mrr"] > most + ROUNDING)
    return wide[(one > three) | (three > ten) | out]


def twins(figures: pd.DataFrame) -> pd.DataFrame:
    """|Keci − ComplEx| of the cells that have both, nearly one model; index without model."""
    cells = mrr_cells(figures, README, AVERAGED)
    models = cells.index.get_level_values("model")
    keci, complex_ = (cells[models == m].droplevel("model") for m in ("keci", "complex"))
    return (keci - complex_).dropna().abs()


def sentences(figures: pd.DataFrame, found: Sequence[Finding]) -> list[str]:
    """What the figures show and what they cannot, a paragraph each."""
    by = {(f.question, f.a, f.b): f for f in found}

    def of(question: str, a: str, b: str) -> str:
        finding = by[question, a, b]
        size = f"mean {signed_cell(finding.mean, 3)}, sign test p = {finding.sign_p:.2g}"
        return f"{finding.test.wins} of {finding.test.n} units ({size})"

    merged = by[FOUR_GRAPHS_ONE_MODEL, "aswa", "last_epoch"].test
    return [
        f"On {FOUR_GRAPHS} ASWA is ahead of the last epoch in "
        f"{of(FOUR_GRAPHS, 'aswa', 'last_epoch')} and of SWA in {of(FOUR_GRAPHS, 'aswa', 'swa')}; "
        f"SWA is ahead of the last epoch in {of(FOUR_GRAPHS, 'swa', 'last_epoch')}. Keci and "
        f"ComplEx as one model leave {merged.n} units, {merged.wins} of them for ASWA, with which "
        f"no p below {merged.smallest_p:.3g} is possible. On Countries ASWA is ahead of the last "
        f"epoch in {of(COUNTRIES_UNITS, 'aswa', 'last_epoch')}.",
        _single_runs(figures),
        "There is no column for early stopping. ASWA looks at validation after every epoch, the "
        "last epoch and SWA never do, so nothing in the tables of these three separates averaging "
        f"from selection on validation. {_fit(figures)}",
        f"The notes on Polyak averages have an average without validation: the mean of all epochs "
        f"is ahead of the last epoch in {of(NOTES_UNITS, 'polyak_all_epochs', 'last_epoch')}, "
        f"that of the last fifth in {of(NOTES_UNITS, 'polyak_last_20_percent', 'last_epoch')}.",
        _impossible(figures),
    ]


def _single_runs(figures: pd.DataFrame) -> str:
    """How far two runs of nearly one model are apart, by its two names."""
    apart = twins(figures)["last_epoch"]
    widest = apart.reset_index().sort_values("last_epoch").iloc[-1]
    cell = f"{widest['dataset']}, {widest['scoring']}"
    return (
        "Every figure is a single run, without a spread. Keci and ComplEx, nearly one model, show "
        f"how far two runs can be apart: at the last epoch by {apart.median():.3f} in the median "
        f"of {len(apart)} cells and by {apart.max():.3f} at most ({cell})."
    )


def _fit(figures: pd.DataFrame) -> str:
    """How well the last epoch has fitted the training triples."""
    train = mrr_cells(figures, README, AVERAGED, split="train")
    fitted = int((train["last_epoch"] >= 0.99).sum())
    countries = train[train.index.get_level_values("setting") == COUNTRIES]
    differ = int(((countries["swa"] - countries["aswa"]).abs() > 0.1).sum())
    return (
        f"The last epoch's train MRR is at least .99 in {fitted} of {len(train)} cells: the runs "
        "end overfitted, where an earlier epoch may be better than the last, averaged or not. On "
        "Countries, whose script passes ASWA's flag for the run that it names SWA, the train MRR "
        f"of the two columns differs by more than .1 in {differ} of {len(countries)} cells: the "
        "published SWA column is not a second ASWA there."
    )


def _impossible(figures: pd.DataFrame) -> str:
    """Which cells contradict themselves."""
    wrong = impossible(figures)
    cells = [
        f"{row['dataset']} × {row['model']}, {row['scoring']}, {METHODS[row['optimizer']]}, "
        f"{row['split']}: Hits@1 {row['hits@1']:.3f}, Hits@3 {row['hits@3']:.3f}, Hits@10 "
        f"{row['hits@10']:.3f}, MRR {row['mrr']:.3f}"
        for _, row in wrong.reset_index().iterrows()
    ]
    return f"Cells that contradict themselves: {'; '.join(cells) or 'none'}."
