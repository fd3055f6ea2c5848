"""Knowledge graphs as ids, and their index of tails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aswa.data.knowledge_graph import TailIndex, read_graph
from written_graph import TRIPLES, names_of, write, write_graph


def test_names_and_ids(tmp_path: Path) -> None:
    """Ids are sorted names over all splits; order and repetition of triples are kept."""
    write_graph(tmp_path)
    graph = read_graph(tmp_path)
    assert graph.entities == ("d", "köln", "new york", "nl", "only here", "usa")
    assert graph.relations == ("borders on", "in")
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples


def test_a_relation_that_nothing_trains_is_named(tmp_path: Path) -> None:
    """With the file and the line of its first use; its triples stay in."""
    write_graph(tmp_path)
    write(tmp_path, "test", b"d\tin\td\n\nd\tnever seen\td\n")
    write(tmp_path, "valid", b"d\tin\td\n")
    with pytest.warns(UserWarning, match=r"test\.txt, line 3: relation 'never seen'.*not.*train"):
        graph = read_graph(tmp_path)
    assert names_of(graph, "test") == [("d", "in", "d"), ("d", "never seen", "d")]


def test_reciprocals(tmp_path: Path) -> None:
    """Beside every (h, r, t) of every split stands (t, r⁻¹, h), in the second half."""
    write_graph(tmp_path)
    plain = read_graph(tmp_path)
    graph = plain.with_reciprocals()
    assert graph.entities == plain.entities
    assert graph.relations == ("borders on", "in", "borders on⁻¹", "in⁻¹")
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples + [(t, f"{r}⁻¹", h) for h, r, t in triples]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=30
    ),
    st.data(),
)
def test_tail_index_is_a_dict_of_sets(triples: list[tuple[int, int, int]], data: st.DataObject):
    """Pairs in order, each once, with its tails; any pairs can be looked up, others are refused."""
    expected: dict[tuple[int, int], set[int]] = {}
    for h, r, t in triples:
        expected.setdefault((h, r), set()).add(t)
    index = TailIndex(torch.tensor(triples), n_relations=3).to(torch.device("cpu"))
    pairs = list(zip(index.h.tolist(), index.r.tolist(), strict=True))
    assert pairs == sorted(expected)
    assert len(index) == len(expected)

    asked = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=8))
    row, tails = index.rows(index.find(*torch.tensor(asked).unbind(1)))
    found = [(i, t) for i, pair in enumerate(asked) for t in sorted(expected[pair])]
    assert list(zip(row.tolist(), tails.tolist(), strict=True)) == found

    absent = {(h, r) for h in range(6) for r in range(3)} - expected.keys()
    h, r = data.draw(st.sampled_from(sorted(absent)))
    with pytest.raises(KeyError):
        index.find(torch.tensor([pairs[0][0], h]), torch.tensor([pairs[0][1], r]))
