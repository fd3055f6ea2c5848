"""Tokens/s of training a gpt beside a plain loop of its shape; what riders and validation cost.

The plain loop is written here in the manner of nanoGPT: one matrix for query, key and value,
learned positions, tied head, AdamW, clipped gradients, windows drawn at random. Both are timed in
CPU seconds of one thread, a block of steps of each in turn, so that other work on the machine
disturbs both alike. Targets: ours at least 0.9 of the plain loop; an epoch with five methods and a
validation at most 1.15 of one that trains alone.

    python -m benchmarks.language.speed [--blocks 6] [--steps 20] [--page docs/language.md]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.config import load
from aswa.tasks.language_modeling import LanguageModeling
from aswa.training.learner import Learner
from aswa.training.trajectory import Trajectory
from benchmarks import side_by_side as sbs
from scripts.pages import fill

CONTEXT, BATCH, DIM, HEADS, LAYERS, VOCABULARY = 64, 12, 128, 4, 4, 81
WORDS = [
    "dataset=austen", "model=gpt", "base_optimizer=adamw", "schedule=warmup_constant", "lr=0.001",
    "schedule.warmup=5", f"batch_size={BATCH}", "device=cpu", "dataset.valid_size=16384",
]  # fmt: skip


class PlainBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
        self.out = nn.Linear(DIM, DIM, bias=False)
        self.up, self.down = (
            nn.Linear(DIM, 4 * DIM, bias=False),
            nn.Linear(4 * DIM, DIM, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        parts = self.qkv(self.first(x)).split(DIM, dim=2)
        q, k, v = (p.view(rows, length, HEADS, DIM // HEADS).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, DIM))
        return x + self.down(F.gelu(self.up(self.second(x))))


class PlainModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(VOCABULARY, DIM), nn.Embedding(CONTEXT, DIM)
        self.blocks = nn.Sequential(*[PlainBlock() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, VOCABULARY, bias=False)
        self.head.weight = self.token.weight
        nn.init.normal_(self.token.weight, 0, 0.02)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = self.token(x) + self.position(torch.arange(x.shape[1]))
        logits = self.head(self.norm(self.blocks(hidden)))
        return F.cross_entropy(logits.view(-1, VOCABULARY), y.view(-1))


def plain(tokens: Tensor, steps: int) -> Callable[[], None]:
    """A block of steps of the plain loop."""
    model = PlainModel()
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True
    )

    def block() -> None:
        for _ in range(steps):
            begins = torch.randint(len(tokens) - CONTEXT, (BATCH,)).tolist()
            x = torch.stack([tokens[i : i + CONTEXT] for i in begins])
            y = torch.stack([tokens[i + 1 : i + CONTEXT + 1] for i in begins])
            optimizer.zero_grad(set_to_none=True)
            model(x, y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return block


def ours(words: list[str], steps: int) -> tuple[Callable[[], None], LanguageModeling]:
    """A block of steps of the project's learner, and the task."""
    config = load(words)
    task = LanguageModeling(config, torch.device("cpu"))
    learner = Learner(config, task)
    learner.begin(0)

    def block() -> None:
        for _ in range(steps):
            assert learner.step()

    return block, task


def epoch(words: list[str], optimizer: str) -> Callable[[], None]:
    """An epoch with methods; validation happens where a method asks."""
    config = load([*words, f"optimizer={optimizer}"])
    work = Trajectory(config, LanguageModeling(config, torch.device("cpu")))

    def block() -> None:
        if optimizer == "sgd":  # trains alone: no method looks
            learner = work.learners[0]
            learner.forget()
            learner.begin(0)
            while learner.step():
                pass
        else:
            work.advance()

    return block


def alternated(contestants: dict[str, Callable[[], None]], blocks: int) -> dict[str, list[float]]:
    """CPU seconds of each, a block in turn; the first block of each is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(blocks + 1):
        for name, block in contestants.items():
            start = time.process_time()
            block()
            if number:
                seconds[name].append(time.process_time() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        words = [*WORDS, f"results_dir={folder}"]
        block, task = ours([*words, "dataset.train_size=1048576"], options.steps)
        loops = {"ours": block, "plain loop": plain(task._tokens["train"], options.steps)}
        steps = alternated(loops, options.blocks)
        small = [*words, "dataset.train_size=131072", "dataset.valid_size=8192", "epochs=100",
                 "optimizer.ema.decay=null", "optimizer.ema.half_life=100"]  # fmt: skip
        alone = [*small[:-2]]
        epochs = alternated({"alone": epoch(alone, "sgd"), "five": epoch(small, "all")}, 2)
    tokens = options.steps * BATCH * CONTEXT
    rate = {name: tokens / statistics.median(values) for name, values in steps.items()}
    median = {name: statistics.median(values) for name, values in epochs.items()}
    record = {
        "machine": sbs.machine(1),
        "shape": {"context": CONTEXT, "batch": BATCH, "dim": DIM, "layers": LAYERS},
        "tokens_per_cpu_second": rate,
        "ours_over_plain": rate["ours"] / rate["plain loop"],
        "epoch_cpu_seconds": median,
        "five_methods_over_alone": median["five"] / median["alone"],
        "blocks": options.blocks,
    }
    rows = [
        ["tokens a CPU second, plain loop", f"{rate['plain loop']:,.0f}", ""],
        ["tokens a CPU second, ours", f"{rate['ours']:,.0f}", "at least 0.9 of the plain loop"],
        ["ours over plain", f"{record['ours_over_plain']:.3f}", ""],
        ["epoch alone, CPU s", f"{median['alone']:.1f}", ""],
        ["epoch with five methods and validation, CPU s", f"{median['five']:.1f}", ""],
        ["their ratio", f"{record['five_methods_over_alone']:.3f}", "at most 1.15"],
    ]
    text = sbs.markdown(["what", "measured", "target"], rows)
    sbs.save("language_speed", record, text, sbs.RESULTS)
    if options.page:
        fill(options.page, "speed", text)


if __name__ == "__main__":
    main()
