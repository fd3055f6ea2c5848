"""Two small patches for running dicee in a measurement; imported before dicee does any work.

`without_network`: dicee asks tiktoken for the GPT-2 vocabulary when it loads a graph, a download,
though nothing of it is used without byte-pair encoding. `pickles_once`: dicee rewrites three
vocabulary pickles at every evaluation; after this patch an evaluator writes them the first time
only. Nothing else of dicee is changed.
"""

from __future__ import annotations

from typing import Any


class _NoEncoding:
    """Stands for the GPT-2 encoding. Never consulted as long as byte-pair encoding is off."""

    n_vocab = 50257

    def encode(self, text: str) -> list[int]:
        return [0] * max(1, len(text))


def without_network() -> None:
    """Replace `tiktoken.get_encoding` by one that needs no download."""
    import tiktoken

    tiktoken.get_encoding = lambda name: _NoEncoding()


def pickles_once() -> None:
    """Let dicee's evaluator prepare and pickle the vocabularies once for each graph."""
    from dicee.evaluator import Evaluator

    prepare = Evaluator.vocab_preparation

    def prepare_first_time_only(self: Any, dataset: Any) -> None:
        if getattr(self, "_prepared_for", None) is not dataset:
            prepare(self, dataset)
            self._prepared_for = dataset

    Evaluator.vocab_preparation = prepare_first_time_only
