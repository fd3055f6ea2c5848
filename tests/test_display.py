"""What a person sees of a run: the bar follows the epochs, however short they are."""

from __future__ import annotations

import io
import itertools
import re
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from aswa.training import display


@pytest.mark.parametrize("start", [0, 30])
@pytest.mark.parametrize("epoch_seconds", [0.02, 0.15, 3.0])
def test_the_bar_follows_the_epochs(
    epoch_seconds: float, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are shown within an epoch of seconds, and never keep the bar from an epoch."""
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    file = io.StringIO()
    bar = tqdm(total=60, desc="umls", bar_format=display.FORMAT, file=file, ncols=100)
    shown = display.Bar("umls", bar)
    work = SimpleNamespace(epochs=60, epoch=start, batches=0, described="loss 0.1")
    for work.epoch in range(start, 60):
        for work.batches in range(1, 11):
            now[0] += epoch_seconds / 10
            shown.moment(work)
        work.epoch, work.batches = work.epoch + 1, 0
        shown.epoch(work)
    shown.stage("evaluating aswa")
    bar.close()
    lines = [line.strip() for line in file.getvalue().split("\r")]
    places = [int(found[1]) for line in lines if (found := re.search(r" (\d+)/60", line))]
    assert places[-1] == 60
    moves = [after - before for before, after in itertools.pairwise(places[1:])]
    assert max(moves) <= max(1, display.BAR_SECONDS / epoch_seconds + 1)
    assert any("batch" in line for line in lines) == (epoch_seconds > 1)
    assert lines[-1].startswith("umls, evaluating aswa |##########| 60/60")
