"""A small graph and how it is written to files."""

from __future__ import annotations

from pathlib import Path

from aswa.data.knowledge_graph import KnowledgeGraph

Triple = tuple[str, str, str]
TRIPLES: dict[str, list[Triple]] = {
    "train": [
        ("new york", "in", "usa"),
        ("köln", "in", "d"),
        ("new york", "in", "usa"),
        ("nl", "borders on", "d"),
    ],
    "valid": [("d", "borders on", "nl")],
    "test": [("only here", "in", "d")],
}


def write(folder: Path, split: str, content: bytes, ending: str = ".txt") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}{ending}").write_bytes(content)


def text(triples: list[Triple]) -> bytes:
    return "".join("\t".join(triple) + "\n" for triple in triples).encode()


def write_graph(folder: Path) -> None:
    for split, triples in TRIPLES.items():
        write(folder, split, text(triples))


def names_of(graph: KnowledgeGraph, split: str) -> list[Triple]:
    return [
        (graph.entities[h], graph.relations[r], graph.entities[t])
        for h, r, t in getattr(graph, split).tolist()
    ]
