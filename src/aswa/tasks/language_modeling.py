"""Language modelling: train on windows of a text, judge by the probability of every next token."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.config import ConfigError, RunConfig
from aswa.data.folders import find_folder
from aswa.data.text.elsewhere import read_elsewhere
from aswa.data.text.files import read_books
from aswa.data.text.vocabularies import vocabulary
from aswa.data.text.vocabulary import Vocabulary
from aswa.models import text
from aswa.tasks.choices import Question, choice_metrics, drawn_questions, read_questions
from aswa.tasks.next_token import Windows, assess, summed_loss
from aswa.tasks.probabilistic import auroc, diagrams

PROMPT = 64  # characters of the validation text that a sample goes on from


class LanguageModeling:
    """The task of `dataset` and `model` of a configuration; see `aswa.tasks.task.Task`.

    An epoch is one pass: the text is cut into windows at a random phase, and these are shuffled.
    With `epoch_windows` so many windows are drawn at random. Of several members the probabilities
    of each next token are averaged.
    """

    selection_metric = "probability"
    sparse_gradient = False
    batch_norm_batches = None

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.device, self._config = device, config
        self.context = int(config.model.options["context"])
        books = _read(config)
        self.vocabulary = _vocabulary(config, books["train"])
        self._windows = Windows(self.context, self.vocabulary.size)
        self._tokens = {
            split: torch.from_numpy(self.vocabulary.encode("\n".join(texts))).to(device)
            for split, texts in books.items()
        }
        self.windows = len(self._tokens["train"]) // self.context - 1  # at every phase
        if self.windows < 1:
            raise ConfigError(
                f"model.context={self.context}: the training text has only "
                f"{len(self._tokens['train']):,} tokens; take a smaller one, or a longer text"
            )
        self._elsewhere = {
            name: torch.from_numpy(self.vocabulary.encode(other)).to(device)
            for name, other in _read_elsewhere(config).items()
        }
        self._questions = self._all_questions()
        self.chance = _unigram_probability(self._tokens, self.vocabulary.size)

    def build_model(self, generator: torch.Generator) -> nn.Module:
        return _built(self._config, self.vocabulary.size, generator).to(self.device)

    def adopt(self, model: nn.Module, trained_by: LanguageModeling) -> nn.Module:
        """The model itself, for an ensemble under this task.

        Raises:
            ConfigError: it was trained on windows of another length, or on other tokens.
        """
        if trained_by.context != self.context:
            raise ConfigError(
                f"model.context={trained_by.context}: the first run has {self.context}, and all "
                "members of an ensemble see the same windows"
            )
        if not torch.equal(trained_by._tokens["test"], self._tokens["test"]):
            raise ConfigError(
                f"model={trained_by._config.model.name}: its vocabulary is not that of the first "
                "run, so their next tokens are not the same"
            )
        return model

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        tokens, length = self._tokens["train"], self.context
        if drawn := self._config.dataset.options["epoch_windows"]:
            begins = torch.randint(len(tokens) - length, (drawn,), generator=generator)
        else:
            phase = torch.randint(length, (), generator=generator)
            begins = phase + length * torch.randperm(self.windows, generator=generator)
        offsets = torch.arange(length + 1, device=self.device)
        batches = begins.to(self.device).split(self._config.batch_size)
        for batch in itertools.islice(batches, start, None):
            window = tokens[batch.unsqueeze(1) + offsets]
            logits = model(window[:, :-1])
            yield F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten()), len(batch)

    def score(self, model: nn.Module) -> float:
        """exp(−loss) on the validation text."""
        tokens = self._tokens["valid"]
        return math.exp(-summed_loss(model, tokens, self._windows) / (len(tokens) - 1))

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        return self.assess(members, split)[0]

    def assess(
        self, members: Sequence[nn.Module], split: str
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Metrics of the next token, on train of a beginning as long as valid, and diagrams.

        On test also what `elsewhere`, `questions` and `question_file` ask for.
        """
        tokens, others = self._tokens[split], {} if split != "test" else self._elsewhere
        if split == "train":
            tokens = tokens[: len(self._tokens["valid"])]
        found = assess(members, tokens, self._windows, uncertainty=bool(others))
        n_bytes = self.vocabulary.n_bytes(tokens[1:].cpu().numpy())
        bits = found.loss * (len(tokens) - 1) / math.log(2)
        values = {
            **found.metrics,
            "perplexity": math.exp(found.loss),
            "bits_per_byte": bits / n_bytes,
            "probability": math.exp(-found.loss),
        }
        for name, text_of in others.items():
            other = assess(members, text_of, self._windows, uncertainty=True)
            values |= {f"{name}_{key}": value for key, value in other.metrics.items()}
            values[f"{name}_entropy"] = auroc(found.entropy, other.entropy)
            if len(members) > 1:  # one member agrees with itself about every token
                values[f"{name}_information"] = auroc(found.information, other.information)
        for name, questions in self._questions.items() if split == "test" else ():
            of_choice = choice_metrics(members, questions, self.context, self.device)
            values |= {f"{name}_{key}": value for key, value in of_choice.items()}
        return values, diagrams(found.confidence, found.correct)

    def _all_questions(self) -> dict[str, list[Question]]:
        """Those of the task's options, by the beginning of their metrics' names."""
        options, found = self._config.task.options, {}
        try:
            if number := options["questions"]:
                found["choice"] = drawn_questions(self._tokens["test"], self.context, number)
            if file := options["question_file"]:
                folded = self._config.dataset.options["fold"]
                found["question"] = read_questions(
                    Path(file), self.vocabulary, self.context, folded
                )
        except (OSError, ValueError) as error:
            raise ConfigError(str(error)) from None
        return found

    @torch.no_grad()
    def sample(
        self,
        members: Sequence[nn.Module],
        prompt: str,
        length: int,
        generator: torch.Generator,
        temperature: float = 1.0,
    ) -> str:
        """A text that goes on from `prompt`, drawn token by token from the members' mean.

        Args:
            length: tokens.
            generator: on the CPU, source of the random numbers.
            temperature: below 1 more probable tokens than the model's.
        """
        ids = list(self.vocabulary.encode(prompt))
        begin = len(ids)
        for member in members:
            member.eval()
        for _ in range(length):
            window = torch.tensor([ids[-self.context :]], device=self.device)
            each = [member(window)[0, -1].float().cpu() for member in members]
            mean = torch.stack([(one / temperature).softmax(0) for one in each]).mean(0)
            ids.append(int(torch.multinomial(mean, 1, generator=generator)))
        return self.vocabulary.decode(ids[begin:])

    def prompt(self) -> str:
        """The beginning of the validation text."""
        return self.vocabulary.decode(self._tokens["valid"][:PROMPT].tolist())


def check_run(config: RunConfig) -> None:
    """Raise where a text is missing or damaged, or the model cannot be built.

    Raises:
        ConfigError, FileNotFoundError
    """
    books, _ = _read(config), _read_elsewhere(config)
    size = _vocabulary(config, books["train"]).size
    _built(config, size, torch.Generator())


def steps_per_epoch(task: LanguageModeling) -> int:
    """Optimizer steps of an epoch."""
    drawn = task._config.dataset.options["epoch_windows"]
    return -(-(drawn or task.windows) // task._config.batch_size)


def sample(task: LanguageModeling, members: Sequence[nn.Module]) -> str:
    """What the members write after the beginning of the validation text; always the same."""
    length = task._config.task.options["sample"]
    if not length:
        return ""
    prompt, generator = task.prompt(), torch.Generator().manual_seed(0)
    return f"{prompt}|{task.sample(members, prompt, length, generator)}"


def _read(config: RunConfig) -> dict[str, list[str]]:
    folder = find_folder(config.dataset.folder, config.data_dir)
    options = config.dataset.options
    try:
        return {
            split: read_books(folder, split, options, options[f"{split}_size"])
            for split in ("train", "valid", "test")
        }
    except ValueError as error:
        raise ConfigError(f"dataset={config.dataset.name}: {error}") from None


def _vocabulary(config: RunConfig, train: list[str]) -> Vocabulary:
    try:
        return vocabulary(config.dataset.options, config.model.options, train)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _read_elsewhere(config: RunConfig) -> dict[str, str]:
    """The texts of `elsewhere`, each as long as the test text may be."""
    options = config.dataset.options
    found = {}
    for name in config.task.options["elsewhere"] or ():
        try:
            found[name] = read_elsewhere(name, config.data_dir, options, options["test_size"])
        except (ValueError, FileNotFoundError) as error:
            raise ConfigError(f"task.elsewhere: {name}: {error}") from None
    return found


def _built(config: RunConfig, size: int, generator: torch.Generator) -> nn.Module:
    try:
        return text.build(config.model.name, size, generator=generator, **config.model.options)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _unigram_probability(tokens: dict[str, Tensor], size: int) -> float:
    """exp(−loss) on valid of the frequencies of train, each token counted once more."""
    counts = torch.bincount(tokens["train"], minlength=size).double() + 1
    return float((counts / counts.sum()).log()[tokens["valid"]].mean().exp())
