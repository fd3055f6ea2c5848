"""ASWA gated by a metric of one's own, lower is better, every second epoch from the fifth on.

Needs torch alone. A character model of the relation names of UMLS: bits a character.
"""

import math
from importlib.resources import files

import torch
from torch import nn

from aswa.averaging import ASWA

folder = files("aswa.data") / "embedded" / "umls"
texts = {s: (folder / f"{s}.txt").read_text().replace("\t", " ") for s in ("train", "valid")}
letters = {letter: i for i, letter in enumerate(sorted(set("".join(texts.values()))))}
CONTEXT = 8


numbers = {
    split: torch.tensor([letters[c] for c in text[:40_000]]) for split, text in texts.items()
}
data = {split: row.unfold(0, CONTEXT + 1, 1) for split, row in numbers.items()}  # [n, CONTEXT + 1]


class Letters(nn.Module):
    """Scores of the next letter after CONTEXT letters."""

    def __init__(self) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(letters), 16)
        sizes = (CONTEXT * 16, 128, len(letters))
        self.layers = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        return self.layers(self.letter(context).flatten(1))


def bits_per_letter(model: nn.Module) -> float:
    """The metric: lower is better, so `mode="min"`."""
    model.eval()
    held = data["valid"]
    return nn.functional.cross_entropy(model(held[:, :-1]), held[:, -1]).item() / math.log(2)


torch.manual_seed(0)
model = Letters()
optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
aswa = ASWA(model, mode="min", start=4, every=2)

for epoch in range(16):
    model.train()
    for batch in data["train"][torch.randperm(len(data["train"]))].split(512):
        loss = nn.functional.cross_entropy(model(batch[:, :-1]), batch[:, -1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if decision := aswa.update(model, bits_per_letter):
        print(f"epoch {epoch + 1}: {decision.value}, {aswa.best_score:.3f} bits a letter")
