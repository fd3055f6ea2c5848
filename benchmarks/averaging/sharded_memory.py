"""What averaging adds to the memory of a rank of a model that FSDP2 shards, on gloo processes.

A stack of linear layers is built on the meta device and sharded; no rank ever holds a whole model.
Each rank's resident memory is read before a method is built, its peak (`VmHWM`, reset before) while
the method is built and updated four times, and resident memory afterwards. Scores are prepared
numbers, since a forward pass of an average gathers what one of the running model gathers. All is
divided by the bytes of the rank's shards of the running model. An average is one set of shards
(ASWA: two, with the look-ahead), so the bound on the peak is 1 + 1/4 sets (ASWA: 2 + 1/4): what is
above the sets is temporary. An average of bf16 weights is one set shown and two of fp32 masters.
Taking `state_dict()` copies the averages once more; that is the last column.

    python -m benchmarks.averaging.sharded_memory [--world 4] [--layers 32] [--width 2048]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from torch.distributed.fsdp import fully_shard

from aswa.averaging import ASWA, EMA, SWA, Averager
from aswa.averaging.weights import local
from benchmarks.peers.process_memory import MIB, peak_mib, reset_peak, resident_mib

# With the sets that are kept.
CASES: dict[str, tuple[type[Averager], torch.dtype, float]] = {
    "SWA": (SWA, torch.float32, 1),
    "EMA": (EMA, torch.float32, 1),
    "ASWA": (ASWA, torch.float32, 2),
    "SWA, bf16": (SWA, torch.bfloat16, 3),
}
SLACK = 1 / 4


def sharded(layers: int, width: int, dtype: torch.dtype) -> nn.Module:
    """Layers of [width, width], each a group of FSDP2, without data."""
    with torch.device("meta"):
        model = nn.Sequential(
            *(nn.Linear(width, width, bias=False, dtype=dtype) for _ in range(layers))
        )
    for layer in model:
        fully_shard(layer)
    return fully_shard(model)


def measure(case: str, layers: int, width: int) -> dict[str, Any]:
    """Sets of shards that a method takes on this rank."""
    method, dtype, _ = CASES[case]

    def build() -> nn.Module:
        return sharded(layers, width, dtype)

    model = build()
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        local(parameter.detach()).fill_(1.0)
    gc.collect()  # of what was measured before
    own = sum(local(p.detach()).nbytes for p in model.parameters()) / MIB
    if not reset_peak():
        raise SystemExit("the peak of memory cannot be reset here: /proc/self/clear_refs is needed")
    before = resident_mib()
    averager, scores = method(model, build=build), iter(range(100))
    for _ in range(4):
        for parameter in model.parameters():
            local(parameter.detach()).add_(1.0)
        averager.step(model)
        averager.update(model, lambda module: float(next(scores)))
    after, peak = resident_mib(), peak_mib()
    reset_peak()
    state = averager.state_dict()
    saving = peak_mib()
    del state
    return {
        "shards_mib": own,
        "kept": (after - before) / own,
        "peak": (peak - before) / own,
        "saving": (saving - before) / own,
    }


def rank_of(rank: int, world: int, folder: str, cases: list[str], layers: int, width: int) -> None:
    """One process of a group."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    found = {case: measure(case, layers, width) for case in cases}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def highest(cases: list[str], world: int, layers: int, width: int) -> list[dict[str, Any]]:
    """The largest figures over the ranks."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(rank_of, (world, folder, cases, layers, width), nprocs=world)
        ranks = [json.loads(Path(folder, f"{r}.json").read_text()) for r in range(world)]
    rows = []
    for case in cases:
        found = [rank[case] for rank in ranks]
        most = {key: round(max(each[key] for each in found), 3) for key in found[0]}
        sets = CASES[case][2]
        rows.append({"method": case, "sets": sets, "bound": sets + SLACK, **most})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=int, default=4)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    default = Path(__file__).parents[1] / "results" / "sharded_memory.json"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()
    # Freed blocks go back to the system at once, so that residents are what is in use.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 17)
    begun = time.time()
    rows = highest(options.cases, options.world, options.layers, options.width)
    for row in rows:
        verdict = "ok" if row["peak"] <= row["bound"] else "ABOVE"
        print(f"{row['method']:10} peak {row['peak']:.2f}, bound {row['bound']}: {verdict}")
    record = {
        "world": options.world,
        "model_mib": options.layers * options.width**2 * 4 / MIB,
        "torch": torch.__version__,
        "seconds": round(time.time() - begun),
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
