"""Causal language models of the library transformers, from a folder on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aswa.models.text.lora import Adapted


class CausalLM(nn.Module):
    """Tokens [B, T] → logits [B, T, rows of the head] of a model of transformers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=tokens, use_cache=False).logits
        return logits


def build(
    vocabulary: int,
    path: str,
    context: int,
    r: int | None,
    alpha: float,
    targets: Sequence[str],
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    **of_record: object,
) -> nn.Module:
    """The model of a folder in fp32, with adapters, or with r=None trained whole.

    Nothing is downloaded, weights are read from safetensors alone, and no code of the folder runs.

    Args:
        vocabulary: tokens of its tokenizer.
        path: folder with config.json and *.safetensors.
        r, alpha, targets, dropout: of the adapters; see `aswa.models.text.lora`.
        of_record: what names the folder in records.

    Raises:
        ValueError: transformers is not installed, or cannot build the model; says why.
    """
    if not any(Path(path).glob("*.safetensors")):
        raise ValueError(f"model.path={path}: no *.safetensors in it; other weights are not read")
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise ValueError(
            "model=hf_causal_lm: transformers is not installed; pip install 'aswa[llm]'"
        ) from None
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"model.path={path}: {str(error).splitlines()[0]}") from None
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary > rows:
        raise ValueError(
            f"model.path={path}: the tokenizer has {vocabulary:,} tokens, the model {rows:,}"
        )
    whole = CausalLM(model)
    return whole if r is None else Adapted(whole, targets, r, alpha, dropout, generator)
