"""The Lightning callback: UMLS, embedded, predicted by a small ComplEx with dropout."""

from __future__ import annotations

import copy
import csv
import functools
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aswa.averaging import ASWA, EMA, SWA, EarlyStopping, recompute_batch_norm

pytest.importorskip("lightning", minversion="2.6", reason="pip install 'aswa[lightning]'")

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy
from torchmetrics import MeanMetric

from aswa.integrations.lightning import AVERAGED, AveragingCallback

FOLDER = Path(__file__).resolve().parents[1] / "src/aswa/data/embedded/umls"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::FutureWarning")


@functools.cache
def umls() -> dict[str, Tensor]:
    """Triples [n, 3] of every split."""
    rows = {
        split: [line.split("\t") for line in (FOLDER / f"{split}.txt").read_text().splitlines()]
        for split in ("train", "valid")
    }
    entities = {
        name: i for i, name in enumerate(sorted({e for h, _, t in rows["train"] for e in (h, t)}))
    }
    relations = {name: i for i, name in enumerate(sorted({r for _, r, _ in rows["train"]}))}
    return {
        split: torch.tensor(
            [
                [entities[h], relations[r], entities[t]]
                for h, r, t in lines
                if h in entities and t in entities
            ]
        )
        for split, lines in rows.items()
    }


class Links(LightningModule):
    """Predicts tails; validation logs in a step, by torchmetrics, and at the end of the epoch."""

    def __init__(self, batch_norm: bool = False, dim: int = 8, batches: int = 6) -> None:
        super().__init__()
        self.entity, self.relation = nn.Embedding(135, dim), nn.Embedding(46, dim)
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()
        self.dropout, self.mean_rank = nn.Dropout(0.1), MeanMetric()
        self.n_batches = batches
        self.seen: list[float] = []  # what training saw, in order
        self.ranks: list[Tensor] = []

    def scores(self, triples: Tensor) -> Tensor:
        """[n, 135]"""
        queries = self.norm(self.entity(triples[:, 0]) * self.relation(triples[:, 1]))
        return self.dropout(queries) @ self.entity.weight.T

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self._trainer is not None:
            self.seen.append(float(batch.sum()))
        loss = nn.functional.cross_entropy(self.scores(batch), batch[:, 2])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Tensor) -> None:
        scores, tails = self.scores(batch), batch[:, 2]
        rank = 1.0 + (scores > scores.gather(1, tails[:, None])).sum(1)
        self.log("val_loss", nn.functional.cross_entropy(scores, tails))
        self.mean_rank(rank)
        self.log("val_rank", self.mean_rank)
        self.ranks.append(rank)

    def on_validation_epoch_end(self) -> None:
        self.log("val_mrr", (1 / torch.cat(self.ranks)).mean())
        self.ranks.clear()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.3)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(umls()["train"][: 128 * self.n_batches], 128, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(umls()["valid"], 256)


class InOrder(Links):
    """Without any random number after the start, so that Lightning's own resume is exact."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dropout = nn.Identity()

    def train_dataloader(self) -> DataLoader:
        return DataLoader(umls()["train"][: 128 * self.n_batches], 128)


class Trail(Callback):
    """Copies of the running model and of the logged metrics at the end of every epoch."""

    def __init__(self) -> None:
        self.models: list[LightningModule] = []
        self.steps: list[LightningModule] = []
        self.metrics: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Links, *_: Any) -> None:
        if trainer.global_step != len(self.steps):
            self.steps.append(copy.deepcopy(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Links) -> None:
        self.models.append(copy.deepcopy(pl_module))
        self.metrics.append({name: float(v) for name, v in trainer.callback_metrics.items()})


def quiet(*callbacks: Callback, epochs: int = 6, **options: Any) -> Trainer:
    defaults = {"logger": False, "enable_checkpointing": False} | options
    return Trainer(
        accelerator="cpu",
        devices=defaults.pop("devices", 1),
        max_epochs=epochs,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **defaults,
    )


def fitted(model: LightningModule, *callbacks: Callback, **options: Any) -> Trainer:
    trainer = quiet(*callbacks, **options)
    trainer.fit(model)
    return trainer


def seeded(cls: Callable[..., Links] = Links, **options: Any) -> Links:
    seed_everything(3, verbose=False)
    return cls(**options)


def score(module: LightningModule, monitor: str, **options: Any) -> float:
    """By `Trainer.validate`, in a trainer of its own."""
    module = copy.deepcopy(module)
    module._metric_attributes = None  # of the original's metrics
    (metrics,) = quiet(**options).validate(module, verbose=False)
    return metrics[monitor]


def assert_same(one: nn.Module, other: nn.Module) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def assert_close(one: nn.Module, other: nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("monitor", "mode", "start", "every"),
    [("val_mrr", "max", 0, 1), ("val_loss", "min", 0, 1), ("val_rank", "min", 1, 2)],
)
def test_aswa_decides_as_in_a_loop_of_ones_own(
    monitor: str, mode: Any, start: int, every: int
) -> None:
    trail = Trail()
    averaging = AveragingCallback(ASWA, monitor=monitor, mode=mode, start=start, every=every)
    model = seeded()
    fitted(model, averaging, trail, epochs=8)
    own = ASWA(copy.deepcopy(model), mode=mode)
    for running in trail.models[start::every]:
        own.update(running, lambda module: score(module, monitor))
    assert averaging.averager.best_score == own.best_score
    assert averaging.averager.n_averaged == own.n_averaged
    assert_same(averaging.module, own.module)
    last = trail.metrics[-1]
    assert last[f"{monitor}_aswa"] == own.best_score == score(averaging.module, monitor)
    assert last["aswa_members"] == own.n_averaged
    assert last[monitor] == score(model, monitor)


def test_every_metric_of_the_average_and_every_decision_is_logged() -> None:
    trail, averaging = Trail(), AveragingCallback(ASWA, "val_mrr", "max")
    fitted(seeded(), averaging, trail)
    for name in ("val_loss", "val_mrr", "val_rank"):
        assert trail.metrics[-1][f"{name}_aswa"] == score(averaging.module, name)
    codes = [metrics["aswa_decision"] for metrics in trail.metrics]
    assert codes[0] == 2 and set(codes) <= {0, 1, 2}
    seen = [metrics["val_mrr_aswa"] for metrics in trail.metrics]
    assert seen == sorted(seen)
    looks = [metrics.get("val_mrr_aswa_look_ahead") for metrics in trail.metrics]
    assert looks[0] is None
    assert [best for code, best in zip(codes, seen, strict=True) if code == 1] == [
        look for code, look in zip(codes, looks, strict=True) if code == 1
    ]


@pytest.mark.parametrize("accumulate", [1, 4])
def test_several_averagers_ride_on_one_run(accumulate: int) -> None:
    """EMA averages optimizer steps, of which six batches make two when four are accumulated."""
    averaging = AveragingCallback(
        {
            "late": functools.partial(SWA, start=2),
            "ema": functools.partial(EMA, decay=0.9),
            "best": EarlyStopping,
            "mine": lambda model: ASWA(model),
        },
        monitor="val_loss",
        mode="min",
    )
    trail = Trail()
    trainer = fitted(seeded(), averaging, trail, accumulate_grad_batches=accumulate)
    made = averaging.averagers
    assert made["ema"].n_averaged == trainer.global_step == 6 * math.ceil(6 / accumulate)
    ema = EMA(trail.steps[0], decay=0.9)
    for running in trail.steps:
        ema.step(running)
    assert_same(averaging.modules["ema"], ema.module)
    swa = SWA(trail.models[0])
    for running in trail.models[2:]:
        swa.update(running, float)
    assert_same(averaging.modules["late"], swa.module)
    losses = [metrics["val_loss"] for metrics in trail.metrics]
    assert made["best"].best_score == min(losses)
    assert_same(averaging.modules["best"], trail.models[losses.index(min(losses))])
    assert made["mine"].mode == "min"
    for label, module in averaging.modules.items():
        assert trail.metrics[-1][f"val_loss_{label}"] == score(module, "val_loss")


def test_one_averager_is_named_after_its_class_whatever_makes_it() -> None:
    for make in (ASWA, functools.partial(ASWA, every=2), lambda model: ASWA(model, every=2)):
        trail, averaging = Trail(), AveragingCallback(make, "val_mrr", "max")
        fitted(seeded(), averaging, trail, epochs=1)
        assert trail.metrics[0]["val_mrr_aswa"] == averaging.averager.score
    callbacks = [AveragingCallback(cls, "val_mrr", "max") for cls in (ASWA, SWA)]
    fitted(seeded(), *callbacks, epochs=1)  # one trainer takes both


def test_patience_ends_the_run() -> None:
    averaging = AveragingCallback(EarlyStopping, "val_loss", "min", patience=2)
    trainer = fitted(seeded(), averaging, epochs=50)
    assert trainer.current_epoch == averaging.averager.n_epochs < 50


class Noisy(Dataset):
    """Draws random numbers in the workers."""

    def __len__(self) -> int:
        return 512

    def __getitem__(self, i: int) -> Tensor:
        return umls()["train"][int(torch.randint(5000, ()))]


class WithWorkers(Links):
    """Workers that persist, for training and for validation."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Noisy(), 128, shuffle=True, num_workers=1, persistent_workers=True)

    val_dataloader = train_dataloader


class WithGenerator(Links):
    """Loaders with generators of their own."""

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(5)
        return DataLoader(umls()["train"][:768], 128, shuffle=True, generator=generator)

    val_dataloader = train_dataloader


METHODS = {"aswa": ASWA, "ema": EMA, "swa": SWA}


@pytest.mark.parametrize(
    ("cls", "batch_norm", "options"),
    [
        (Links, False, {}),
        (Links, True, {"precision": "bf16-mixed"}),
        (Links, False, {"val_check_interval": 0.5, "limit_val_batches": 2}),
        (Links, False, {"check_val_every_n_epoch": 3, "accumulate_grad_batches": 2}),
        (WithGenerator, True, {}),
        pytest.param(WithWorkers, True, {}, marks=pytest.mark.slow),
    ],
)
def test_the_run_is_bit_identical_to_the_run_without(
    cls: type[Links], batch_norm: bool, options: dict[str, Any], tmp_path: Path
) -> None:
    """Weights, order of batches, random states, logged rows, checkpoints, Lightning's own stop."""
    ends = []
    for rider in ([], [AveragingCallback(METHODS, "val_loss", "min")]):
        folder = tmp_path / str(len(rider))
        model = seeded(cls, batch_norm=batch_norm)
        best = ModelCheckpoint(folder, monitor="val_loss", save_top_k=2, filename="{epoch}-{step}")
        stop = LightningEarlyStopping("val_loss", patience=10)
        logger = CSVLogger(folder, flush_logs_every_n_steps=1)
        options = options | {"logger": logger, "log_every_n_steps": 1, "enable_checkpointing": True}
        fitted(model, *rider, best, stop, epochs=3, **options)
        with (Path(logger.log_dir) / "metrics.csv").open() as file:
            rows = [{n: row[n] for n in sorted(row) if "swa" not in n and "ema" not in n}
                    for row in csv.DictReader(file)]  # fmt: skip
        rows = [row for row in rows if set(row.values()) - {"", row["epoch"], row["step"]}]
        files = {Path(path).name: float(v) for path, v in best.best_k_models.items()}
        state = torch.rand(3).tolist(), np.random.rand(), random.random()
        assert {"val_loss", "train_loss_epoch"} < rows[0].keys()
        ends.append((model, model.seen, rows, files, float(stop.best_score), state))
    assert_same(ends[0][0], ends[1][0])
    assert ends[0][1:] == ends[1][1:]


def test_modes_of_the_model_and_of_the_trainer_are_kept() -> None:
    class Frozen(Links):
        def on_train_epoch_start(self) -> None:
            self.dropout.eval()

        def on_train_epoch_end(self) -> None:
            seen.append((self.dropout.training, self.training, self.trainer.training))

    seen: list[tuple[bool, ...]] = []
    fitted(seeded(Frozen), AveragingCallback(METHODS, "val_mrr", "max"), epochs=2)
    assert seen == [(False, True, True)] * 2


class Killed(Exception):
    pass


class Kill(Callback):
    """At a batch, in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(
        self, trainer: Trainer, model: Links, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise Killed


@pytest.mark.parametrize("at_epoch_end", [True, False])
@pytest.mark.parametrize(("epoch", "batch_norm"), [(1, False), (3, True)])
def test_a_killed_run_resumes_exactly(
    at_epoch_end: bool, epoch: int, batch_norm: bool, tmp_path: Path
) -> None:
    """Also from a checkpoint written right after validation, before the epoch's update."""

    def parts(folder: str) -> tuple[Links, AveragingCallback, Trail, ModelCheckpoint]:
        averaging = AveragingCallback(METHODS | {"es": EarlyStopping}, "val_loss", "min", every=2)
        saver = ModelCheckpoint(
            tmp_path / folder, save_last=True, save_on_train_epoch_end=at_epoch_end
        )
        return seeded(InOrder, batch_norm=batch_norm), averaging, Trail(), saver

    whole, averaging, trail, saver = parts("whole")
    options = {"enable_checkpointing": True}
    fitted(whole, averaging, trail, saver, **options)
    model, *callbacks = parts("killed")
    with pytest.raises(Killed):
        fitted(model, *callbacks, Kill(epoch), **options)
    resumed, again, trail_again, saver = parts("killed")
    trainer = quiet(again, trail_again, saver, **options)
    trainer.fit(resumed, ckpt_path=str(tmp_path / "killed" / "last.ckpt"))
    assert_same(whole, resumed)
    for label, averager in averaging.averagers.items():
        other = again.averagers[label]
        assert_same(averager.module, other.module)
        assert repr(averager.last_scores) == repr(other.last_scores)
        mine, theirs = averager.state_dict(), other.state_dict()
        del mine["weights"], theirs["weights"]
        assert repr(mine) == repr(theirs)
    assert trail.metrics[-1] == trail_again.metrics[-1]


def test_a_checkpoint_names_the_running_model_and_the_averages(tmp_path: Path) -> None:
    averaging = AveragingCallback(METHODS, "val_loss", "min")
    model = seeded(batch_norm=True)
    trainer = fitted(model, averaging, epochs=4)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    saved = torch.load(tmp_path / "all.ckpt", weights_only=False)
    loaded = seeded(batch_norm=True)
    loaded.load_state_dict(saved["state_dict"])
    assert_same(loaded, model)
    assert saved[AVERAGED].keys() == METHODS.keys()
    for label, module in averaging.modules.items():
        loaded.load_state_dict(saved[AVERAGED][label])
        assert_same(loaded, module)
    plain = fitted(seeded(batch_norm=True), epochs=4)
    plain.save_checkpoint(tmp_path / "plain.ckpt")
    weights = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    more = (tmp_path / "all.ckpt").stat().st_size - (tmp_path / "plain.ckpt").stat().st_size
    assert more < 3.5 * weights + 30_000  # every average is stored once


def test_batch_norm_statistics_are_those_of_the_average_over_the_training_batches() -> None:
    averaging = AveragingCallback(METHODS, "val_loss", "min", train_batches=4)
    model, trail = seeded(InOrder, batch_norm=True), Trail()
    fitted(model, averaging, trail)
    assert averaging.averagers["aswa"].n_averaged > 1
    batches = [umls()["train"][i : i + 128] for i in range(0, 512, 128)]
    for label, module in averaging.modules.items():
        again = copy.deepcopy(module)
        recompute_batch_norm(again, batches, lambda m, batch: m.scores(batch))
        torch.testing.assert_close(again.norm.running_mean, module.norm.running_mean)
        torch.testing.assert_close(again.norm.running_var, module.norm.running_var)
        assert not torch.equal(module.norm.running_mean, model.norm.running_mean)
        assert trail.metrics[-1][f"val_loss_{label}"] == score(module, "val_loss")


def test_a_step_of_manual_optimization_is_no_forward_pass() -> None:
    class Manual(Links):
        automatic_optimization = False

    with pytest.raises(ValueError, match="forward="):
        fitted(seeded(Manual, batch_norm=True), AveragingCallback(EMA))


def test_a_step_that_needs_the_trainer_is_told_of_forward() -> None:
    class Needy(Links):
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            assert self.trainer.training
            return super().training_step(batch, batch_idx)

    with pytest.raises(RuntimeError, match="not attached") as raised:
        fitted(seeded(Needy, batch_norm=True), AveragingCallback(EMA))
    assert "forward=" in raised.value.__notes__[0]
    averaging = AveragingCallback(EMA, forward=lambda module, batch: module.scores(batch))
    fitted(seeded(Needy, batch_norm=True), averaging, epochs=2)
    assert averaging.averager.n_averaged == 12


def test_nothing_is_scored_before_it_is_averaged() -> None:
    class Counting(Links):
        def on_validation_start(self) -> None:
            passes.append(self.trainer.current_epoch)

    passes: list[int] = []
    averaging, trail = AveragingCallback(ASWA, "val_loss", "min", start=3), Trail()
    fitted(seeded(Counting), averaging, trail, epochs=3, num_sanity_val_steps=1)
    assert passes == [0, 0, 1, 2]  # Lightning's own: the sanity check and three epochs
    assert not any("aswa" in name for metrics in trail.metrics for name in metrics)
    with pytest.raises(RuntimeError, match="no average yet"):
        _ = averaging.module
    passes.clear()
    averaging = AveragingCallback(METHODS, "val_loss", "min", start=1)
    fitted(seeded(Counting), averaging, epochs=3, num_sanity_val_steps=1)
    assert passes == [0, 0, 1, 1, 1, 2, 2, 2, 2]  # ASWA begins without a look-ahead


def test_without_a_monitor_nothing_is_scored() -> None:
    averaging, trail = AveragingCallback(SWA), Trail()
    fitted(seeded(), averaging, trail, limit_val_batches=0, epochs=3)
    assert averaging.averager.n_averaged == 3
    assert not any("swa" in name for name in trail.metrics[-1])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: AveragingCallback(ASWA, "val_loss"), {}, "mode='min' or mode='max'"),
        (lambda: AveragingCallback(ASWA), {}, "give monitor="),
        (lambda: AveragingCallback(ASWA, "val_los", "min"), {}, "no epoch metric 'val_los'"),
        (lambda: AveragingCallback(ASWA, "val_loss", "min"), {"limit_val_batches": 0}, "no valid"),
        (lambda: AveragingCallback(SWA, every=0), {}, "every >= 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(seeded(), make(), **options)


def test_shards_are_refused() -> None:
    trainer = quiet(strategy=ModelParallelStrategy())
    with pytest.raises(ValueError, match="use strategy='ddp'"):
        AveragingCallback(EMA).setup(trainer, seeded(), "fit")


def test_mixed_precision_scores_as_trainer_validate_does() -> None:
    averaging = AveragingCallback(ASWA, "val_loss", "min")
    fitted(seeded(batch_norm=True), averaging, precision="bf16-mixed")
    assert averaging.averager.n_averaged > 1
    assert {p.dtype for p in averaging.module.parameters()} == {torch.float32}
    exact, rounded = (
        score(averaging.module, "val_loss", precision=p) for p in (None, "bf16-mixed")
    )
    assert averaging.averager.best_score == rounded != exact


class Told(Callback):
    """Writes what a rank knows at the end."""

    def __init__(self, folder: Path, averaging: AveragingCallback | None) -> None:
        self.folder, self.averaging = folder, averaging
        self.decisions: list[str] = []
        self.losses: list[float] = []

    def on_validation_end(self, trainer: Trainer, model: Links) -> None:
        if not trainer.sanity_checking:
            self.losses.append(float(trainer.callback_metrics["val_loss"]))

    def on_train_epoch_end(self, trainer: Trainer, model: Links) -> None:
        if self.averaging:
            self.decisions.append(str(self.averaging.averagers["aswa"].decision))

    def on_fit_end(self, trainer: Trainer, model: Links) -> None:
        made = self.averaging.averagers if self.averaging else {}
        states = {label: averager.state_dict() for label, averager in made.items()}
        told = (states, self.decisions, self.losses, model.state_dict())
        torch.save(told, self.folder / f"{len(made)}_{trainer.global_rank}.pt")


def two_ranks(folder: Path) -> None:
    """The program of the test below: with and without the callback."""
    averaging = AveragingCallback(METHODS | {"best": EarlyStopping}, "val_loss", "min")
    options: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "epochs": 6}
    fitted(seeded(batch_norm=True), averaging, Told(folder, averaging), **options)
    fitted(seeded(batch_norm=True), Told(folder, None), **options)


@pytest.mark.slow
def test_two_ranks_decide_alike(tmp_path: Path) -> None:
    """Each scores its shard of validation, and recomputes batch-norm from its shard of training."""
    path = os.pathsep.join(part for part in sys.path if part)
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    one, other, plain = (
        torch.load(tmp_path / name, weights_only=False) for name in ("4_0.pt", "4_1.pt", "0_0.pt")
    )
    assert one[2] == plain[2]  # the running model, bit for bit
    assert all(torch.equal(one[3][name], plain[3][name]) for name in plain[3])
    assert one[1] == other[1] and len(set(one[1])) > 1
    for label, state in one[0].items():
        weights, theirs = state.pop("weights"), other[0][label].pop("weights")
        assert repr(state) == repr(other[0][label])
        assert [name for name in weights if not torch.equal(weights[name], theirs[name])] == []
    assert one[2] != other[2]
    assert one[0]["best"]["best_score"] == min(
        (a + b) / 2 for a, b in zip(one[2], other[2], strict=True)
    )


def test_ema_and_swa_are_those_of_lightning() -> None:
    class EveryEpoch(WeightAveraging):
        def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
            return epoch_idx is not None

    pairs = (
        (EMAWeightAveraging(decay=0.9), AveragingCallback(EMA, decay=0.9)),
        (EveryEpoch(), AveragingCallback(SWA)),
    )
    for theirs, ours in pairs:
        fitted(seeded(), ours)
        model = seeded()
        fitted(model, theirs)
        assert_close(ours.module, model)


def test_swa_is_that_of_lightning_which_leaves_out_the_last_epoch() -> None:
    """StochasticWeightAveraging averages at the start of epochs, at a constant rate here."""

    class Constant(Links):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    ours, model = AveragingCallback(SWA), seeded(Constant)
    trail = Trail()
    fitted(model, StochasticWeightAveraging(0.1, 2), ours, trail)
    expected = SWA(trail.models[0])
    for running in trail.models[:-1]:
        expected.update(running, float)
    assert_close(model, expected.module)
    expected.update(trail.models[-1], float)
    assert_same(ours.module, expected.module)


def test_a_trainer_that_goes_on_keeps_its_averages_and_a_new_one_does_not() -> None:
    averaging, model = AveragingCallback(SWA), seeded()
    trainer = fitted(model, averaging, epochs=2)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(model)
    assert averaging.averager.n_averaged == 4
    fitted(seeded(), averaging, epochs=1)
    assert averaging.averager.n_averaged == 1


if __name__ == "__main__":
    two_ranks(Path(sys.argv[1]))
