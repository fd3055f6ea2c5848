"""Random numbers that follow from a text."""

from __future__ import annotations

import hashlib

import torch


def seeded(text: str, *more: bytes) -> torch.Generator:
    """A generator on the CPU whose seed is the beginning of sha256 over `text` and `more`."""
    digest = hashlib.sha256(text.encode())
    for part in more:
        digest.update(part)
    return torch.Generator().manual_seed(int.from_bytes(digest.digest()[:8]) >> 1)
