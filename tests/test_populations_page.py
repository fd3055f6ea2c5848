"""The page on populations: its means, and the cells that it says are missing."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aswa.analysis.declaration import Declaration, load_declaration
from aswa.analysis.records.runs import Run, read_runs
from written_runs import write_run

SCRIPTS = Path(__file__).parents[1] / "scripts"
ALONE = ("sgd", "swa", "early_stopping", "aswa")
TOGETHER = ("mean_member", "sgd", "aswa", "greedy_soup", "ensemble")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("populations")


@pytest.fixture(scope="module")
def declared() -> Declaration:
    return load_declaration("populations")


def write(root: Path, population: str, members: int, epochs: int, shift: float = 0.0) -> None:
    """A unit at one seed of the registration."""
    config: dict[str, Any] = {
        "dataset": {"name": "umls"}, "model": {"name": "keci"}, "seed": 700, "epochs": epochs,
        "lr": 0.1, "batch_size": 1024, "population": {"name": population, "members": members},
    }  # fmt: skip
    methods = ALONE if members == 1 else TOGETHER
    write_run(root, "umls", "keci", 700, methods, epochs, shift, False, config=config, deciding=())


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    write(tmp_path, "independent", 1, 300)
    write(tmp_path, "independent", 1, 1500, 0.01)
    write(tmp_path, "wash", 5, 300, 0.02)
    return read_runs(tmp_path)[0]


def test_missing_cells_are_counted(
    page: ModuleType, declared: Declaration, runs: list[Run]
) -> None:
    """Of 2 graphs × 4 models × 10 seeds of every condition; one is there of three of them."""
    said = page.missing(runs, declared)
    assert said.startswith("Missing of 880 cells")
    for label, n in (("One model", 79), ("5× epochs", 79), ("WASH", 79), ("PAPA", 80)):
        assert f"{label} {n}," in said + ","


def test_means_have_their_cost_beside_them(
    page: ModuleType, declared: Declaration, runs: list[Run]
) -> None:
    table = page.overview(runs, declared, declared.regimes[0])
    cost = {row[0]: row[1] for row in table.rows}
    assert cost == {"One model": "1×", "5× epochs": "5×", "WASH": "5×"}
    numbers = table.numbers.set_index(["condition", "row"])
    values = page.cells_of(runs, declared.conditions).loc["umls", "keci"]
    assert numbers.loc[("wash", "aswa"), "mrr"] == values["wash_aswa"]
    assert numbers.loc[("wash", "ensemble"), "predicted"] == 5
    assert set(numbers["units"]) == {1}
    shown = dict(zip(table.header, table.rows[2], strict=True))
    assert (shown["ASWA"], shown["SWA"]) == (f"{values['wash_aswa']:.3f}", "")
