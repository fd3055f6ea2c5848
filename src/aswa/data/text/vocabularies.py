"""Vocabularies by their names in configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aswa.data.text.hugging_face import ModelTokens
from aswa.data.text.vocabulary import BytePairs, Bytes, Characters, Vocabulary

Options = Mapping[str, Any]

# Of the dataset's options, the model's, and the training texts.
VOCABULARIES: Mapping[str, Callable[[Options, Options, Sequence[str]], Vocabulary]] = {
    "characters": lambda dataset, model, texts: Characters(),
    "bytes": lambda dataset, model, texts: Bytes(),
    "bpe": lambda dataset, model, texts: BytePairs(texts, dataset["vocabulary_size"]),
    "model": lambda dataset, model, texts: ModelTokens(model.get("path")),
}


def vocabulary(dataset: Options, model: Options, texts: Sequence[str]) -> Vocabulary:
    """That of a run.

    Args:
        dataset, model: their options.
        texts: of the training split.

    Raises:
        ValueError: the vocabulary does not fit the options, or needs a package that is not
            installed.
    """
    return VOCABULARIES[dataset["vocabulary"]](dataset, model, texts)
