"""Adapters on a GPT that the project trained."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import torch

from aswa.models.text.gpt import GPT
from aswa.models.text.lora import Adapted


def build(
    vocabulary: int,
    base: str,
    base_method: str,
    base_sha256: str | None,
    layers: int,
    heads: int,
    dim: int,
    context: int,
    targets: Sequence[str],
    r: int,
    alpha: float,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    **of_record: object,
) -> Adapted:
    """The base with fresh adapters, whose product is zero.

    Args:
        base: folder of a finished run with weights.
        base_method: whose weights.
        base_sha256: of the file of weights.
        of_record: what names the base in records.

    Raises:
        ValueError: the weights are not there, or others, or of another size; says what to do.
    """
    path = Path(base, "weights", f"{base_method}.pt")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"model.base={base}: no {path.relative_to(base)} in it; train the base with "
            "save_weights=true, and name the folder of its run"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if base_sha256 not in (None, found):
        raise ValueError(f"{path}: sha256 {found}, expected model.base_sha256={base_sha256}")
    model = GPT(vocabulary, layers, heads, dim, context)
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path}: not weights of this model and vocabulary: {reason}") from None
    return Adapted(model, targets, r, alpha, dropout, generator)
