"""Texts: language models, next-token prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import setting
from aswa.kinds.declaration import Kind, Metric, TaskDeclaration

SPLITS = ("train", "valid", "test")
VOCABULARIES = ("characters", "bytes", "bpe", "model")


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a dataset of conf/dataset has."""

    books: dict[str, Any] | None = setting(None, keys=SPLITS)  # files by split; None: train.txt, …
    # By split, the share of each book's characters where it begins and where it ends.
    parts: dict[str, Any] | None = setting(None, keys=SPLITS)
    # By split, of the uncompressed bytes of its books, one after another.
    sha256: dict[str, Any] | None = setting(None, keys=SPLITS)
    fold: bool = setting(True)  # to the alphabet of `aswa.data.text.alphabet`
    vocabulary: str = setting(choices=VOCABULARIES)
    vocabulary_size: int = setting(1024, least=256)  # of bpe
    train_size: int | None = setting(None, least=1)  # characters, as many of each book
    valid_size: int | None = setting(None, least=2)
    test_size: int | None = setting(None, least=2)
    epoch_windows: int | None = setting(None, least=1)  # drawn at random; None: one pass


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """What all models have."""

    context: int | None = setting(least=1)
    dropout: float = setting(0.0, least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class GPTOptions:
    """Of a decoder that is trained from its initial weights."""

    layers: int = setting(least=1)
    heads: int = setting(least=1)
    dim: int = setting(least=1)


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Of low-rank adapters in frozen linear layers."""

    r: int = setting(least=1)
    alpha: float = setting(above=0)
    targets: list[Any] = setting()


@dataclass(frozen=True, kw_only=True)
class AdaptedGPTOptions(Adapters):
    """Of adapters on a base that the project trained: known by its run_id and its checksum."""

    layers: int | None = setting(None, least=1)  # None: what the record of the base says
    heads: int | None = setting(None, least=1)
    dim: int | None = setting(None, least=1)
    base: str | None = setting(neutral=True)  # folder of its run
    base_method: str = setting()
    base_run_id: str | None = setting(None)
    base_sha256: str | None = setting(None)  # of the file of weights


@dataclass(frozen=True, kw_only=True)
class HuggingFaceOptions(Adapters):
    """Of a causal language model of transformers in a folder, known by the bytes of its files."""

    r: int | None = setting(least=1)  # type: ignore[assignment]  # None: all weights are trained
    path: str | None = setting(neutral=True)
    path_sha256: str | None = setting(None)


# Models whose options are completed from files: path of a function of a configuration, which
# returns the files whose bytes it named.
FILLED = {
    "gpt_lora": "aswa.data.text.base:fill_base",
    "hf_causal_lm": "aswa.data.text.hugging_face:fill_folder",
}


@dataclass(frozen=True, kw_only=True)
class LanguageModelingOptions:
    """Of `task=language_modeling`; all are of evaluation."""

    sample: int = setting(400, least=0, neutral=True)  # tokens of sample.txt; 0: none
    elsewhere: list[Any] | None = setting(
        None, added=True
    )  # datasets whose test texts are read as well
    elsewhere_sha256: dict[str, Any] | None = setting(None, added=True)
    questions: int = setting(0, least=0, added=True)  # of multiple choice, drawn from the test text
    question_file: str | None = setting(None, neutral=True)  # its bytes count, by `question_sha256`
    question_sha256: str | None = setting(None, added=True)


def of_prediction(start: str = "", family: str = "", part: str | None = None) -> list[Metric]:
    """Metrics of predicted probabilities."""
    return [
        Metric(f"{start}loss", "Loss", False, family or "loss", part),
        Metric(f"{start}accuracy", "Accuracy", True, family or "classification", part),
        Metric(f"{start}ece", "ECE", False, family or "calibration", part),
        Metric(f"{start}brier", "Brier", False, family or "calibration", part),
    ]


def metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Of the next token; `probability` is exp(−loss). Then of other texts, and of choices.

    Of other texts also the AUROC with which entropy and information of windows tell them from the
    test text.
    """
    found = [
        *of_prediction(),
        Metric("perplexity", "Perplexity", False, "likelihood"),
        Metric("bits_per_byte", "Bits per byte", False, "likelihood"),
        Metric("probability", "Probability of a token", True, "likelihood"),
    ]
    for name in options.get("elsewhere") or ():
        other = f"out of distribution: {name}"
        found += of_prediction(f"{name}_", other, name)
        found += [
            Metric(f"{name}_entropy", "OOD AUROC of entropy", True, other, name),
            Metric(f"{name}_information", "OOD AUROC of mutual information", True, other, name),
        ]
    if options.get("questions"):
        found += of_prediction("choice_", "multiple choice", "continuations")
    if options.get("question_file"):
        found += of_prediction("question_", "questions", "questions")
    return found


TEXT = Kind(
    name="text",
    words="texts",
    dataset=Text,
    model=LanguageModel,
    models={
        "gpt": GPTOptions,
        "gpt_lora": AdaptedGPTOptions,
        "hf_causal_lm": HuggingFaceOptions,
    },
    tasks={
        "language_modeling": TaskDeclaration(
            "aswa.tasks.language_modeling:LanguageModeling",
            metrics,
            options=LanguageModelingOptions,
            fill="aswa.data.text.elsewhere:fill",
            headline=("loss", "bits_per_byte"),
            check_run="aswa.tasks.language_modeling:check_run",
            steps="aswa.tasks.language_modeling:steps_per_epoch",
            sample="aswa.tasks.language_modeling:sample",
            assess="aswa.tasks.language_modeling:LanguageModeling.assess",
            adopt="aswa.tasks.language_modeling:LanguageModeling.adopt",
        ),
    },
    fetching="aswa.data.fetching.texts",
    fill="aswa.data.text.fill:fill",
)
