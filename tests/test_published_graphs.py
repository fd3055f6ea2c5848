"""The re-analysis of the authors' figures of graphs, against plain pivots of their file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from aswa.analysis.published.beside import (
    OURS,
    at_their_setting,
    beside_sentences,
    beside_table,
    committed_rows,
    our_rows,
)
from aswa.analysis.published.graphs import (
    COUNTRIES_ONE_GRAPH,
    COUNTRIES_UNITS,
    FOUR_GRAPHS,
    FOUR_GRAPHS_ONE_MODEL,
    NOTES_UNITS,
    SINGLE_CELLS,
    Finding,
    findings,
    findings_table,
    impossible,
    read_graphs,
    sentences,
    twins,
)
from aswa.analysis.published.page import parts
from aswa.analysis.records.long_table import RESULT_COLUMNS
from aswa.analysis.records.runs import read_runs
from aswa.config import load
from written_runs import write_run

FOLDER = Path(__file__).parents[1] / "results" / "published"
FIGURES = read_graphs(FOLDER)
FOUND = {(f.question, f.a, f.b): f for f in findings(FIGURES)}


def counts(found: Finding) -> tuple[int, int, int]:
    return found.test.wins, found.test.ties, found.test.losses


def plain_cells() -> pd.DataFrame:
    """Test MRR as printed, of the README's cells that have all three; by other means than ours."""
    raw = pd.read_csv(FOLDER / "authors_kge_figures.csv")
    raw = raw.query("source == 'dice-embeddings README' and split == 'test' and metric == 'mrr'")
    keys = ["dataset", "model", "scoring", "setting"]
    return raw.set_index([*keys, "optimizer"])["value"].unstack().dropna().reset_index()


def test_the_findings_are_those_of_a_plain_pivot() -> None:
    """Counts as counted by hand from the pivot; means and p by pandas and scipy."""
    cells = plain_cells()
    four = cells[cells["setting"].str.contains("^300|^no setting")]
    units = four.groupby(["dataset", "model"])[["aswa", "swa", "last_epoch"]].mean()
    assert len(cells) == 53 and len(four) == 10 and len(units) == 8
    lead = FOUND[FOUR_GRAPHS, "aswa", "last_epoch"]
    assert counts(lead) == (8, 0, 0)
    assert lead.mean == pytest.approx((units["aswa"] - units["last_epoch"]).mean())
    assert lead.test.p == pytest.approx(stats.wilcoxon(units["aswa"], units["last_epoch"]).pvalue)
    assert lead.sign_p == pytest.approx(2 / 2**8)
    assert counts(FOUND[FOUR_GRAPHS, "aswa", "swa"]) == (8, 0, 0)
    assert counts(FOUND[FOUR_GRAPHS, "swa", "last_epoch"]) == (3, 0, 5)
    assert counts(FOUND[COUNTRIES_UNITS, "aswa", "last_epoch"]) == (20, 0, 1)
    assert counts(FOUND[COUNTRIES_UNITS, "swa", "last_epoch"]) == (11, 2, 8)
    single = cells["aswa"] - cells["last_epoch"]
    assert counts(FOUND[SINGLE_CELLS, "aswa", "last_epoch"]) == (47, 0, 6)
    assert ((single > 0).sum(), (single < 0).sum()) == (47, 6)


def test_keci_and_complex_as_one_model_halve_the_units() -> None:
    """Their mean is the unit, so the mean difference stays and the smallest p rises."""
    for a, b in (("aswa", "last_epoch"), ("aswa", "swa"), ("swa", "last_epoch")):
        two, one = FOUND[FOUR_GRAPHS, a, b], FOUND[FOUR_GRAPHS_ONE_MODEL, a, b]
        assert (two.test.n, one.test.n) == (8, 4)
        assert one.mean == pytest.approx(two.mean)
        assert one.test.smallest_p == 0.125
    assert FOUND[COUNTRIES_ONE_GRAPH, "aswa", "swa"].test.n == 6  # of seven models
    apart = twins(FIGURES)["last_epoch"]
    assert len(apart) == 11
    assert apart.max() == pytest.approx(0.680 - 0.543)


def test_the_polyak_notes_average_over_dims() -> None:
    raw = pd.read_csv(FOLDER / "authors_kge_figures.csv")
    notes = raw[raw["source"].str.startswith("Polyak")]
    wide = notes.pivot_table(index=["dataset", "model"], columns="optimizer", values="value")
    found = FOUND[NOTES_UNITS, "polyak_all_epochs", "last_epoch"]
    assert found.mean == pytest.approx((wide["polyak_all_epochs"] - wide["last_epoch"]).mean())
    assert counts(found) == (6, 0, 0)


def test_the_one_impossible_cell_is_found_and_others_would_be() -> None:
    """Hits@10 .343 below Hits@3 .376; and an MRR that its own Hits rule out."""
    (key,) = impossible(FIGURES).index
    assert key[1:4] == ("yago3_10", "keci", "kvsall") and key[-2:] == ("last_epoch", "test")
    typo = FIGURES.copy()
    here = (typo["dataset"] == "umls") & (typo["scoring"] == "allvsall") & (typo["split"] == "test")
    here &= (typo["metric"] == "mrr") & (typo["optimizer"] == "aswa")
    assert here.sum() == 2
    typo.loc[here, "value"] = 0.99  # with Hits@1 .80
    assert len(impossible(typo)) == 3


def test_the_text_says_what_the_figures_cannot() -> None:
    text = " ".join(sentences(FIGURES, list(FOUND.values())))
    table = findings_table(list(FOUND.values()))
    assert len(table.rows) == 17 and "ASWA − last epoch" in table.markdown()
    assert "There is no column for early stopping" in text
    assert "3 of 8 units (mean −0.061" in text
    assert "yago3_10 × keci, kvsall, last epoch, test: Hits@1 0.274" in text
    fitted = pd.read_csv(FOLDER / "authors_kge_figures.csv").query(
        "source == 'dice-embeddings README' and split == 'train' and metric == 'mrr'"
    )
    wide = fitted.pivot_table(
        index=["dataset", "model", "scoring", "setting"], columns="optimizer", values="value"
    ).dropna()
    assert f"{(wide['last_epoch'] >= 0.99).sum()} of {len(wide)} cells" in text


def rows(method: str, values: list[float], scoring: str = "kvsall") -> list[tuple[object, ...]]:
    head = ("umls", "complex", method)
    return [(*head, seed, "test", "mrr", v, "x", scoring) for seed, v in enumerate(values)]


def test_ours_stand_in_the_row_of_their_scoring() -> None:
    """Means over seeds; a method or a row without ours is a dash."""
    listed = [*rows("sgd", [0.5, 0.7]), *rows("aswa", [0.8, 0.9]), *rows("sgd", [0.1], "allvsall")]
    table = beside_table(FIGURES, pd.DataFrame(listed, columns=[*RESULT_COLUMNS, "scoring"]))
    by = {row[:3]: row[3:] for row in table.rows}
    assert len(by) == 10
    ours = dict(zip(OURS, by["umls", "complex", "kvsall"][3:-1], strict=True))
    assert by["umls", "complex", "kvsall"][:3] == ("0.680", "0.757", "0.804")
    assert ours["sgd"] == "0.600 ± 0.141" and ours["aswa"] == "0.850 ± 0.071"
    assert ours["polyak"] == "—" and by["umls", "complex", "kvsall"][-1] == "2"
    assert by["umls", "complex", "allvsall"][3] == "0.100"
    assert by["wn18rr", "keci", "kvsall"][3:] == (*["—"] * len(OURS), "0")
    assert "ASWA +0.250" in beside_sentences(table)[0]
    assert beside_sentences(beside_table(FIGURES, our_rows([]))) == []


def test_the_recipes_are_at_their_setting_and_nothing_else_is_ours(tmp_path: Path) -> None:
    """Records with the recipes' configuration; another dim or Keci stands beside nothing."""
    recipe = "experiment=published_graphs"
    keci = [f"{recipe}_keci", "model.objective=allvsall"]
    ours = [load(words) for words in ([recipe], keci, [f"{recipe}_large"])]
    others = [load(words) for words in ([recipe, "model.dim=128"], [*keci, "model.q=2"])]
    for config in (*ours, *others):
        write_run(
            tmp_path, config.dataset.name, config.model.name, config.seed, methods=["sgd", "aswa"],
            config=config.resolved, run_id=config.run_id,
        )  # fmt: skip
    runs, problems = read_runs(tmp_path)
    assert len(runs) == 5 and not problems
    assert {run.run_id for run in runs if at_their_setting(run)} == {c.run_id for c in ours}
    found = our_rows(runs).drop_duplicates(["dataset", "model", "scoring"])
    assert found[["dataset", "model", "scoring"]].to_numpy().tolist() == [
        ["umls", "keci", "allvsall"],
        ["fb15k_237", "complex", "kvsall"],
        ["umls", "complex", "kvsall"],
    ]


def test_what_is_committed_is_what_the_page_shows(tmp_path: Path) -> None:
    """Every computed part of docs/published.md is in it, as computed now."""
    page = (FOLDER.parents[1] / "docs" / "published.md").read_text()
    for name, part in parts(FOLDER, tmp_path).items():
        assert part.text() in page, name
        copied = FOLDER / "tested" / f"{part.table.stem}.md"
        assert copied.read_text() == part.table.markdown()


def test_our_keci_is_our_complex() -> None:
    """The same initial weights and steps; only roundings differ, as docs/published.md says."""
    rows = committed_rows(FOLDER)
    test = rows[(rows["split"] == "test") & (rows["metric"] == "mrr")]
    keys = ["dataset", "scoring", "seed", "optimizer"]
    wide = test.pivot(index=keys, columns="model", values="value")
    wide = wide[["complex", "keci"]].dropna()
    assert len(wide) == 2 * 5 * 10
    assert (wide["keci"] - wide["complex"]).abs().max() < 1e-5
