"""Multiple choice: which of some continuations a language model finds most likely.

Questions are drawn from a held-out text, the true continuation among three others of the same text,
or read from a file of lines `{"question": …, "choices": […], "answer": …}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.data.text.alphabet import fold
from aswa.data.text.vocabulary import Vocabulary
from aswa.tasks.probabilistic import brier, ece, mean_prediction, nll

CHOICES = 4
AT_ONCE = 128  # sequences; a constant, so that scores do not depend on batch_size


class Question(NamedTuple):
    """Tokens of a prompt and of each choice; `answer` is the number of the right one."""

    prompt: Tensor
    choices: tuple[Tensor, ...]
    answer: int


def drawn_questions(tokens: Tensor, context: int, number: int) -> list[Question]:
    """Questions of a text, the same ones for every run.

    A prompt is half a context long, and so is each of `CHOICES` continuations: the true one and
    others from places of the text that are drawn at random, in a random order.

    Raises:
        ValueError: the text is too short.
    """
    half = context // 2
    if half < 1 or len(tokens) < 4 * context:
        raise ValueError(
            f"task.questions: a text of {len(tokens):,} tokens is too short for model.context="
            f"{context}"
        )
    generator = torch.Generator().manual_seed(0)
    last = len(tokens) - context
    found = []
    for begin in torch.randint(last, (number,), generator=generator).tolist():
        true = begin + half
        others = torch.randint(last, (64,), generator=generator).tolist()
        apart = [place for place in others if abs(place - true) >= half][: CHOICES - 1]
        answer = int(torch.randint(CHOICES, (), generator=generator))
        places = [*apart[:answer], true, *apart[answer:]]
        choices = tuple(tokens[place : place + half] for place in places)
        found.append(Question(tokens[begin:true], choices, answer))
    return found


def read_questions(
    path: Path, vocabulary: Vocabulary, context: int, folded: bool
) -> list[Question]:
    """Questions of a file; a prompt that is too long loses its beginning.

    Raises:
        ValueError: a line is not such a question, or a choice does not fit; names file and line.
    """
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            said: dict[str, Any] = json.loads(line)
            question, choices = str(said["question"]), [str(each) for each in said["choices"]]
            answer = _answer(said["answer"], choices)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'{place}: expected {{"question": "…", "choices": ["…", "…"], "answer": 0}}, the '
                f"answer as a number from 0, a letter or a choice ({error!r})"
            ) from None
        texts = [fold(text) if folded else text for text in (question, *choices)]
        prompt, *rest = (torch.from_numpy(vocabulary.encode(text)) for text in texts)
        gap = torch.from_numpy(vocabulary.encode(" "))
        if not len(prompt) or not all(0 < len(each) < context for each in rest):
            raise ValueError(
                f"{place}: a question, and choices of 1 to {context - 1} tokens, are needed"
            )
        found.append(Question(torch.cat([prompt, gap]), tuple(rest), answer))
    if not found:
        raise ValueError(f"{path}: no question in it")
    return found


def _answer(said: Any, choices: list[str]) -> int:
    """The number of the right choice, from a number, a letter, or the choice itself."""
    if isinstance(said, str):
        said = choices.index(said) if said in choices else ord(said.upper()) - ord("A")
    if not 0 <= int(said) < len(choices):
        raise ValueError(f"{said} is no choice")
    return int(said)


@torch.no_grad()
def choice_metrics(
    members: Sequence[nn.Module], questions: Sequence[Question], context: int, device: torch.device
) -> dict[str, float]:
    """`accuracy`, `loss`, `ece` and `brier` of the members' mean probabilities of the choices.

    A choice's logit is the log-likelihood of its tokens after the prompt.
    """
    each = []
    for member in members:
        member.eval()
        each.append(_logits(member, questions, context, device))
    logits, answers = mean_prediction(each), torch.tensor([q.answer for q in questions])
    return {
        "accuracy": float((logits.argmax(1) == answers).double().mean()),
        "loss": nll(logits, answers),
        "ece": ece(logits, answers),
        "brier": brier(logits, answers),
    }


def _logits(
    model: nn.Module, questions: Sequence[Question], context: int, device: torch.device
) -> Tensor:
    """[questions, most choices], fp64; −∞ where a question has fewer."""
    most = max(len(question.choices) for question in questions)
    logits = torch.full((len(questions), most), -torch.inf, dtype=torch.float64)
    sequences = list(_sequences(questions))
    for first in range(0, len(sequences), AT_ONCE):
        some = sequences[first : first + AT_ONCE]
        for length in sorted({len(tokens) for _, _, tokens, _ in some}):
            alike = [each for each in some if len(each[2]) == length]
            kept = torch.stack([tokens[-context - 1 :] for _, _, tokens, _ in alike]).to(device)
            of_tokens = -F.cross_entropy(
                model(kept[:, :-1]).float().transpose(1, 2), kept[:, 1:], reduction="none"
            )
            for (row, column, _, n), values in zip(alike, of_tokens.double().cpu(), strict=True):
                logits[row, column] = values[-n:].sum()
    return logits


def _sequences(questions: Sequence[Question]) -> Iterator[tuple[int, int, Tensor, int]]:
    """Question, choice, the tokens of both, and how many of them are the choice's."""
    for row, question in enumerate(questions):
        for column, choice in enumerate(question.choices):
            tokens = torch.cat([question.prompt.to(choice.device), choice])
            yield row, column, tokens, len(choice)
