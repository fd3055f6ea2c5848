"""Two ranks that average in a loop of their own: they decide alike, or are told how to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from aswa.averaging import ASWA, EarlyStopping, ReleasedASWA

# Scores (v, v̂) that each rank measures on its shard; the mean decides soft, soft, reject, while
# rank 0 alone would reject the second and rank 1 alone the first.
SHARDS = (((0.4, 0.0), (0.0, 0.9), (0.0, 0.3), (0.0, 0.4)),
          ((0.4, 0.0), (0.0, 0.3), (0.0, 0.95), (0.0, 0.4)))  # fmt: skip


def mean(value: float) -> float:
    total = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(total)
    return total.item() / distributed.get_world_size()


def four_epochs(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    bare = nn.Linear(3, 2)
    model = DistributedDataParallel(bare)
    reduced, told, alone = ASWA(model, reduce=mean), ASWA(bare), ASWA(bare, reduce=float)
    stopping, decisions, lonely, errors = EarlyStopping(model), [], [], []
    for pair in SHARDS[rank]:
        with torch.no_grad():
            bare.weight.add_(1.0)
        first, second = iter(pair), iter(pair)
        decisions.append(reduced.update(model, lambda _, s=first: next(s)).value)
        lonely.append(alone.update(bare, lambda _, s=second: next(s)).value)
        try:
            told.update(model, lambda _, v=pair[1]: v)
            stopping.update(model, lambda _, v=pair[1]: v)
        except RuntimeError as error:
            errors.append("reduce=" in str(error))
    weights = reduced.module.state_dict()
    saved = (decisions, lonely, errors, told.n_averaged, stopping.n_epochs, weights)
    torch.save(saved, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("cls", [ASWA, ReleasedASWA, EarlyStopping])
@pytest.mark.parametrize(
    ("mine", "others", "refused"),
    [
        (0.5, 0.5, False),
        (0.5, 0.25, True),
        (0.5, math.nan, True),
        (math.nan, float("nan"), False),
        (0.5, None, False),
    ],
)
def test_ranks_must_have_equal_scores(
    cls: type, mine: float, others: float | None, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 of two that are not there; None: reduced to a score of all, and not compared."""

    def add(scores: torch.Tensor) -> None:
        assert others is not None
        scores += torch.tensor([0.0, others])

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(distributed, "all_reduce", add)
    model = nn.Linear(2, 2)
    averager = cls(model, reduce=None if others is not None else lambda value: value / 2)
    if refused:
        with pytest.raises(RuntimeError, match="reduce="):
            averager.update(model, lambda _: mine)
        assert averager.n_averaged == averager.version == 0
    else:
        averager.update(model, lambda _: mine)
        assert averager.n_averaged >= 1
        assert averager.score == pytest.approx(0.25 if others is None else mine, nan_ok=True)


@pytest.mark.slow
def test_ranks_with_shards_of_validation(tmp_path: Path) -> None:
    multiprocessing.spawn(four_epochs, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert one[0] == other[0] == ["hard", "soft", "soft", "reject"]
    assert one[1] != other[1]  # what happened silently
    assert one[2] == other[2] == [True, True]  # refused on both ranks, where scores differ
    assert one[3:5] == other[3:5] == (2, 2)
    assert one[5].keys() == {"weight", "bias"}
    assert all(torch.equal(one[5][name], other[5][name]) for name in one[5])
