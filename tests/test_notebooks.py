"""The notebooks run from top to bottom on what is committed, and are what their scripts say."""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import nbclient
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_runs(script: Path) -> None:
    notebook = jupytext.read(script)
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in shown)
    assert not [out for out in shown if out.get("name") == "stderr"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_and_script_are_a_pair(script: Path) -> None:
    """`make notebooks` writes the .ipynb anew, with its outputs, from the script."""
    pair = jupytext.read(script.with_suffix(".ipynb"))
    cells = [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
    assert [(cell.cell_type, cell.source) for cell in pair.cells] == cells
    assert all(cell.outputs is not None for cell in pair.cells if cell.cell_type == "code")
    assert any(cell.outputs for cell in pair.cells if cell.cell_type == "code")


def test_the_own_loop_needs_torch_and_matplotlib_alone() -> None:
    """As somebody has them who installed `aswa` for averaging."""
    tree = ast.parse((FOLDER / "aswa_in_your_own_loop.py").read_text())
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = (node.names for node in ast.walk(tree) if isinstance(node, ast.Import))
    found |= {name.name for names in plain for name in names}
    allowed = {"torch", "matplotlib.pyplot", "aswa.averaging", "importlib.resources"}
    assert found == allowed


def test_there_are_notebooks() -> None:
    assert [path.stem for path in SCRIPTS] == [
        "aswa_in_your_own_loop",
        "inspect_results",
        "language_models",
        "multi_hop_queries",
        "uncertainty",
        "your_results",
    ]
