"""Questions of language models, drawn from a text or read from a file, and texts from elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from aswa.data.text.vocabulary import Characters
from aswa.models.text.gpt import GPT
from aswa.tasks.choices import choice_metrics, drawn_questions, read_questions
from aswa.training.session import execute
from small_text import config

CPU = torch.device("cpu")


def test_questions_are_drawn_once_and_answered_by_likelihood() -> None:
    """A model that knows what follows is right, one that knows nothing by chance."""

    class Successor(torch.nn.Module):
        def __init__(self, sure: float) -> None:
            super().__init__()
            self.sure = sure

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.sure * F.one_hot((tokens + 1) % 11, 11).float()

    text = torch.arange(2200) % 11
    questions = drawn_questions(text, 10, 60)
    again = drawn_questions(text, 10, 60)
    assert all(torch.equal(a.prompt, b.prompt) and a.answer == b.answer
               for a, b in zip(questions, again, strict=True))  # fmt: skip
    assert all(
        torch.equal(q.choices[q.answer], (q.prompt[-1] + 1 + torch.arange(5)) % 11)
        for q in questions
    )
    alone = [
        q for q in questions if sum(torch.equal(c, q.choices[q.answer]) for c in q.choices) == 1
    ]
    found = choice_metrics([Successor(9.0)], alone, 10, CPU)
    assert found["accuracy"] == 1.0 and found["loss"] < 0.01
    found = choice_metrics([Successor(0.0), Successor(0.0)], alone, 10, CPU)
    assert found["loss"] == pytest.approx(math.log(4)) and found["brier"] == pytest.approx(0.75)


def test_questions_of_a_file_have_as_many_choices_as_they_like(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(
        '{"question": "To be or not to", "choices": ["be", "have"], "answer": "A"}\n\n'
        '{"question": "Is it?", "choices": ["yes", "no", "perhaps"], "answer": 2}\n'
    )
    first, second = read_questions(file, Characters(), 16, True)
    assert (first.answer, second.answer, len(second.choices)) == (0, 2, 3)
    assert Characters().decode(first.prompt.tolist()) == "To be or not to "
    model = GPT(81, 1, 2, 16, 16, generator=torch.Generator().manual_seed(0)).eval()
    found = choice_metrics([model], [first, second], 16, CPU)
    log_p = model(torch.cat([first.prompt, first.choices[0]])[None, -17:-1]).log_softmax(2)[0]
    by_hand = log_p[-2:].gather(1, first.choices[0][:, None]).sum()
    other = model(torch.cat([first.prompt, first.choices[1]])[None, -17:-1]).log_softmax(2)[0]
    against = other[-4:].gather(1, first.choices[1][:, None]).sum()
    alone = choice_metrics([model], [first], 16, CPU)["loss"]
    assert alone == pytest.approx(F.softplus(against - by_hand).item(), rel=1e-4)
    assert found["loss"] > alone
    file.write_text('{"question": "Is it?", "choices": ["yes", "no"], "answer": "C"}\n')
    with pytest.raises(ValueError, match=r"questions\.jsonl, line 1: expected"):
        read_questions(file, Characters(), 16, True)


def test_a_run_reads_other_texts_and_answers_questions(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "a", "choices": ["b", "c"], "answer": 1}\n')
    words = ["epochs=2", "optimizer=[sgd,swag]", "optimizer.swag.start=0", "task=language_modeling",
             "optimizer.swag.n_samples=3", "task.sample=0", "task.elsewhere=[folio,kjv,jargon]",
             "task.questions=20", f"task.question_file={tmp_path / 'q.jsonl'}",
             f"data_dir={data_dir}", "dataset=folio"]  # fmt: skip
    record = execute(config(tmp_path, *words), report=lambda _: None)
    tested = [row for row in record["rows"] if row["split"] == "test"]
    rows = {(row["optimizer"], row["metric"]): row["value"] for row in tested}
    assert rows["sgd", "folio_loss"] == rows["sgd", "loss"]  # its own test text
    assert rows["sgd", "folio_entropy"] == 0.5
    for name in ("kjv", "jargon"):
        assert rows["sgd", f"{name}_loss"] != rows["sgd", "loss"]
        assert 0 < rows["swag", f"{name}_information"] < 1
        assert ("sgd", f"{name}_information") not in rows
    assert {"choice_accuracy", "choice_ece", "question_loss"} <= {metric for _, metric in rows}
    assert all(said["higher_is_better"] is not None for said in record["metrics"].values())
