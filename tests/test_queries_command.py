"""`aswa-queries`: what it prints, what it writes, what it says of a wrong word."""

from __future__ import annotations

from pathlib import Path

import pytest

from aswa.data.folders import EMBEDDED
from aswa.data.knowledge_graph import read_graph
from aswa.queries.betae import read_betae
from aswa.queries.command import main
from aswa.queries.generation import Sampler


def test_it_describes_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The queries that a run would draw, in files that a run can read."""
    words = ["umls", "--structures", "2p", "3in", "--queries", "20", "--out", str(tmp_path)]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.split()[:1] in (["2p"], ["3in"])] == [
        ["2p", "20"], ["3in", "20"],
    ]  # fmt: skip
    graph = read_graph(EMBEDDED / "umls").with_reciprocals()
    read = read_betae(tmp_path, "test", graph, ["2p", "3in"])
    for name, queries in read.items():
        drawn = Sampler(graph, "test").draw(name, 20)
        assert queries.rows.tolist() == sorted(drawn.rows.tolist())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["umsl"], "umsl: no such graph; did you mean 'umls'?"),
        (["cifar10"], "cifar10: no such graph"),
        (["umls", "--structures", "3un"], "'3un' is no query structure; did you mean"),
        (["umls", "--queries", "0"], "--queries: must be at least 1"),
        (["umls", "--max-answers", "0"], "--max-answers: must be at least 1"),
        (["wn18rr"], "get it with `aswa-fetch wn18rr`"),
    ],
)
@pytest.mark.usefixtures("nothing_of_this_machine")
def test_a_wrong_word_is_answered(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert complaint in capsys.readouterr().err
