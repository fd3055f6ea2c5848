"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import small_cifar
from aswa import distributed
from aswa.averaging import ASWA
from aswa.config import ConfigError, load
from aswa.tasks import objectives
from aswa.training.session import execute, pick_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
GRAPH = ("dataset=umls", "model=complex", "model.dim=32", "optimizer=all", "epochs=5", "lr=0.01")


def mrr(record: dict[str, Any]) -> dict[str, float]:
    """Test MRR by method."""
    return {
        row["optimizer"]: row["value"]
        for row in record["rows"]
        if (row["split"], row["metric"]) == ("test", "mrr")
    }


def test_pick_device() -> None:
    assert pick_device("auto") == torch.device("cuda", 0)
    assert pick_device("cuda").index == 0
    with pytest.raises(ConfigError):
        pick_device(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_a_graph_is_learned_in_every_precision(precision: str, tmp_path: Path) -> None:
    """Test MRR of every method is within 0.1 of that in fp32."""
    found = {}
    for each in ("fp32", precision):
        words = [*GRAPH, f"precision={each}", f"results_dir={tmp_path / each}", "device=cuda"]
        record = execute(load(words))
        assert record["device"] == torch.cuda.get_device_name()
        assert record["config"]["precision"] == each
        found[each] = mrr(record)
    for method, value in found["fp32"].items():
        assert abs(value - found[precision][method]) < 0.1


def test_fp16_scales_gradients_and_images_are_learned(data_dir: Path, tmp_path: Path) -> None:
    """Losses stay finite and fall."""
    small_cifar.write(data_dir, tmp_path / "data")
    words = small_cifar.words("preresnet110", tmp_path / "data", tmp_path / "results", "epochs=3")
    config = load([*words, "precision=fp16", "device=cuda"])
    execute(config)
    losses = [float(x) for x in _history(config.folder)["train_loss"]]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


def _history(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "history.json").read_text())


def test_a_run_on_a_gpu_is_repeated_to_the_last_bit(tmp_path: Path) -> None:
    records = [
        execute(load([*GRAPH, "device=cuda", f"results_dir={tmp_path / name}"])) for name in "ab"
    ]
    assert records[0]["rows"] == records[1]["rows"]


def test_batch_norm_becomes_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).cuda()
    converted = distributed.synchronise_batch_norm(model, torch.device("cuda"))
    assert [type(part) for part in converted] == [nn.Conv2d, nn.SyncBatchNorm]
    assert converted.state_dict().keys() == model.state_dict().keys()


def test_the_order_of_examples_reaches_the_gpu_whole() -> None:
    """Copied from pinned memory, without a wait."""
    order = objectives._shuffled(1 << 20, torch.Generator().manual_seed(0), torch.device("cuda"))
    assert torch.equal(order.sort().values.cpu(), torch.arange(1 << 20))


def test_an_average_lives_on_the_cpu_beside_a_model_on_the_gpu() -> None:
    model = nn.Linear(4, 2).cuda()
    aswa = ASWA(model, device="cpu")
    assert aswa.update(model, lambda module: 1.0).value == "hard"
    assert {parameter.device.type for parameter in aswa.module.parameters()} == {"cpu"}
    for averaged, running in zip(aswa.module.parameters(), model.parameters(), strict=True):
        assert torch.equal(averaged, running.cpu())
