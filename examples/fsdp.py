"""ASWA on a model that FSDP2 shards: torchrun --nproc-per-node 2 examples/fsdp.py

Needs torch, and numpy for torch's checkpoints; on CPUs here. Which relation holds in UMLS?
"""

from importlib.resources import files

import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.fsdp import fully_shard

from aswa.averaging import ASWA

distributed.init_process_group("gloo")
rank, ranks = distributed.get_rank(), distributed.get_world_size()
folder = files("aswa.data") / "embedded" / "umls"
rows = {s: (folder / f"{s}.txt").read_text().splitlines() for s in ("train", "valid", "test")}
triples = {s: [line.split("\t") for line in rows[s]] for s in rows}
names = [sorted({t[c] for s in triples.values() for t in s}) for c in range(3)]
ids = [{name: i for i, name in enumerate(column)} for column in names]
data = {s: torch.tensor([[ids[c][t[c]] for c in range(3)] for t in triples[s]]) for s in triples}


class Relation(nn.Module):
    """Scores of every relation of triples [B, 3], whose relation is not read."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.tail = nn.Embedding(len(ids[0]), 64), nn.Embedding(len(ids[2]), 64)
        self.layers = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, len(ids[1])))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([self.head(batch[:, 0]), self.tail(batch[:, 2])], 1))


def accuracy(model: nn.Module, split: str) -> float:
    """Every rank scores the whole split, so all decide alike; else give ASWA `reduce=`."""
    model.eval()
    return (model(data[split]).argmax(1) == data[split][:, 1]).float().mean().item()


torch.manual_seed(0)
model = fully_shard(Relation())
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
aswa = ASWA(model, build=lambda: fully_shard(Relation()))
for epoch in range(10):
    model.train()
    order = torch.randperm(len(data["train"]), generator=torch.Generator().manual_seed(epoch))
    for batch in data["train"][order[rank::ranks]].split(64):
        nn.functional.cross_entropy(model(batch), batch[:, 1]).backward()
        optimizer.step()
        optimizer.zero_grad()
    aswa.update(model, lambda module: accuracy(module, "valid"))
checkpoint.save({"aswa": aswa.state_dict()}, checkpoint_id="averaged")  # for any number of ranks
scores = [accuracy(module, "test") for module in (model, aswa.module)]
if rank == 0:
    print(f"test accuracy: last epoch {scores[0]:.3f}, ASWA {scores[1]:.3f}")
distributed.destroy_process_group()
