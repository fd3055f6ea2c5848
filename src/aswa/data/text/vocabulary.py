"""Vocabularies: from a text to numbers and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aswa.data.text.alphabet import SYMBOLS, UNKNOWN

Ids = NDArray[np.int64]


class Vocabulary(Protocol):
    """Tokens of a text. `size` is the number of different ones."""

    size: int

    def encode(self, text: str) -> Ids:
        """The tokens of `text`, int64 [n]."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens."""
        ...

    def n_bytes(self, ids: Ids) -> int:
        """UTF-8 bytes of the text of `ids`; the unknown symbol counts as one."""
        ...


class Characters:
    """The symbols of `aswa.data.text.alphabet`; for folded texts."""

    def __init__(self) -> None:
        self.size = len(SYMBOLS)
        self._ids = np.full(128, self.size - 1)
        self._ids[[ord(symbol) for symbol in SYMBOLS[:-1]]] = np.arange(self.size - 1)

    def encode(self, text: str) -> Ids:
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        return self._ids[np.minimum(codes, 127)].astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(SYMBOLS[int(each)] for each in ids)

    def n_bytes(self, ids: Ids) -> int:
        return len(ids)


class Bytes:
    """The bytes of UTF-8."""

    size = 256

    def encode(self, text: str) -> Ids:
        plain = text.replace(UNKNOWN, "\0").encode()
        return np.frombuffer(plain, np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(int(each) for each in ids).decode(errors="replace")

    def n_bytes(self, ids: Ids) -> int:
        return len(ids)


class BytePairs:
    """Byte pairs (Sennrich et al. 2016) learned from the training texts by the library tokenizers.

    Args:
        texts: of the training split.
        size: tokens; at least the 256 bytes.
    """

    def __init__(self, texts: Sequence[str], size: int) -> None:
        try:
            import tokenizers
        except ImportError:
            raise ValueError(
                "dataset.vocabulary=bpe: tokenizers is not installed; pip install 'aswa[text]'"
            ) from None
        self._model = tokenizers.Tokenizer(tokenizers.models.BPE())
        self._model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._model.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._model.train_from_iterator([_one_byte(text) for text in texts], trainer)
        self.size = self._model.get_vocab_size()

    def encode(self, text: str) -> Ids:
        return np.array(self._model.encode(_one_byte(text)).ids, np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._model.decode([int(each) for each in ids]))

    def n_bytes(self, ids: Ids) -> int:
        # A token of byte level is written with one character a byte.
        return sum(len(str(self._model.id_to_token(int(each)))) for each in ids)


def _one_byte(text: str) -> str:
    return text.replace(UNKNOWN, "\0")
