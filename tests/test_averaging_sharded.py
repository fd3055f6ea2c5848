"""Averages of sharded models (FSDP2, tensor parallelism) on gloo processes of one machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import distributed, multiprocessing, nn
from torch.distributed import checkpoint
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

from aswa.averaging import ASWA, EMA, SWA, Averager

pytestmark = pytest.mark.slow
METHODS: dict[str, tuple[type[Averager], dict[str, Any]]] = {
    "swa": (SWA, {}), "ema": (EMA, {"decay": 0.8}), "aswa": (ASWA, {}),
}  # fmt: skip
EPOCHS = 8
ROOT = Path(__file__).parents[1]


def plain() -> nn.Sequential:
    """13 rows do not divide by 4: shards differ in size."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 13), nn.ReLU(), nn.Linear(13, 3))


def sharded() -> nn.Module:
    """The last layer belongs to the root, which FSDP leaves whole after a forward pass."""
    model = plain()
    fully_shard(model[0])
    return fully_shard(model)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 8, generator=generator), torch.randn(16, 3, generator=generator)


def averagers(model: nn.Module, build: Callable[[], nn.Module] | None) -> dict[str, Averager]:
    return {name: cls(model, build=build, **o) for name, (cls, o) in METHODS.items()}


class Run:
    """SGD at a rate that overshoots, so that ASWA decides one way and the other."""

    def __init__(
        self,
        model: nn.Module,
        build: Callable[[], nn.Module] | None = None,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.model, self.averagers = model, averagers(model, build)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
        self.decisions: list[Any] = []

    def epochs(self, n: int) -> None:
        x, y = (tensor.to(self.device) for tensor in data())
        for _ in range(n):
            F.mse_loss(self.model(x), y).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            for each in self.averagers.values():
                each.step(self.model)
                decision = each.update(self.model, self.minus_loss)
            self.decisions.append(decision)

    def minus_loss(self, module: nn.Module) -> float:
        x, y = (tensor.to(self.device) for tensor in data())
        return -float(F.mse_loss(module(x), y))

    def state(self) -> dict[str, Any]:
        own = {name: each.state_dict() for name, each in self.averagers.items()}
        return {"model": self.model.state_dict(), **own}

    def weights(self) -> dict[str, dict[str, torch.Tensor]]:
        """Whole tensors, on every rank."""
        return {
            name: {
                key: t.full_tensor() if isinstance(t, DTensor) else t
                for key, t in each.module.state_dict().items()
            }
            for name, each in self.averagers.items()
        }


def begin(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store-{world}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)


def fsdp(rank: int, world: int, folder: str) -> None:
    """Trains half, saves, and trains on; a rank more or less begins from the same checkpoint."""
    begin(rank, world, folder)
    run, saved = Run(sharded(), sharded), Path(folder, "half")
    state = {
        "model": run.model.state_dict(),
        **{k: v.state_dict() for k, v in run.averagers.items()},
    }
    if saved.is_dir():
        checkpoint.load(state, checkpoint_id=saved)
        run.model.load_state_dict(state["model"])
        for name, each in run.averagers.items():
            each.load_state_dict(state[name])
    else:
        before = torch.get_rng_state()
        run.epochs(EPOCHS // 2)
        assert torch.equal(torch.get_rng_state(), before)
        checkpoint.save(run.state(), checkpoint_id=saved)
    run.epochs(EPOCHS - EPOCHS // 2)
    shards = [t.to_local() for t in run.averagers["swa"].module.parameters()]
    assert sum(t.numel() for t in shards) < sum(p.numel() for p in plain().parameters())
    weights = run.weights()  # a collective call
    if rank == 0:
        torch.save((weights, run.decisions), Path(folder, f"{world}.pt"))
    distributed.destroy_process_group()


def test_shards_average_as_whole_models_do_and_reshard(tmp_path: Path) -> None:
    """Four processes, then two that go on from the checkpoint of the four."""
    whole = Run(plain())
    whole.epochs(EPOCHS)
    for world in (4, 2):
        multiprocessing.spawn(fsdp, (world, str(tmp_path)), nprocs=world)
        weights, decisions = torch.load(tmp_path / f"{world}.pt", weights_only=False)
        assert decisions == whole.decisions[-len(decisions) :]
        for name, expected in whole.weights().items():
            torch.testing.assert_close(weights[name], expected, rtol=0, atol=1e-6)
    assert len(set(whole.decisions)) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_rank_of_four_holds_its_shards_and_a_quarter_more(tmp_path: Path) -> None:
    """What averaging adds at its peak: a set of shards (ASWA: two), and temporaries."""
    words = ["--layers", "16", "--cases", "EMA", "ASWA", "--out", str(tmp_path / "found.json")]
    command = [sys.executable, "-m", "benchmarks.averaging.sharded_memory", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "clear_refs" in done.stderr:
        pytest.skip("the peak of memory cannot be reset here")
    assert done.returncode == 0, done.stderr
    for row in json.loads((tmp_path / "found.json").read_text())["rows"]:
        assert row["shards_mib"] == 64  # a quarter of the model
        assert row["sets"] - 0.05 < row["peak"] <= row["bound"], row


def tensor_parallel(rank: int, world: int, folder: str) -> None:
    begin(rank, world, folder)
    mesh = init_device_mesh("cpu", (world,))
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))
    run = Run(parallelize_module(model, mesh, plan))  # such a model can be copied
    run.epochs(EPOCHS)
    weights = run.weights()
    if rank == 0:
        torch.save((weights, run.decisions), Path(folder, "parallel.pt"))
    distributed.destroy_process_group()


def test_tensor_parallel_models_average_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = Run(nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)))
    whole.epochs(EPOCHS)
    multiprocessing.spawn(tensor_parallel, (2, str(tmp_path)), nprocs=2)
    weights, decisions = torch.load(tmp_path / "parallel.pt", weights_only=False)
    assert decisions == whole.decisions
    for name, expected in whole.weights().items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-5, atol=1e-6)


def offloaded(rank: int, world: int, folder: str) -> None:
    """Shards that FSDP2 keeps on the CPU have their averages there."""
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    mesh = init_device_mesh("cuda", (world,))
    runs = []
    for policy in (OffloadPolicy(), CPUOffloadPolicy()):

        def build(policy: OffloadPolicy = policy) -> nn.Module:
            return fully_shard(plain(), mesh=mesh, offload_policy=policy)

        runs.append(Run(build(), build, device="cuda"))
        runs[-1].epochs(EPOCHS)
    here, there = runs
    for name, averager in there.averagers.items():
        assert {p.device.type for p in averager.module.parameters()} == {"cpu"}
        assert {p.device.type for p in here.averagers[name].module.parameters()} == {"cuda"}
    for name, expected in here.weights().items():
        for key, tensor in there.weights()[name].items():
            torch.testing.assert_close(tensor.cpu(), expected[key].cpu(), rtol=1e-4, atol=1e-5)
    distributed.destroy_process_group()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_averages_of_offloaded_shards_are_on_the_cpu(tmp_path: Path) -> None:
    multiprocessing.spawn(offloaded, (1, str(tmp_path)), nprocs=1)


def refused(rank: int, world: int, folder: str) -> None:
    begin(rank, world, folder)
    for build in (None, lambda: fully_shard(nn.Linear(8, 3))):
        with pytest.raises(ValueError, match="build="):
            SWA(sharded(), build=build).update(sharded(), lambda module: 0.0)
    for build in (None, sharded):  # shards on another device than the running model's
        with pytest.raises(ValueError, match=r"leave device= out.*CPUOffloadPolicy"):
            SWA(sharded(), device="cpu", build=build)
    distributed.destroy_process_group()


def test_a_sharded_model_without_another_one_is_refused(tmp_path: Path) -> None:
    """And so is one that is built differently."""
    multiprocessing.spawn(refused, (1, str(tmp_path)), nprocs=1)
