"""How well models predict the next token of a text, in windows that depend on the text alone.

A text of n tokens has n − 1 predictions. Windows of `context` inputs follow one another from the
first token on, the last one may be shorter, and every token but the first is predicted once.
Windows are evaluated `EVALUATED_AT_ONCE` tokens at a time, whatever the batch size of training is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.tasks.probabilistic import (
    Reliability,
    brier,
    by_confidence,
    entropy,
    judged,
    mean_prediction,
    mutual_information,
)

EVALUATED_AT_ONCE = 4096  # tokens; a constant, so that scores do not depend on batch_size
LOGITS_AT_ONCE = 2**23  # of large vocabularies fewer tokens


class Windows(NamedTuple):
    """How a text is cut.

    Attributes:
        context: longest input of the models.
        classes: size of the vocabulary, which decides how many windows are evaluated at once.
    """

    context: int
    classes: int = 1

    def of(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets [B, T] of all predictions of tokens [n], each once."""
        inputs, targets = tokens[:-1], tokens[1:]
        whole = len(inputs) // self.context * self.context
        at_once = min(EVALUATED_AT_ONCE, LOGITS_AT_ONCE // self.classes)
        rows = max(1, at_once // self.context)
        pairs = [each[:whole].view(-1, self.context).split(rows) for each in (inputs, targets)]
        if whole:
            yield from zip(*pairs, strict=True)
        if whole < len(inputs):
            yield inputs[whole:].unsqueeze(0), targets[whole:].unsqueeze(0)


@torch.no_grad()
def summed_loss(model: Callable[[Tensor], Tensor], tokens: Tensor, windows: Windows) -> float:
    """Negative log-likelihood of tokens [n] but the first, in nats, of a model in eval mode."""
    if isinstance(model, nn.Module):
        model.eval()
    total = torch.zeros((), dtype=torch.float64, device=tokens.device)
    for inputs, targets in windows.of(tokens):
        logits = model(inputs).float().flatten(0, 1)
        total += F.cross_entropy(logits, targets.flatten(), reduction="sum").double()
    return float(total)


class Assessed(NamedTuple):
    """What the predictions of a text's n − 1 tokens are worth.

    Attributes:
        loss, brier: means over tokens; the loss in nats.
        confidence, correct: the greatest probability, and 1 where it is of the next token, fp64
            [n − 1].
        entropy, information: of the mean prediction, and what the members disagree about, as means
            over each window [W]; empty unless they are asked for.
    """

    loss: float
    brier: float
    confidence: Tensor
    correct: Tensor
    entropy: Tensor
    information: Tensor

    @property
    def reliability(self) -> Reliability:
        """By confidence."""
        return by_confidence(self.confidence, self.correct)

    @property
    def metrics(self) -> dict[str, float]:
        """`loss`, `accuracy`, `ece` and `brier`."""
        return {
            "loss": self.loss,
            "accuracy": float(self.correct.mean()),
            "ece": self.reliability.error,
            "brier": self.brier,
        }


@torch.no_grad()
def assess(
    members: Sequence[nn.Module], tokens: Tensor, windows: Windows, uncertainty: bool = False
) -> Assessed:
    """Of the members' mean probabilities, token by token.

    The exact mixture of a text would weigh members by how likely they made what came before; the
    mean of each token's probabilities is what ensembles of language models use.

    Args:
        tokens: int64 [n].
        windows: of the text.
        uncertainty: also entropy and information of each window.
    """
    for member in members:
        member.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=tokens.device)
    parts: list[tuple[Tensor, Tensor]] = []
    uncertain: list[list[Tensor]] = []
    for inputs, targets in windows.of(tokens):
        right = targets.flatten()
        each = [member(inputs).float().flatten(0, 1) for member in members]
        mean = mean_prediction(each)
        sums[0] += F.cross_entropy(mean, right, reduction="sum").double()
        sums[1] += brier(mean, right) * len(right)
        parts.append(judged(mean, right))
        if uncertainty:
            of_each = (entropy(mean), mutual_information(each))
            uncertain.append([values.view_as(inputs).mean(1) for values in of_each])
    loss, squared = (sums / (len(tokens) - 1)).tolist()
    confidence, correct = map(torch.cat, zip(*parts, strict=True))
    none = (torch.empty(0), torch.empty(0))
    both = tuple(map(torch.cat, zip(*uncertain, strict=True))) if uncertain else none
    return Assessed(loss, squared, confidence, correct, *both)
