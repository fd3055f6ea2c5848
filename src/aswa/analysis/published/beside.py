"""Runs of ours at the setting of the published link prediction figures, beside these.

The setting is that under the authors' tables: dim 256, 300 epochs, batch 1024, Adam at lr 0.1, Keci
with p = 0 and q = 1. Our test MRR is a mean over seeds, theirs a single run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from aswa.analysis.published.graphs import AVERAGED, LONG, METHODS, README, mrr_cells
from aswa.analysis.records.long_table import RESULT_COLUMNS, UNIT, choose_cells, rows_frame
from aswa.analysis.records.names import merged
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import choose_settings, configured
from aswa.analysis.rendering.tables import TextTable, signed_cell

FOLDER, ROWS = "published_graphs", "results.parquet"  # beside the folder of published figures
SETTING = {
    "epochs": 300, "batch_size": 1024, "lr": 0.1, "base_optimizer.name": "adam", "model.dim": 256,
}  # fmt: skip
OF_KECI = {"model.p": (None, 0), "model.q": (None, 1)}  # None: of a model that has no such option
SCORING = "model.objective"
CELL = [*UNIT, "scoring"]
MISSING = (math.nan, math.nan, 0)  # mean, standard deviation, seeds
OURS = {
    "sgd": "last epoch",
    "polyak": "all epochs",
    "aswa_forgetful": "ASWA (member forgotten)",
    "aswa": "ASWA",
    "early_stopping": "early stopping",
}


def at_their_setting(run: Run) -> bool:
    """Whether a run is to stand beside a published figure."""
    same = all(configured(run, key) == value for key, value in SETTING.items())
    return same and all(configured(run, key) in values for key, values in OF_KECI.items())


def our_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """RESULT_COLUMNS and `scoring` of the runs at that setting; of nothing else that can differ.

    Where runs of one dataset, model and scoring still differ in a setting, those of the setting
    that fills most cells count, as in any other analysis.
    """
    by_scoring: dict[str, list[Run]] = defaultdict(list)
    for run in filter(at_their_setting, runs):
        by_scoring[str(configured(run, SCORING))].append(run)
    found = [pd.DataFrame(columns=[*RESULT_COLUMNS, "scoring"])]
    for scoring, alike in sorted(by_scoring.items()):
        names, _ = merged(run.names for run in alike)
        choice = choose_settings(alike)
        cells = choose_cells(rows_frame(alike), alike, choice, names, keep_collapsed=False)
        found.append(cells.table.assign(scoring=scoring))
    return pd.concat(found[1:] or found, ignore_index=True)


def committed_rows(published: Path) -> pd.DataFrame:
    """`our_rows` of the runs whose results are committed beside the published figures, or none."""
    path = published.parent / FOLDER / ROWS
    return pd.read_parquet(path) if path.is_file() else our_rows([])


def beside_table(figures: pd.DataFrame, ours: pd.DataFrame) -> TextTable:
    """Every published cell of that setting with ours, if we have it. Numbers are test MRR."""
    theirs = mrr_cells(figures, README, AVERAGED)
    theirs = theirs[theirs.index.get_level_values("setting").isin(LONG)].reset_index()
    test = ours[(ours["split"] == "test") & (ours["metric"] == "mrr")]
    values = test.groupby([*CELL, "optimizer"])["value"].agg(mean="mean", std="std", n="size")
    found = {row[0]: row[1:] for row in values.itertuples(name=None)}
    rows, numbers = [], []
    for _, cell in theirs.iterrows():
        key = tuple(cell[name] for name in CELL)
        mine = [found.get((*key, method), MISSING) for method in OURS]
        seeds = max(n for *_, n in mine)
        printed = [f"{cell[method]:.3f}" for method in AVERAGED]
        rows.append((*key, *printed, *map(_mean_std, mine), str(seeds)))
        numbers.append((*key, *cell[AVERAGED], *(mean for mean, *_ in mine), seeds))
    published = [f"published_{method}" for method in AVERAGED]
    theirs_said = [f"theirs: {METHODS[method]}" for method in AVERAGED]
    ours_said = [f"ours: {label}" for label in OURS.values()]
    return TextTable(
        "published_beside_ours",
        "Published figures beside ours, test MRR: dim 256, 300 epochs, batch 1024, Adam, lr 0.1",
        (*CELL, *theirs_said, *ours_said, "seeds"),
        tuple(rows),
        pd.DataFrame(numbers, columns=[*CELL, *published, *OURS, "seeds"]),
        note="Theirs: single runs; for FB15k-237 and WN18RR their table states no setting. Ours: "
        "mean ± standard deviation over seeds; — where we have no run.",
    )


def _mean_std(found: tuple[float, ...]) -> str:
    mean, std, n = found
    if not n:
        return "—"
    return f"{mean:.3f}" if math.isnan(std) else f"{mean:.3f} ± {std:.3f}"


def beside_sentences(table: TextTable) -> list[str]:
    """How much of our ASWA's lead over the last epoch early stopping has alone, beside theirs."""
    numbers = table.numbers[table.numbers["seeds"] > 0]
    said = []
    for _, cell in numbers.iterrows():
        theirs = signed_cell(cell["published_aswa"] - cell["published_last_epoch"], 3)
        lead, early, polyak = (
            signed_cell(cell[method] - cell["sgd"], 3)
            for method in ("aswa", "early_stopping", "polyak")
        )
        said.append(
            f"- {cell['dataset']} × {cell['model']}, {cell['scoring']}: ASWA {lead}, early "
            f"stopping {early}, all epochs {polyak}; published ASWA {theirs}."
        )
    return ["Lead over the last epoch in test MRR:\n\n" + "\n".join(said)] if said else []
