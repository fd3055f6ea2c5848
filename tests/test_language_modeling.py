"""Language modelling: texts, vocabularies, windows, the model, runs of the command."""

from __future__ import annotations

import dataclasses
import lzma
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from aswa.config import ConfigError, load
from aswa.data.text.alphabet import ALPHABET, UNKNOWN, fold
from aswa.data.text.vocabulary import BytePairs, Bytes, Characters
from aswa.models.text.gpt import GPT
from aswa.sweeping.plan import check_run
from aswa.tasks.language_modeling import LanguageModeling, steps_per_epoch
from aswa.tasks.next_token import EVALUATED_AT_ONCE, Windows, assess, summed_loss
from aswa.training.learner import Learner
from aswa.training.rates import rates
from aswa.training.session import execute
from character_floor import floor
from small_text import config

CPU = torch.device("cpu")


def random_gpt(seed: int = 0, **options: Any) -> GPT:
    sizes = {"layers": 2, "heads": 2, "dim": 16, "context": 8} | options
    return GPT(11, generator=torch.Generator().manual_seed(seed), **sizes).eval()


def write_own(folder: Path, **texts: bytes) -> list[str]:
    folder.mkdir(exist_ok=True)
    usual = {"train": b"to be or not to be " * 30, "valid": b"that is the question " * 3,
             "test": b"whether it is nobler " * 3}  # fmt: skip
    for split, content in (usual | texts).items():
        (folder / f"{split}.txt").write_bytes(content)
    return ["dataset=own_text", f"dataset.folder={folder}"]


def test_folding_leaves_the_alphabet_and_one_unknown_symbol() -> None:
    assert len(set(ALPHABET)) == 80
    assert fold("“Naïve”, it’s Zoë\n") == '"Naive", it\'s Zoe\n'
    assert fold("5 × £3") == f"5 {UNKNOWN} {UNKNOWN}3"
    assert set(fold("".join(map(chr, range(3000))))) <= {*ALPHABET, UNKNOWN}


@pytest.mark.parametrize("text", ["It is a truth universally acknowledged", fold("£ and ½; “x”")])
def test_a_vocabulary_gives_a_text_back(text: str) -> None:
    pytest.importorskip("tokenizers")
    for vocabulary in (Characters(), BytePairs([text * 20], 300)):
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids).replace("\0", UNKNOWN) == text
        assert vocabulary.n_bytes(ids) == len(text)
        assert max(ids) < vocabulary.size
    assert len(ids) < len(text)  # pairs were learned
    assert Bytes().decode(Bytes().encode("Zoë")) == "Zoë"


def test_whole_books_are_the_splits_of_austen(tmp_path: Path) -> None:
    """Published bytes, in the package; a cap takes as much of each book."""
    task = LanguageModeling(config(tmp_path), CPU)
    train = task.vocabulary.decode(task._tokens["train"].tolist())
    assert len(train) == 4096 + 3  # newlines between four books
    assert "SENSE AND SENSIBILITY" in train and "EMMA" in train and "NORTHANGER" not in train
    assert "PERSUASION" in task.vocabulary.decode(task._tokens["test"].tolist()).upper()


def test_errors_name_the_file_and_the_fix(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    words = write_own(own)
    check_run(config(tmp_path, *words))
    (own / "valid.txt").unlink()
    with pytest.raises(ConfigError, match=r"mine: no file valid of the valid split.*\.txt\.xz"):
        check_run(config(tmp_path, *words))
    write_own(own, valid=b"abc \xff\xfe def")
    with pytest.raises(ConfigError, match=r"valid\.txt: byte 4 is not UTF-8"):
        check_run(config(tmp_path, *words))
    write_own(own, test="Всё это по-русски".encode())
    with pytest.raises(ConfigError, match=r"test\.txt: 8\d% .*vocabulary=bytes"):
        check_run(config(tmp_path, *words))
    check_run(config(tmp_path, *words, "dataset.vocabulary=bytes", "dataset.fold=false"))
    with pytest.raises(ConfigError, match=r"model\.context=16"):
        LanguageModeling(config(tmp_path, *write_own(own, train=b"too short")), CPU)


def test_a_compressed_text_is_the_same_text_and_its_bytes_are_part_of_run_id(
    tmp_path: Path,
) -> None:
    words = write_own(tmp_path / "mine")
    before = config(tmp_path, *words)
    plain = (tmp_path / "mine" / "train.txt").read_bytes()
    (tmp_path / "mine" / "train.txt").unlink()
    (tmp_path / "mine" / "train.txt.xz").write_bytes(lzma.compress(plain))
    assert config(tmp_path, *words).run_id == before.run_id
    (tmp_path / "mine" / "train.txt.xz").write_bytes(lzma.compress(plain + b"!"))
    assert config(tmp_path, *words).run_id != before.run_id
    other = lzma.compress(b"not Austen")
    (tmp_path / "text" / "austen").mkdir(parents=True)
    for book in ("sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey",
                 "persuasion"):  # fmt: skip
        (tmp_path / "text" / "austen" / f"{book}.txt.xz").write_bytes(other)
    with pytest.raises(ConfigError, match="sha256"):
        check_run(config(tmp_path, f"data_dir={tmp_path}"))


@pytest.mark.parametrize("n", [2, 8, 9, 17, 3 * EVALUATED_AT_ONCE + 5])
def test_windows_predict_every_token_but_the_first_once(n: int) -> None:
    tokens = torch.arange(n)
    pairs = list(Windows(8).of(tokens))
    assert torch.cat([targets.flatten() for _, targets in pairs]).tolist() == list(range(1, n))
    assert all(torch.equal(x + 1, y) and x.shape[1] <= 8 for x, y in pairs)


def test_metrics_are_those_of_a_plain_loop() -> None:
    """The mean of probabilities of two members, over windows of 8, by torch's own functions."""
    members, tokens = [random_gpt(0), random_gpt(1)], torch.randint(11, (101,))
    found = assess(members, tokens, Windows(8)).metrics
    with torch.no_grad():
        rows = [
            torch.stack([m(tokens[None, i : min(i + 8, 100)])[0].softmax(1) for m in members])
            for i in range(0, 100, 8)
        ]
    p = torch.cat([row.mean(0) for row in rows]).double()
    right = tokens[1:]
    assert found["loss"] == pytest.approx(float(F.nll_loss(p.log(), right)), rel=1e-6)
    assert found["accuracy"] == pytest.approx(float((p.argmax(1) == right).double().mean()))
    truth = F.one_hot(right, 11)
    assert found["brier"] == pytest.approx(float((p - truth).square().sum(1).mean()), rel=1e-6)
    one = assess(members[:1], tokens, Windows(8)).loss
    assert one == pytest.approx(summed_loss(members[0], tokens, Windows(8)) / 100, rel=1e-12)


def test_the_head_is_the_embedding() -> None:
    """One parameter, whose gradient has both parts; averages keep it one."""
    from aswa.averaging import SWA

    model = random_gpt()
    shapes = [p.shape for p in model.parameters()]
    assert shapes.count(torch.Size([11, 16])) == 1
    model(torch.zeros(1, 4, dtype=torch.long)).sum().backward()
    assert bool((model.token.weight.grad[1:] != 0).any())  # rows that were no input: of the head
    swa = SWA(model)
    swa.update(model, lambda _: 0.0)
    logits = swa.module(torch.arange(8)[None])
    assert torch.equal(logits, model(torch.arange(8)[None]))


def test_a_prediction_does_not_see_what_comes_after() -> None:
    model, tokens = random_gpt(), torch.randint(11, (1, 8))
    changed = tokens.clone()
    changed[0, 5:] = (changed[0, 5:] + 1) % 11
    before, after = model(tokens), model(changed)
    assert torch.equal(before[0, :5], after[0, :5])
    assert not torch.allclose(before[0, 5], after[0, 5])


def test_scores_do_not_depend_on_batch_size_and_epochs_resume(tmp_path: Path) -> None:
    tasks = [LanguageModeling(config(tmp_path, f"batch_size={size}"), CPU) for size in (4, 64)]
    built = tasks[0].build_model(torch.Generator().manual_seed(0))
    assert tasks[0].score(built) == tasks[1].score(built)
    task = tasks[0]
    each = [
        [
            float(loss.detach())
            for loss, _ in task.losses(built, torch.Generator().manual_seed(3), start)
        ]
        for start in (0, 5)
    ]
    assert each[0][5:] == each[1]
    assert len(each[0]) == steps_per_epoch(task)


def test_rates_go_by_steps(tmp_path: Path) -> None:
    words = ["epochs=2", "schedule=warmup_cosine", "schedule.warmup=3", "base_optimizer=adamw"]
    run = config(tmp_path, *words)
    task = LanguageModeling(run, CPU)
    learner = Learner(run, task)
    seen = []
    for epoch in range(2):
        learner.begin(epoch)
        while learner.step():
            seen.append(learner.optimizer.param_groups[-1]["lr"])
        learner.forget()
    assert seen[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert seen[3:] == sorted(seen[3:], reverse=True)
    assert seen[-1] == pytest.approx(0.001)
    assert seen[-1] == rates(run, task).last(1)
    short = dataclasses.replace(run, schedule=dataclasses.replace(run.schedule, warmup=1000))
    with pytest.raises(ConfigError, match="warmup"):
        rates(short, task)
    graph = load(["dataset=umls", "model=keci", "schedule=warmup_constant"])
    with pytest.raises(ConfigError, match="steps an epoch"):
        rates(graph, task)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    words = ["base_optimizer=adamw", "base_optimizer.clip=0.001"]
    run = config(tmp_path, *words)
    learner = Learner(run, LanguageModeling(run, CPU))
    learner.begin(0)
    learner.step()
    squares = [p.grad.square().sum() for p in learner.model.parameters() if p.grad is not None]
    assert float(torch.stack(squares).sum().sqrt()) == pytest.approx(0.001, rel=1e-3)


def test_a_run_learns_writes_and_is_whole(tmp_path: Path) -> None:
    words = [
        "epochs=4",
        "optimizer=all",
        "save_weights=true",
        "task=language_modeling",
        "task.sample=50",
    ]
    record = execute(config(tmp_path, *words), report=lambda _: None)
    rows = {(r["optimizer"], r["split"], r["metric"]): r["value"] for r in record["rows"]}
    metrics = {metric for _, _, metric in rows}
    assert metrics == {"loss", "perplexity", "bits_per_byte", "probability", "accuracy", "ece",
                       "brier"}  # fmt: skip
    for method in ("sgd", "swa", "ema", "early_stopping", "aswa"):
        loss = rows[method, "test", "loss"]
        assert loss < math.log(81)
        assert rows[method, "test", "perplexity"] == pytest.approx(math.exp(loss))
        assert rows[method, "test", "bits_per_byte"] == pytest.approx(loss / math.log(2))
        curves = record["diagrams"][method]
        assert sum(curves["reliability"]["number"]) == 1000 - 1
        risk = curves["risk_coverage"]["risk"][-1]
        assert risk == pytest.approx(1 - rows[method, "test", "accuracy"])
    best = rows["early_stopping", "valid", "probability"]
    assert rows["aswa", "valid", "probability"] >= best * (1 - 1e-6)
    (text,) = tmp_path.glob("runs/austen/gpt/*/sample.txt")
    assert len(text.read_text().partition("|")[2]) == 51


def test_the_floor_is_that_of_its_formula() -> None:
    """By hand: after "ab" "ab", p(a) = (2 + 2 / 3) / 6, and p(b | a) mixes 2 of 2 with p(b)."""
    p_a = (2 + 2 * (1 / 3)) / (4 + 2)
    p_b = (2 + 1 * (2 + 2 * (1 / 3)) / (4 + 2)) / (2 + 1)
    assert floor("abab", "a", 0, 3) == pytest.approx(-math.log(p_a))
    assert floor("abab", "ab", 1, 3) == pytest.approx(-math.log(p_b))
