"""ASWA and EMA on a Lightning run (aswa[lightning]); KINSHIP by ComplEx, scored by its own MRR."""

from functools import partial
from importlib.resources import files

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader

from aswa.averaging import ASWA, EMA
from aswa.integrations.lightning import AveragingCallback

folder = files("aswa.data") / "embedded" / "kinship"
rows = {
    split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
    for split in ("train", "valid", "test")
}
entity = {name: i for i, name in enumerate(sorted({h for h, _, _ in rows["train"]}))}
relation = {name: i for i, name in enumerate(sorted({r for _, r, _ in rows["train"]}))}
data = {s: torch.tensor([[entity[h], relation[r], entity[t]] for h, r, t in rows[s]]) for s in rows}


class ComplEx(LightningModule):
    """score(h, r, t) = Re⟨h, r, conj(t)⟩, for all tails at once; the rank is not filtered."""

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.entity = nn.Embedding(len(entity), 2 * dim)
        self.relation = nn.Embedding(len(relation), 2 * dim)

    def forward(self, h: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        (a, b), (c, d) = self.entity(h).chunk(2, 1), self.relation(r).chunk(2, 1)
        return torch.cat([a * c - b * d, a * d + b * c], 1) @ self.entity.weight.T

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[:, 0], batch[:, 1]), batch[:, 2])

    def validation_step(self, batch: torch.Tensor, _: int, split: str = "valid") -> None:
        scores = self(batch[:, 0], batch[:, 1])
        rank = 1 + (scores > scores.gather(1, batch[:, 2:])).sum(1)
        self.log(f"{split}_mrr", (1 / rank).mean())

    def test_step(self, batch: torch.Tensor, _: int) -> None:
        self.validation_step(batch, _, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


seed_everything(0)
averaging = AveragingCallback({"aswa": ASWA, "ema": partial(EMA, decay=0.95)}, "valid_mrr", "max")
quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "logger": False}
trainer = Trainer(callbacks=[averaging], max_epochs=20, accelerator="cpu", **quiet)
model, loaders = ComplEx(), {s: DataLoader(data[s], 512, shuffle=s == "train") for s in data}
trainer.fit(model, loaders["train"], loaders["valid"])
for label, module in {"running model": model, **averaging.modules}.items():
    print(label, trainer.test(module, loaders["test"], verbose=False))
