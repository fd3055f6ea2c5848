"""Pages of docs/ with blocks that scripts fill: `<!-- NAME:begin -->` … `<!-- NAME:end -->`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def fill(page: str | Path, block: str, text: str) -> None:
    """Replace the text between the marks of `block` in a page of the repository.

    Raises:
        ValueError: the page has no such marks.
    """
    path = ROOT / page
    marks = rf"(<!-- {block}:begin -->\n).*?(<!-- {block}:end -->)"
    before = path.read_text("utf-8")
    filled, n = re.subn(marks, lambda m: f"{m[1]}{text}\n{m[2]}", before, flags=re.DOTALL)
    if n != 1:
        raise ValueError(f"{page} has {n} places for the block {block!r}, not one")
    path.write_text(filled, "utf-8")
