"""Leaks of a graph's splits: counted, checked against the YAML, left out of `_clean` metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from aswa.config import ConfigError, load, remarks
from aswa.data.folders import VARIABLE
from aswa.data.knowledge_graph import KnowledgeGraph
from aswa.data.leaks import clean, leaks
from aswa.kinds.graphs import LEAKS
from aswa.tasks.link_prediction import LinkPrediction


def graph(train: str, valid: str, test: str) -> KnowledgeGraph:
    """Facts as two letters, head and tail, of one relation."""
    names = sorted(set(train + valid + test) - {" "})
    splits = [
        torch.tensor([[names.index(fact[0]), 0, names.index(fact[1])] for fact in facts.split()])
        for facts in (train, valid, test)
    ]
    return KnowledgeGraph(tuple(names), ("r",), *splits)


def test_every_kind_of_leak_is_counted_and_left_out() -> None:
    found = graph(train="ab bc bc", valid="ab ca cx ca", test="ca ac ac bc xa")
    counts = leaks(found)
    assert counts.keys() == LEAKS.keys()
    assert counts == {
        "valid_in_train": 1,  # ab
        "test_in_train": 1,  # bc
        "test_in_valid": 1,  # ca
        "train_repeated": 1,
        "valid_repeated": 1,  # ca
        "test_repeated": 1,  # ac
        "valid_unseen": 1,  # x
        "test_unseen": 1,
    }
    assert clean(found, "valid").tolist() == [False, True, False, False]
    assert clean(found, "test").tolist() == [False, True, False, False, False]
    assert clean(found, "train").tolist() == [True, True, False]


def test_a_reversed_fact_is_no_leak() -> None:
    found = graph(train="ab", valid="ba", test="aa")
    assert not any(leaks(found).values())
    assert clean(found, "valid").all() and clean(found, "test").all()


LR = OmegaConf.create({"lr": 0.1, "hyperparameters": None})
NELL = ["dataset=nell_995_h50", "model=distmult", "model.dim=2", "lr=0.1", "optimizer=sgd"]


def test_nell_has_the_leaks_that_its_file_declares(data_dir: Path) -> None:
    """`LinkPrediction` compares them; a number that is not declared is none."""
    config = load([*NELL, f"data_dir={data_dir}"])
    task = LinkPrediction(config, torch.device("cpu"))
    assert "33 test rows stand in train" in remarks(config, LR)[0]
    model = task.build_model(torch.Generator())
    ranks = task._test.ranks(model.score_blocks)  # type: ignore[operator]
    seen = set(task.graph.train[:, [0, 2]].flatten().tolist())
    known = {tuple(t) for t in (*task.graph.train.tolist(), *task.graph.valid.tolist())}
    kept = []
    for place, (h, r, t) in enumerate(task.graph.test.tolist()):
        if (h, r, t) not in known and {h, t} <= seen:
            kept.append(place)
        known.add((h, r, t))
    expected = float((1 / ranks[kept]).mean())
    found = task.metrics([model], "test")
    assert found["mrr_clean"] == pytest.approx(expected, rel=1e-9)
    assert found["mrr"] == pytest.approx(float((1 / ranks).mean()), rel=1e-9)
    config.dataset.options["leaks"].pop("test_repeated")
    with pytest.raises(ConfigError, match=r"leaks\.test_repeated should be 0"):
        LinkPrediction(config, torch.device("cpu"))


def test_a_graph_without_leaks_has_no_clean_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    config = load(["dataset=umls", "model=distmult", "model.dim=2", "optimizer=sgd"])
    task = LinkPrediction(config, torch.device("cpu"))
    assert remarks(config, LR) == []
    assert not [
        m for m in task.metrics([task.build_model(torch.Generator())], "test") if "clean" in m
    ]
