"""`dataset.valid_share`: selection sees a draw of the valid triples, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aswa.config import ConfigError, RunConfig, load
from aswa.data.valid_share import drawn_rows
from aswa.models.kge.bilinear import BilinearModel
from aswa.tasks.link_prediction import LinkPrediction
from aswa.tasks.ranking import TOLERANCE

# Of commit fd502c3, before there was such a key.
RUN_IDS = {"umls": ("e36bcb6d2b5d", "b5c2fd6397eb"), "kinship": ("da1b3fc31679", "fa536f0fc089")}
PAPER = ["hyperparameters=paper", "epochs=null", "batch_size=null", "optimizer=paper", "seed=600"]


def task(*words: str) -> LinkPrediction:
    usual = ["model=distmult", "model.dim=8", "lr=0.1", "optimizer=sgd"]
    return LinkPrediction(load([*usual, *words]), torch.device("cpu"))


def model_of(task: LinkPrediction) -> BilinearModel:
    model = task.build_model(torch.Generator().manual_seed(0)).eval()
    assert isinstance(model, BilinearModel)
    return model


@torch.no_grad()
def by_hand(task: LinkPrediction, model: BilinearModel, rows: list[int]) -> list[float]:
    """Reciprocal ranks of the tails, then of the heads, of some valid triples, one by one."""
    known = set(map(tuple, torch.cat([task.graph.train, task.graph.valid]).tolist()))
    n, found = len(task.graph.valid) // 2, []
    for row in [*rows, *(row + n for row in rows)]:
        h, r, t = task.graph.valid[row].tolist()
        scores = model.score_all(torch.tensor([h]), torch.tensor([r]))[0].tolist()
        margin = TOLERANCE * max(1.0, abs(scores[t]))
        rivals = [s for e, s in enumerate(scores) if e != t and (h, r, e) not in known]
        above = sum(score > scores[t] + margin for score in rivals)
        equal = sum(abs(score - scores[t]) <= margin for score in rivals)
        found.append(1 / (1 + above + equal / 2))
    return found


def test_selection_ranks_heads_and_tails_of_the_drawn_triples() -> None:
    """Against a loop over triples and entities; the filter is that of all valid triples."""
    part, whole = task("dataset.valid_share=0.1", "seed=3"), task("seed=3")
    model = model_of(part)
    rows = drawn_rows(652, 0.1, seed=3).tolist()
    expected = by_hand(part, model, rows)
    found = part.metrics([model], "valid")
    assert part.score(model) == found["mrr"] == pytest.approx(sum(expected) / len(expected))
    assert found["mrr_tail"] == pytest.approx(sum(expected[: len(rows)]) / len(rows))
    assert found["mrr"] != pytest.approx(whole.score(model), rel=1e-3)
    assert part.metrics([model], "test") == whole.metrics([model], "test")


def test_a_draw_is_the_seeds_and_never_empty() -> None:
    rows = drawn_rows(1000, 0.2, seed=1)
    assert len(rows.unique()) == 200 and torch.equal(rows, drawn_rows(1000, 0.2, seed=1))
    assert not torch.equal(rows, drawn_rows(1000, 0.2, seed=2))
    assert torch.isin(rows, drawn_rows(1000, 0.5, seed=1)).all()
    assert torch.equal(drawn_rows(1000, 1.0, seed=1), torch.arange(1000))
    assert len(drawn_rows(7, 0.01, seed=1)) == 1


def test_leaks_are_those_of_the_drawn_triples(data_dir: Path) -> None:
    part = task("dataset=nell_995_h50", f"data_dir={data_dir}", "dataset.valid_share=0.02")
    model, graph = model_of(part), part.graph
    ranks = part._valid.ranks(model.score_blocks)
    rows = drawn_rows(len(graph.valid) // 2, 0.02, seed=0).tolist()
    train = set(map(tuple, graph.train.tolist()))
    seen = {entity for h, _, t in train for entity in (h, t)}
    kept = []
    for place, row in enumerate(rows):
        triple = tuple(graph.valid[row].tolist())
        if triple not in train and {triple[0], triple[2]} <= seen:
            kept += [place, place + len(rows)]
    assert 0 < len(kept) < len(ranks)
    expected = float((1 / ranks[kept]).mean())
    assert part.metrics([model], "valid")["mrr_clean"] == pytest.approx(expected)


def config(dataset: str, *words: str) -> RunConfig:
    return load([f"dataset={dataset}", "model=complex", *words])


@pytest.mark.parametrize("dataset", RUN_IDS)
def test_recorded_runs_keep_their_run_id(dataset: str) -> None:
    usual = config(dataset, "lr=0.1")
    assert (usual.run_id, config(dataset, *PAPER).run_id) == RUN_IDS[dataset]
    assert config(dataset, "lr=0.1", "dataset.valid_share=1").run_id == usual.run_id
    part = config(dataset, "lr=0.1", "dataset.valid_share=0.5")
    assert part.run_id != usual.run_id
    assert part.setting["shared"]["dataset.valid_share"] == 0.5
    assert "dataset.valid_share" not in usual.setting["shared"]


@pytest.mark.parametrize("share", ["0", "1.01"])
def test_a_share_is_above_0_and_at_most_1(share: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.valid_share=.* a number in \(0, 1\]"):
        config("umls", f"dataset.valid_share={share}")
