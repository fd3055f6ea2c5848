"""Files of triples: the ways to write one, and the faults that are named."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aswa.data import triples_file
from aswa.data.knowledge_graph import read_graph
from written_graph import TRIPLES, Triple, names_of, text, write, write_graph

WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "crlf": (".txt", lambda content: content.replace(b"\n", b"\r\n")),
    "bom": (".txt", lambda content: b"\xef\xbb\xbf" + content),
    "no_last_newline": (".txt", lambda content: content.rstrip(b"\n")),
    "empty_last_lines": (".txt", lambda content: content + b"\n\r\n"),
    "gz": (".txt.gz", gzip.compress),
    "xz": (".txt.xz", lzma.compress),
    "crlf_bom_xz": (
        ".txt.xz",
        lambda content: lzma.compress(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_may_be_written_in_several_ways(tmp_path: Path, way: str) -> None:
    """Line ends, byte-order mark and compression do not change the graph."""
    ending, change = WAYS[way]
    for split, triples in TRIPLES.items():
        write(tmp_path, split, change(text(triples)), ending)
    graph = read_graph(tmp_path)
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples


def test_line_breaks_of_other_scripts_are_part_of_a_name(tmp_path: Path) -> None:
    """Only a newline ends a line: U+2028, U+0085 and a form feed occur in names of real graphs."""
    odd = [("a\u2028b", "r\x85s", "c\x0cd"), ("a", "in", "b"), ("a", "borders on", "b")]
    write_graph(tmp_path)
    write(tmp_path, "train", text(odd))
    assert names_of(read_graph(tmp_path), "train") == odd


FAULTS: dict[str, tuple[str, bytes, str]] = {
    "two_fields": (".txt", b"a\tr\tb\na\tb\n", "train.txt, line 2:"),
    "four_fields": (".txt", b"a\tr\tb\tc\n", "train.txt, line 1:"),
    "spaces_for_tabs": (".txt", b"a\tr\tb\n\na r b\n", "train.txt, line 3:"),
    "an_empty_name": (".txt", b"a\tr\tb\r\na\t\tb\r\n", "train.txt, line 2:"),
    "empty": (".txt", b"", "train.txt:"),
    "blank": (".txt", b"\n \n", "train.txt:"),
    "tabs_alone": (".txt", b"a\tr\tb\n\t\t\n", "train.txt, line 2:"),
    "not_utf8_after_a_mark": (
        ".txt",
        b"\xef\xbb\xbfa\tr\tb\n\xff\tr\tb\n",
        "train.txt: .*line 2",
    ),
    "not_utf8": (".txt", b"a\tr\t\xff\n", "train.txt: .*line 1"),
    "truncated_xz": (".txt.xz", lzma.compress(b"a\tr\tb\n" * 99)[:-9], "train.txt.xz:"),
    "garbage_xz": (".txt.xz", b"a\tr\tb\n", "train.txt.xz:"),
    "truncated_gz": (".txt.gz", gzip.compress(b"a\tr\tb\n" * 99)[:-9], "train.txt.gz:"),
    "garbage_gz": (".txt.gz", b"a\tr\tb\n", "train.txt.gz:"),
    "damaged_gz": (
        ".txt.gz",
        gzip.compress(b"a\tr\tb\n" * 99)[:10] + b"\xff" * 30,
        "train.txt.gz:",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_the_line(tmp_path: Path, fault: str) -> None:
    """And with what is wrong there."""
    ending, content, message = FAULTS[fault]
    write_graph(tmp_path)
    (tmp_path / "train.txt").unlink()
    write(tmp_path, "train", content, ending)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/") + message):
        read_graph(tmp_path)


def test_a_missing_split_is_named_with_what_was_tried(tmp_path: Path) -> None:
    write_graph(tmp_path)
    (tmp_path / "valid.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"valid\.txt\.xz"):
        read_graph(tmp_path)


names = st.text(
    st.characters(exclude_characters="\t\n\r\ufeff", codec="utf-8"), min_size=1, max_size=3
)


@given(
    st.lists(st.tuples(names, names, names), min_size=1, max_size=20),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n\n"]),
    st.booleans(),
)
def test_the_fast_parser_is_the_slow_one(
    triples: list[Triple], end: str, last: str, mark: bool
) -> None:
    """Quotes, NULs, other scripts and whatever else may be in a name."""
    lines = ["\t".join(triple) for triple in triples]
    content = b"\xef\xbb\xbf" * mark + (end.join(lines) + last).encode()
    fast = triples_file._parse_plain(content)
    slow = triples_file._parse_lines(content, Path("train.txt"))
    assert slow.to_pylist() == [
        dict(zip(("head", "relation", "tail"), t, strict=True)) for t in triples
    ]
    assert fast is not None
    assert fast.to_pylist() == slow.to_pylist()
