"""Averaging inside `transformers.Trainer`: UMLS as sentences of three words, a tiny GPT-2.

Run as a script under torchrun it is one rank of `test_ranks_decide_alike`.
"""

from __future__ import annotations

import copy
import random
import re
import runpy
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from transformers import (  # noqa: E402
    EarlyStoppingCallback,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from aswa.averaging import ASWA, EMA, SWA, Averager, EarlyStopping  # noqa: E402
from aswa.integrations.transformers import AveragingCallback  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
UMLS = files("aswa") / "data" / "embedded" / "umls"
TIMES = ("_runtime", "_per_second", "_preparation_time")


def sentences(split: str, n: int) -> list[dict[str, list[int]]]:
    """The first n triples of a split, each word a token: head, relation, tail."""
    train = (UMLS / "train.txt").read_text().split()
    numbers = {word: number for number, word in enumerate(sorted(set(train)))}
    lines = (UMLS / f"{split}.txt").read_text().splitlines()[:n]
    triples = [[numbers[word] for word in line.split()] for line in lines]
    return [{"input_ids": triple, "labels": triple} for triple in triples]


TRAIN, VALID = sentences("train", 96), sentences("valid", 50)


def tiny() -> GPT2LMHeadModel:
    """With dropout, so that a disturbed random state would show."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=4, vocab_size=256)
    )


def accuracy(prediction: Any) -> dict[str, float]:
    """Of the tails; draws from numpy and random, as a metric with bootstrap would."""
    random.random(), np.random.rand()
    return {
        "accuracy": float(
            (prediction.predictions[:, 1].argmax(-1) == prediction.label_ids[:, 2]).mean()
        )
    }


def trainer(folder: Path, model: nn.Module | None = None, **changes: Any) -> Trainer:
    """Six optimizer steps an epoch, three epochs, an evaluation and a checkpoint at each end."""
    others = {
        key: changes.pop(key)
        for key in ("compute_metrics", "callbacks", "eval_dataset")
        if key in changes
    }
    settings: dict[str, Any] = {
        "num_train_epochs": 3, "per_device_train_batch_size": 16, "per_device_eval_batch_size": 25,
        "learning_rate": 0.05, "eval_strategy": "epoch", "save_strategy": "epoch",
        "logging_strategy": "epoch", "use_cpu": True, "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip
    args = TrainingArguments(output_dir=str(folder), **{**settings, **changes})
    return Trainer(
        model=model or tiny(), args=args, train_dataset=TRAIN, **{"eval_dataset": VALID, **others}
    )


def logged(trainer: Trainer, averaged: bool) -> list[dict[str, float]]:
    """What was logged of averages, or of the running model; without times."""
    kept = []
    for entry in trainer.state.log_history:
        if any("n_averaged" in key for key in entry) == averaged and "train_runtime" not in entry:
            kept.append({k: v for k, v in entry.items() if not k.endswith(TIMES)})
    return kept


def same(one: Any, other: Any) -> bool:
    """Equality of nested states, to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def same_run(one: Trainer, other: Trainer) -> bool:
    """Equal weights and optimizer state."""
    return same(one.model.state_dict(), other.model.state_dict()) and same(
        one.optimizer.state_dict(), other.optimizer.state_dict()
    )


ALL = {"aswa": ASWA, "ema": lambda model: EMA(model, decay=0.9), "swa": lambda m: SWA(m, start=1)}


class Counter(TrainerCallback):
    """The evaluations of which callbacks are told, and what they are told."""

    def __init__(self) -> None:
        self.told: list[dict[str, float]] = []
        self.predictions = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        self.told.append(dict(metrics))

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.predictions += 1


@pytest.mark.parametrize("metric", [None, "loss", "eval_accuracy"])
def test_the_metric_of_the_trainer_decides(tmp_path: Path, metric: str | None) -> None:
    """And its direction, also against the `mode` of a function; the logs tell each decision."""
    run = trainer(
        tmp_path, metric_for_best_model=metric, compute_metrics=accuracy, num_train_epochs=5
    )
    wrong = "max" if metric != "eval_accuracy" else "min"
    averaging = AveragingCallback(lambda model: ASWA(model, mode=wrong)).attach(run)
    run.train()
    key = "accuracy" if metric == "eval_accuracy" else "loss"
    better = float.__gt__ if key == "accuracy" else float.__lt__
    running, averages = logged(run, False)[1::2], logged(run, True)
    best, n = running[0][f"eval_{key}"], 1
    assert [entry["eval_aswa_n_averaged"] for entry in averages[:1]] == [1]
    for raw, average in zip(running[1:], averages[1:], strict=True):
        v, v_hat = raw[f"eval_{key}"], average[f"eval_aswa_look_ahead_{key}"]
        if better(v, best) and better(v, v_hat):
            best, n = v, 1
        elif better(v_hat, best):
            best, n = v_hat, n + 1
        assert (average[f"eval_aswa_{key}"], average["eval_aswa_n_averaged"]) == (best, n)
    assert averaging.averager.score == best
    assert {"eval_aswa_loss", "eval_aswa_accuracy"} < averages[-1].keys()


def test_the_run_is_as_it_would_be_alone(tmp_path: Path) -> None:
    """Weights, optimizer, random states, logs of the running model, the best checkpoint."""
    alone, ridden = (
        trainer(tmp_path / name, compute_metrics=accuracy, load_best_model_at_end=True)
        for name in ("alone", "ridden")
    )
    AveragingCallback(ALL).attach(ridden)
    counters, ends = (Counter(), Counter()), []
    for run, counter in zip((alone, ridden), counters, strict=True):
        run.add_callback(counter)
        set_seed(1)
        run.train()
        ends.append((random.random(), np.random.rand(), torch.rand(1)))
    assert same_run(alone, ridden)
    assert same(*ends)
    assert logged(alone, False) == logged(ridden, False)
    assert alone.state.best_metric == ridden.state.best_metric
    assert alone.state.best_global_step == ridden.state.best_global_step
    assert counters[0].predictions == counters[1].predictions == 3 * 2
    assert [told.keys() for told in counters[0].told] == [told.keys() for told in counters[1].told]


def constant(prediction: Any) -> dict[str, float]:
    """The first evaluation is the best."""
    return {"constant": 0.5}


def test_early_stopping_counts_evaluations_once(tmp_path: Path) -> None:
    stopping = EarlyStoppingCallback(early_stopping_patience=2)
    run = trainer(
        tmp_path, callbacks=[stopping], compute_metrics=constant, num_train_epochs=8,
        metric_for_best_model="constant", load_best_model_at_end=True,
    )  # fmt: skip
    AveragingCallback(ALL).attach(run)
    run.train()
    assert run.state.global_step == 3 * 6


@pytest.mark.parametrize("others", [{}, {"ema": EMA}])
def test_training_ends_once_all_methods_ask_for_it(tmp_path: Path, others: Any) -> None:
    run = trainer(
        tmp_path, compute_metrics=constant, metric_for_best_model="constant", num_train_epochs=5
    )
    methods = {"stopping": lambda model: EarlyStopping(model, patience=2), **others}
    averaging = AveragingCallback(methods).attach(run)
    run.train()
    assert averaging.averagers["stopping"].should_stop
    assert run.state.global_step == (5 if others else 3) * 6


def test_ema_steps_with_the_optimizer(tmp_path: Path) -> None:
    """Not with micro-batches; updates come with evaluations, here every four steps, at the end."""
    run = trainer(
        tmp_path, per_device_train_batch_size=8, gradient_accumulation_steps=2,
        eval_strategy="steps", eval_steps=4, save_strategy="no", eval_on_start=True,
    )  # fmt: skip
    averaging = AveragingCallback(ALL).attach(run)
    run.train()
    assert averaging.averagers["ema"].n_averaged == run.state.global_step == 18
    steps = [entry["step"] for entry in logged(run, False) if "eval_loss" in entry]
    assert steps[:5] == [0, 4, 8, 12, 16]  # newer versions evaluate at the end as well
    assert averaging.averagers["aswa"].n_epochs == len(steps) - 1
    assert averaging.averagers["swa"].n_averaged == len(steps) - 2
    assert all("eval_swa_loss" not in entry for entry in logged(run, True)[:1])


class Stop(TrainerCallback):
    """Ends training after some steps."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step == 6


def test_an_evaluation_after_training_is_no_update(tmp_path: Path) -> None:
    """Nor one before, nor one of other data."""
    run = trainer(tmp_path, eval_strategy="steps", eval_steps=4, save_strategy="no")
    averaging = AveragingCallback(ALL).attach(run)
    run.add_callback(Stop())
    run.evaluate()
    run.train()
    before = copy.deepcopy(averaging.averagers["aswa"].state_dict())
    assert (run.state.global_step, before["n_epochs"]) == (6, 1)
    run.evaluate()
    run.evaluate(TRAIN[:9], metric_key_prefix="test")
    assert same(before, averaging.averagers["aswa"].state_dict())


@pytest.mark.parametrize("bf16", [False, True])
def test_saved_folders_score_what_was_logged(tmp_path: Path, bf16: bool) -> None:
    """In mixed precision too. The weights in the Trainer's own checkpoints are the running ones."""
    run = trainer(tmp_path, compute_metrics=accuracy, bf16=bf16, num_train_epochs=2)
    averaging = AveragingCallback(ALL).attach(run)
    run.train()
    entries = logged(run, True)
    folders = [
        (tmp_path / "checkpoint-6", entries[0]),
        (tmp_path / "checkpoint-12", entries[1]),
        (tmp_path, entries[1]),
    ]
    for folder, entry in folders:
        for name in ALL:
            if f"eval_{name}_loss" not in entry:
                assert not (folder / name).exists()
                continue
            loaded = GPT2LMHeadModel.from_pretrained(folder / name)
            metrics = trainer(
                tmp_path / "again", loaded, compute_metrics=accuracy, bf16=bf16
            ).evaluate()
            assert metrics["eval_loss"] == entry[f"eval_{name}_loss"]
            assert metrics["eval_accuracy"] == entry[f"eval_{name}_accuracy"]
    own = GPT2LMHeadModel.from_pretrained(tmp_path / "checkpoint-12")
    assert same(own.state_dict(), run.model.state_dict())
    assert not same(own.state_dict(), averaging.averagers["ema"].module.state_dict())


class PowerCut(TrainerCallback):
    """The end of a process, some steps after the last checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def lora() -> nn.Module:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    config = peft.LoraConfig(target_modules=["c_attn"], r=2, lora_dropout=0.1, fan_in_fan_out=True)
    return peft.get_peft_model(tiny(), config)


@pytest.mark.parametrize(
    ("strategy", "make", "compute"),
    [("epoch", tiny, accuracy), ("steps", tiny, constant), ("epoch", lora, accuracy)],
)
def test_a_resumed_run_is_the_undisturbed_one(
    tmp_path: Path, strategy: str, make: Any, compute: Any
) -> None:
    """Checkpoints at the ends of epochs, or in the middle of one and between evaluations."""
    settings = {
        "compute_metrics": compute, "eval_strategy": strategy,
        "metric_for_best_model": compute.__name__, "save_strategy": strategy,
        "eval_steps": 4, "save_steps": 5, "num_train_epochs": 4,
    }  # fmt: skip
    whole, cut, resumed = (
        trainer(tmp_path / name, make(), **settings) for name in ("whole", "cut", "cut")
    )
    ridden = [AveragingCallback(ALL).attach(run) for run in (whole, cut, resumed)]
    set_seed(1)
    whole.train()
    set_seed(1)
    cut.add_callback(PowerCut(14))
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    resumed.train(resume_from_checkpoint=True)
    assert same_run(whole, resumed)
    assert logged(whole, True) == logged(resumed, True)
    for name in ALL:
        states = [each.averagers[name].state_dict() for each in (ridden[0], ridden[2])]
        assert same(*states), name
    assert ridden[2].averagers["ema"].n_averaged == 24


def test_resuming_needs_the_averages_of_this_very_run(tmp_path: Path) -> None:
    for name, callback in (("with", AveragingCallback(ASWA)), ("without", None)):
        run = trainer(tmp_path / name)
        if callback:
            callback.attach(run)
        run.train()
    checkpoint = str(tmp_path / "with" / "checkpoint-12")
    later = {"learning_rate": 0.05, "num_train_epochs": 4}
    for folder, place in (("without", None), ("elsewhere", None), ("without", checkpoint)):
        run = trainer(tmp_path / folder, resume_from_checkpoint=place, **later)
        averaging = AveragingCallback(ASWA).attach(run)
        if place:  # said twice, so that the callback hears of it too
            run.train(resume_from_checkpoint=place)
            assert averaging.averager.n_epochs == 4
        else:
            with pytest.raises(ValueError, match="resume_from_checkpoint"):
                run.train(resume_from_checkpoint=checkpoint)
    run = trainer(tmp_path / "with", **later)
    AveragingCallback(EMA).attach(run)
    with pytest.raises(ValueError, match=r"has averages \['aswa'\], this callback \['ema'\]"):
        run.train(resume_from_checkpoint=checkpoint)


def test_an_adapter_is_averaged_alone(tmp_path: Path) -> None:
    """The frozen base is shared; the folder is an adapter that peft loads."""
    model = lora()
    from peft import PeftModel

    run = trainer(tmp_path, model)
    averaging = AveragingCallback(ALL).attach(run)
    run.train()
    adapter = sum(p.numel() for p in model.parameters() if p.requires_grad)
    running = dict(model.named_parameters())
    for name, averager in averaging.averagers.items():
        weights = averager.state_dict()["weights"]
        kept = [weights[parameter].numel() for parameter in weights.keys() & running.keys()]
        assert sum(kept) == adapter < 0.05 * sum(p.numel() for p in model.parameters())
        shared = [
            n
            for n, p in averager.module.named_parameters()
            if p.data_ptr() == running[n].data_ptr()
        ]
        assert len(shared) == sum(not p.requires_grad for p in running.values()) > 0
        for folder in (tmp_path / name, tmp_path / "checkpoint-18" / name / "adapter"):
            loaded = PeftModel.from_pretrained(tiny(), folder)
            score = trainer(tmp_path / "again", loaded).evaluate()["eval_loss"]
            assert score == logged(run, True)[-1][f"eval_{name}_loss"]


def test_a_set_of_several_that_decides(tmp_path: Path) -> None:
    """Evaluation sets by name: one update an evaluation, by the metric that was chosen."""
    sets = {"valid": VALID, "other": TRAIN[:20]}
    run = trainer(tmp_path, eval_dataset=sets, metric_for_best_model="other_loss")
    averaging = AveragingCallback(ASWA).attach(run)
    run.train()
    assert averaging.averager.n_epochs == 3
    assert averaging.averager.score == logged(run, True)[-1]["eval_aswa_other_loss"]
    unclear = trainer(tmp_path, eval_dataset=sets)
    AveragingCallback(ASWA).attach(unclear)
    with pytest.raises(ValueError, match="set metric_for_best_model, such as 'valid_loss'"):
        unclear.train()


def test_errors_name_the_fix(tmp_path: Path) -> None:
    loose = trainer(tmp_path, callbacks=[AveragingCallback(ASWA)])
    with pytest.raises(RuntimeError, match=r"callback\.attach\(trainer\) before"):
        loose.train()
    run = trainer(tmp_path)
    averaging = AveragingCallback(ALL).attach(run)
    assert averaging.attach(run) is averaging  # also where callbacks= has it
    with pytest.raises(ValueError, match="give one callback all methods by name"):
        AveragingCallback(EMA).attach(run)
    with pytest.raises(RuntimeError, match="when training begins"):
        _ = averaging.averager
    blind = trainer(tmp_path, eval_strategy="no")
    AveragingCallback(ASWA).attach(blind)
    with pytest.raises(ValueError, match="set eval_strategy"):
        blind.train()
    for wrong in ({"a-b": ASWA}, nn.Identity):
        other = trainer(tmp_path)
        AveragingCallback(wrong).attach(other)
        with pytest.raises(TypeError, match="functions model -> averager"):
            other.train()


def test_a_plain_accelerate_loop_needs_no_callback() -> None:
    """In bf16 on the CPU: averages are fp32 and score under the loop's own precision."""
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    model = tiny()
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=0.05))
    valid = torch.tensor([each["input_ids"] for each in VALID])
    aswa: Averager = ASWA(accelerator.unwrap_model(model), mode="min")

    def evaluate(module: nn.Module) -> float:
        module.eval()
        return module(input_ids=valid, labels=valid).loss.item()

    for batch in torch.tensor([each["input_ids"] for each in TRAIN]).split(24):
        model.train()
        accelerator.backward(model(input_ids=batch, labels=batch).loss)
        optimizer.step()
        optimizer.zero_grad()
        aswa.update(accelerator.unwrap_model(model), evaluate)
    assert evaluate(aswa.module) == aswa.score
    bare = tiny()
    bare.load_state_dict(aswa.module.state_dict())
    assert evaluate(bare) != aswa.score  # which was measured in bf16
    assert evaluate(bare) == pytest.approx(aswa.score, rel=0.01)


def test_the_page_is_true(tmp_path: Path) -> None:
    """Its snippets run, one after the other."""
    text = (ROOT / "docs" / "transformers.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    args = trainer(tmp_path).args
    names = {"Trainer": Trainer, "model": tiny(), "args": args, "train": TRAIN, "valid": VALID}
    exec(snippets[0], names)
    assert GPT2LMHeadModel.from_pretrained(tmp_path / "aswa").num_parameters() > 0
    assert names["averaging"].averager.n_averaged > 0
    names |= {"accelerator": names["trainer"].accelerator, "loader": [], "evaluate": lambda _: 1.0}
    names["optimizer"] = torch.optim.SGD(names["model"].parameters(), lr=0.1)
    exec(snippets[1], names)
    assert names["aswa"].score == 1


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "examples" / "trainer_callback.py"
    runpy.run_path(str(path))["main"](str(tmp_path), epochs=2)
    printed = capsys.readouterr().out.splitlines()
    scores = dict(line.split(": loss ") for line in printed if ": loss " in line)
    assert scores.keys() == {"running", "aswa", "ema"}
    assert all(float(score.split()[0]) < 3 for score in scores.values())  # untrained: log 181 = 5.2


@pytest.mark.slow
def test_ranks_decide_alike(tmp_path: Path) -> None:
    """Two processes of torchrun over gloo, each with a shard of the evaluation set."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*command, __file__, str(tmp_path)], check=True, capture_output=True, timeout=300
    )
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert same(one, other)
    assert one["log"][-1]["eval_aswa_n_averaged"] >= 1 and len(one["log"]) == 4
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path / "aswa")
    assert same(loaded.state_dict(), one["module"])


def one_rank(folder: Path) -> None:
    """Train, cut off, resumed; what this rank came to is written to `folder`."""
    torch.set_num_threads(1)
    for resume in (False, True):
        run = trainer(folder, ddp_backend="gloo", num_train_epochs=4)
        averaging = AveragingCallback(ALL).attach(run)
        if resume:
            run.train(resume_from_checkpoint=True)
        else:
            run.add_callback(PowerCut(7))
            try:
                run.train()
            except KeyboardInterrupt:
                run.accelerator.wait_for_everyone()
    assert run.args.world_size == 2
    states = {name: each.state_dict() for name, each in averaging.averagers.items()}
    module = averaging.averagers["aswa"].module.state_dict()
    found = {"states": states, "log": logged(run, True), "module": module}
    torch.save(found, folder / f"rank{run.args.process_index}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    one_rank(Path(sys.argv[1]))
