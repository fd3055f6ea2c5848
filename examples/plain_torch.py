"""ASWA in a plain PyTorch loop, at the large learning rate of the paper's scripts.

Needs torch alone. KINSHIP comes with the package: 104 people, who is whose kin?
"""

from importlib.resources import files

import torch
from torch import nn

from aswa.averaging import ASWA

folder = files("aswa.data") / "embedded" / "kinship"
rows = {
    split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
    for split in ("train", "valid", "test")
}
people = {name: i for i, name in enumerate(sorted({p for s in rows.values() for p, _, _ in s}))}
kinds = {name: i for i, name in enumerate(sorted({r for s in rows.values() for _, r, _ in s}))}
data = {s: torch.tensor([[people[h], kinds[r], people[t]] for h, r, t in rows[s]]) for s in rows}


class DistMult(nn.Module):
    """Scores of every person as the tail of (h, r, ?)."""

    def __init__(self, dim: int = 64) -> None:
        super().__init__()
        self.person, self.kind = nn.Embedding(len(people), dim), nn.Embedding(len(kinds), dim)

    def forward(self, h: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return self.person(h) * self.kind(r) @ self.person.weight.T


def mrr(model: nn.Module, split: str) -> float:
    """Mean reciprocal rank, without filtering."""
    model.eval()
    h, r, t = data[split].unbind(1)
    scores = model(h, r)
    rank = 1 + (scores > scores.gather(1, t[:, None])).sum(1)
    return (1 / rank).mean().item()


torch.manual_seed(0)
model = DistMult()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
aswa = ASWA(model)

for _epoch in range(40):
    model.train()
    for batch in data["train"][torch.randperm(len(rows["train"]))].split(512):
        h, r, t = batch.unbind(1)
        loss = nn.functional.cross_entropy(model(h, r), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    aswa.update(model, lambda module: mrr(module, "valid"))

print(f"test MRR: last epoch {mrr(model, 'test'):.3f}, ASWA {mrr(aswa.module, 'test'):.3f}")
torch.save(aswa.module.state_dict(), "averaged.pt")
