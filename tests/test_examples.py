"""Every script of examples/ runs, in a folder of its own, and is short."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
NEEDS = {"lightning_callback": "lightning", "trainer_callback": "transformers"}
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
LINES = 60


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_short(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= LINES


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    """And says a number."""
    needed = NEEDS.get(script.stem, "torch")
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    words = [*TORCHRUN, str(script)] if script.stem == "fsdp" else [str(script)]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "0." in done.stdout
