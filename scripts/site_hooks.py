"""Hooks of mkdocs: pages and files that lie outside docs/ become part of the site.

README.md is the front page. A link to another file of the repository leads to a copy of it; a link
to a folder is text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
FRONT, DOCS = "README.md", "docs/"
LINK = re.compile(r"(!?\[(?:[^][]|\[[^][]*\])*\])\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the front page, the changes, the notebooks, and every file that a page links to."""
    files.append(_generated(config, "index.md", FRONT))
    files.append(_generated(config, "CHANGELOG.md", "CHANGELOG.md"))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        place = notebook.relative_to(ROOT).as_posix()
        files.append(_generated(config, place, place))
    pages = [FRONT, *(f"{DOCS}{file.src_uri}" for file in files.documentation_pages())]
    for page in pages:
        if not (ROOT / page).is_file():
            continue
        for found in LINK.finditer((ROOT / page).read_text()):
            place, _ = _target(page, found[2])
            inside = place is None or place.startswith(DOCS) or place == FRONT
            if not inside and (ROOT / place).is_file() and not files.get_file_from_path(place):
                files.append(_generated(config, place, place))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Links as the site has them."""
    uri = page.file.src_uri
    here = FRONT if uri == "index.md" else uri if (ROOT / uri).is_file() else f"{DOCS}{uri}"

    def rewritten(found: re.Match[str]) -> str:
        place, anchor = _target(here, found[2])
        if place is None:
            return found[0]
        there = "index.md" if place == FRONT else place.removeprefix(DOCS)
        if files.get_file_from_path(there) is None:
            return found[1].strip("![]")
        return f"{found[1]}({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{anchor})"

    return LINK.sub(rewritten, markdown)


def _target(page: str, link: str) -> tuple[str | None, str]:
    """Place of a link in the repository, and its anchor; None for an address or an anchor alone."""
    if link.startswith("#") or re.match(r"\w+:", link):
        return None, ""
    path, _, anchor = link.partition("#")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    return place, f"#{anchor}" if anchor else ""


def _generated(config: Any, uri: str, place: str) -> File:
    return File.generated(config, uri, abs_src_path=str(ROOT / place))
