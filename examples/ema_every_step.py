"""EMA after every optimizer step, as with timm's ModelEmaV3; two other methods watch the same run.

Needs torch alone. The relation between two concepts of UMLS, which comes with the package.
"""

from importlib.resources import files

import torch
from torch import nn

from aswa.averaging import ASWA, EMA, SWA

folder = files("aswa.data") / "embedded" / "umls"
rows = {
    split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
    for split in ("train", "valid", "test")
}
names = {name: i for i, name in enumerate(sorted({n for s in rows.values() for n, _, _ in s}))}
tails = {name: i for i, name in enumerate(sorted({n for s in rows.values() for _, _, n in s}))}
kinds = {name: i for i, name in enumerate(sorted({r for s in rows.values() for _, r, _ in s}))}
data = {s: torch.tensor([[names[h], tails[t], kinds[r]] for h, r, t in rows[s]]) for s in rows}


class Relation(nn.Module):
    """Scores of every relation between two concepts [B, 2]."""

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.head, self.tail = nn.Embedding(len(names), dim), nn.Embedding(len(tails), dim)
        self.layers = nn.Sequential(nn.Linear(2 * dim, 64), nn.ReLU(), nn.Linear(64, len(kinds)))

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([self.head(pairs[:, 0]), self.tail(pairs[:, 1])], 1))


def accuracy(model: nn.Module, split: str) -> float:
    model.eval()
    return (model(data[split]).argmax(1) == data[split][:, 2]).float().mean().item()


torch.manual_seed(0)
model = Relation()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
averagers = {"EMA": EMA(model, half_life=100, warmup=True), "SWA": SWA(model), "ASWA": ASWA(model)}

for _epoch in range(20):
    model.train()
    for batch in data["train"][torch.randperm(len(rows["train"]))].split(128):
        loss = nn.functional.cross_entropy(model(batch), batch[:, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for averager in averagers.values():
            averager.step(model)
    for averager in averagers.values():
        averager.update(model, lambda module: accuracy(module, "valid"))

for name, averager in averagers.items():
    print(f"{name}: test accuracy {accuracy(averager.module, 'test'):.3f}")
