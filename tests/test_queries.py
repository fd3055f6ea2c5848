"""Logical queries: the algebra, exact answers against sets, drawing, notation, files, cache."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aswa.data.folders import EMBEDDED
from aswa.data.knowledge_graph import KnowledgeGraph, read_graph
from aswa.queries.algebra import (
    STRUCTURES,
    Expression,
    UnknownStructure,
    columns,
    e,
    most_needed,
    p,
    structure,
    without_negation,
)
from aswa.queries.betae import BadQueryFile, read_betae, write_betae
from aswa.queries.cache import cached_queries
from aswa.queries.generation import Queries, Sampler
from aswa.queries.nested import nested_form, read_query, write_query
from aswa.queries.statistics import describe
from aswa.queries.traversal import NONE, Edges, answers
from query_twin import edges_needed, sets

pytestmark = pytest.mark.numeric

# As the files of KGReasoning have them, from its README and dicee's documentation.
BETAE = {
    "1p": ("e", ("r",)),
    "2p": ("e", ("r", "r")),
    "3p": ("e", ("r", "r", "r")),
    "2i": (("e", ("r",)), ("e", ("r",))),
    "3i": (("e", ("r",)), ("e", ("r",)), ("e", ("r",))),
    "ip": ((("e", ("r",)), ("e", ("r",))), ("r",)),
    "pi": (("e", ("r", "r")), ("e", ("r",))),
    "2in": (("e", ("r",)), ("e", ("r", "n"))),
    "3in": (("e", ("r",)), ("e", ("r",)), ("e", ("r", "n"))),
    "inp": ((("e", ("r",)), ("e", ("r", "n"))), ("r",)),
    "pin": (("e", ("r", "r")), ("e", ("r", "n"))),
    "pni": (("e", ("r", "r", "n")), ("e", ("r",))),
    "2u": (("e", ("r",)), ("e", ("r",)), ("u",)),
    "up": ((("e", ("r",)), ("e", ("r",)), ("u",)), ("r",)),
}
# None of the fourteen: what one more line of the table could be.
FURTHER = {
    "nested negation": p(e) & ~(p(e) & ~p(p(e))),
    "negation in a union": p(p(e) | ~p(e)),
    "an entity itself": p(e) & ~e,
    "four ways": p(e) & p(e) & p(p(e) | p(e)),
}
ALL = {**STRUCTURES, **FURTHER}


def test_the_fourteen_have_the_forms_of_betae() -> None:
    assert {name: nested_form(shape) for name, shape in STRUCTURES.items()} == BETAE
    assert columns(STRUCTURES["pni"]) == "errer" and columns(STRUCTURES["inp"]) == "ererr"
    assert (p(e) & p(e)) & p(e) == p(e) & (p(e) & p(e)) == STRUCTURES["3i"]


def test_a_name_that_no_structure_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownStructure, match=r"'3un' is no query structure; did you mean"):
        structure("3un")


def test_what_is_left_without_negation() -> None:
    assert without_negation(STRUCTURES["3in"]) == STRUCTURES["2i"]
    assert without_negation(STRUCTURES["pni"]) == STRUCTURES["1p"]
    assert without_negation(STRUCTURES["inp"]) == STRUCTURES["2p"]
    assert without_negation(p(e) | ~p(e)) is None and without_negation(~p(e)) is None
    assert [most_needed(STRUCTURES[name]) for name in ("3p", "2u", "up", "3in", "pi")] == [
        3, 1, 2, 2, 3,
    ]  # fmt: skip


@st.composite
def graphs_and_queries(draw: st.DrawFn) -> tuple[list, list, Expression, list[int]]:
    """Known and held-out triples over four entities and two relations, a structure and a query."""
    every = list(itertools.product(range(4), range(2), range(4)))
    order = draw(st.permutations(every))  # dense, so that a query has answers
    known = order[: draw(st.integers(1, 12))]
    held_out = order[len(known) - 1 : len(known) + draw(st.integers(0, 12))]
    shape = ALL[draw(st.sampled_from(sorted(ALL)))]
    row = [draw(st.integers(0, 3 if letter == "e" else 1)) for letter in columns(shape)]
    return known, held_out, shape, row


@settings(max_examples=400)
@given(graphs_and_queries())
def test_exact_answers_are_those_of_sets(given_: tuple[list, list, Expression, list[int]]) -> None:
    """Easy, hard and how many held-out edges are needed, against Python's sets."""
    known, held_out, shape, row = given_
    both = [torch.tensor(each, dtype=torch.int64).view(-1, 3) for each in (known, held_out)]
    edges, before = Edges(*both, 4, 2), Edges(both[0], both[0][:0], 4, 2)
    queries = torch.tensor([row, row])
    needed, easy, hard = answers(shape, queries, edges, before)
    small, large = (sets(shape, row, triples, 4) for triples in (known, known + held_out))
    assert set(easy[1].nonzero().flatten().tolist()) == large & small
    assert set(hard[1].nonzero().flatten().tolist()) == large - small
    costs = edges_needed(shape, row, dict.fromkeys(held_out, 1) | dict.fromkeys(known, 0), 4)
    found = {i: n for i, n in enumerate(needed[1].tolist()) if n < NONE}
    assert found == costs


@pytest.fixture(scope="module")
def umls() -> KnowledgeGraph:
    return read_graph(EMBEDDED / "umls").with_reciprocals()


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_drawn_queries_are_what_they_promise(umls: KnowledgeGraph, split: str, name: str) -> None:
    """Distinct, with hard answers, not too many, a negation that counts; answers as by sets."""
    queries = Sampler(umls, split, seed=3, max_answers=60).draw(name, 40)
    assert len(queries) == 40
    n_easy, n_hard = queries.easy.counts(), queries.hard.counts()
    assert int(n_hard.min()) >= 1 and int((n_easy + n_hard).max()) <= 60
    known = umls.train if split == "valid" else torch.cat([umls.train, umls.valid])
    everything = torch.cat([known, getattr(umls, split)]).tolist()
    shape, n = STRUCTURES[name], len(umls.entities)
    positive = without_negation(shape)
    same = set()
    for i in range(0, 40, 4):
        row = queries.rows[i].tolist()
        small, large = (sets(shape, row, triples, n) for triples in (known.tolist(), everything))
        for found, expected in ((queries.easy, large & small), (queries.hard, large - small)):
            here = found.entities[found.starts[i] : found.starts[i + 1]]
            assert here.tolist() == sorted(expected)
        if positive != shape:
            kept = {"2in": [0, 1], "3in": [0, 1, 2, 3], "inp": [0, 1, 4], "pin": [0, 1, 2],
                    "pni": [3, 4]}[name]  # fmt: skip
            assert sets(positive, [row[c] for c in kept], everything, n) > large
    n_named = len(umls.relations) // 2
    for row in queries.rows.tolist():
        for a, b in {"2p": [(1, 2)], "3p": [(1, 2), (2, 3)]}.get(name, []):
            assert row[a] != (row[b] + n_named) % (2 * n_named), "straight back"
        form = write_query(name, row)
        same.add(_unordered(nested_form(shape), form))
    assert len(same) == 40


def _unordered(form: object, query: object) -> object:
    """A query whose members have no order."""
    if not isinstance(form, tuple):
        return query
    parts = tuple(_unordered(f, q) for f, q in zip(form, query, strict=True))  # type: ignore[call-overload]
    is_chain = len(form) == 2 and all(isinstance(part, str) for part in form[1])
    return parts if is_chain or form[0] in ("r", "n") else frozenset(parts)


def test_drawing_follows_the_seed_and_nothing_else(umls: KnowledgeGraph) -> None:
    """The same queries again, whatever was drawn before; others for another seed."""
    sampler = Sampler(umls, "test")
    sampler.draw("3i", 5)
    first, again = sampler.draw("pi", 30), Sampler(umls, "test").draw("pi", 30)
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(first.hard.entities, again.hard.entities)
    other = Sampler(umls, "test", seed=1).draw("pi", 30)
    assert not torch.equal(first.rows, other.rows)


def test_hard_queries_are_as_frequent_as_easy_ones_where_they_can_be(umls: KnowledgeGraph) -> None:
    """By the held-out edges that the hardest answer of a query needs; the statistics say it."""
    queries = Sampler(umls, "test").draw("3i", 90)
    hardest = torch.zeros(90, dtype=torch.int64).scatter_reduce_(
        0, queries.hard.query(), queries.needed, "amax"
    )
    assert torch.bincount(hardest).tolist() == [0, 30, 30, 30]
    assert describe([queries]).splitlines()[-1].split()[:2] == ["3i", "90"]


def test_few_queries_are_like_many(umls: KnowledgeGraph) -> None:
    """Those that are taken are no others for being taken first, by the ids of their anchors."""
    means = [Sampler(umls, "test").draw("2i", n).rows[:, 0].double().mean() for n in (300, 3000)]
    assert abs(float(means[0] - means[1])) < 6  # standard error 2


def test_a_graph_with_nothing_held_out_has_no_queries(small_graph: KnowledgeGraph) -> None:
    whole = torch.cat([small_graph.train, small_graph.valid, small_graph.test])
    fields = {"entities": small_graph.entities, "relations": small_graph.relations}
    graph = KnowledgeGraph(**fields, train=whole, valid=whole[:4], test=whole[:4])
    assert len(Sampler(graph, "test").draw("2p", 5)) == 0


def test_a_graph_gives_the_queries_that_it_has(small_graph: KnowledgeGraph) -> None:
    """All 1p queries of a small graph, and then drawing ends."""
    queries = Sampler(small_graph, "test").draw("1p", 1000)
    known = {tuple(t) for t in torch.cat([small_graph.train, small_graph.valid]).tolist()}
    expected = {(h, r) for h, r, t in small_graph.test.tolist() if (h, r, t) not in known}
    assert {tuple(row) for row in queries.rows.tolist()} == expected


NAMES = {"Asia": 0, "Mountains": 1}, {"located in": 0, "has": 1, "located in⁻¹": 2}


@pytest.mark.parametrize("name", STRUCTURES)
def test_notation_there_and_back(name: str) -> None:
    row = list(range(len(columns(STRUCTURES[name]))))
    names = {f"name {i}": i for i in row}
    nested = write_query(name, [f"name {i}" for i in row])
    assert read_query(name, nested, names, names) == row
    assert read_query(name, [f"name {i}" for i in row], names, names) == row


@pytest.mark.parametrize(
    ("name", "query", "complaint"),
    [
        ("9p", ("Asia", ("has",)), "'9p' is no query structure"),
        ("2p", ("Asia", ("has",)), r"part 2 of the query is \('has',\), which has not the form"),
        ("2p", "Asia", "which has not the form"),
        ("2i", (("Asia", ("has",)), "Asia"), "part 2 of the query is 'Asia'"),
        ("1p", ("Asya", ("has",)), r"no entity 'Asya'; did you mean 'Asia'\?"),
        ("1p", ("Asia", ("hat",)), r"no relation 'hat'; did you mean 'has'\?"),
        ("1p", (("Asia",), ("has",)), "where a name belongs"),
        ("1p", ({"Asia": 1}, ("has",)), "where a name belongs"),
        ("1p", (5, ("has",)), "no entity 5"),
        ("2p", None, "which has not the form"),
        ("2in", (("Asia", ("has",)), ("Asia", ("has", "has"))), "where 'n' belongs"),
        ("2u", (("Asia", ("has",)), ("Asia", ("has",)), ("i",)), "where 'u' belongs"),
    ],
)
def test_a_malformed_query_is_told_what_is_wrong(name: str, query: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_query(name, query, *NAMES)


def _equal(a: Queries, b: Queries) -> bool:
    pairs = [(a.rows, b.rows)]
    for part in ("starts", "entities"):
        pairs += [(getattr(a.easy, part), getattr(b.easy, part))]
        pairs += [(getattr(a.hard, part), getattr(b.hard, part))]
    return all(torch.equal(x, y) for x, y in pairs)


def test_betae_files_there_and_back(umls: KnowledgeGraph, tmp_path: Path) -> None:
    """Sorted by their ids, which is the one thing that files do not keep."""
    sampler, names = Sampler(umls, "valid"), ["2p", "up", "pni"]
    drawn = {name: sampler.draw(name, 20) for name in names}
    write_betae(tmp_path, umls, {"valid": drawn})
    read = read_betae(tmp_path, "valid", umls, names)
    for name in names:
        order = sorted(range(20), key=lambda i: drawn[name].rows[i].tolist())
        assert torch.equal(read[name].rows, drawn[name].rows[order])
        for kind in ("easy", "hard"):
            here, there = getattr(drawn[name], kind), getattr(read[name], kind)
            lists = [here.entities[here.starts[i] : here.starts[i + 1]] for i in order]
            assert torch.equal(there.entities, torch.cat(lists))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Files as BetaE has them, written by hand: two `2in` queries on UMLS."""
    content = {
        "id2ent": {0: "virus", 1: "bacterium", 2: "enzyme"},
        "id2rel": {0: "+causes", 1: "-causes"},
        "test-queries": {(("e", ("r",)), ("e", ("r", "n"))): {((0, (0,)), (1, (1, -2)))}},
        "test-easy-answers": {},
        "test-hard-answers": {((0, (0,)), (1, (1, -2))): {2}},
    }
    for stem, each in content.items():
        (tmp_path / f"{stem}.pkl").write_bytes(pickle.dumps(each))
    return tmp_path


def test_published_files_are_read_in_our_ids(umls: KnowledgeGraph, published: Path) -> None:
    (queries,) = read_betae(published, "test", umls, ["2in"]).values()
    virus, bacterium, enzyme = map(umls.entities.index, ("virus", "bacterium", "enzyme"))
    causes, back = map(umls.relations.index, ("causes", "causes⁻¹"))
    assert queries.rows.tolist() == [[virus, causes, bacterium, back]]
    assert queries.hard.entities.tolist() == [enzyme] and not len(queries.easy.entities)


class Malicious:
    def __reduce__(self) -> tuple:
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("stem", "content", "complaint"),
    [
        ("test-queries", None, "test-queries.pkl: not there"),
        ("test-queries", {}, "has no 2in queries"),
        ("test-queries", Malicious(), "holds a builtins.print, which is not loaded"),
        ("test-queries", [1], "holds a list, not a dictionary"),
        ("id2ent", {0: "virus", 1: "vires", 2: "enzyme"}, "entity 'vires' .* of another one"),
        ("id2ent", {0: "virus", 1: "bacterium"}, "no set of numbers that id2ent.pkl names"),
        ("test-hard-answers", {((0, (0,)), (1, (1, -2))): 5}, "no set of numbers"),
        ("id2rel", {0: "+causes"}, "no name has the number 1"),
        ("test-hard-answers", {}, "no hard answer of the 2in query"),
    ],
)
def test_a_bad_query_file_is_named(
    umls: KnowledgeGraph, published: Path, stem: str, content: object, complaint: str
) -> None:
    path = published / f"{stem}.pkl"
    path.unlink() if content is None else path.write_bytes(pickle.dumps(content))
    with pytest.raises(BadQueryFile, match=complaint):
        read_betae(published, "test", umls, ["2in"])
    path.write_bytes(b"half a pick")
    with pytest.raises(BadQueryFile, match=r"cannot be read .*; get the file again"):
        read_betae(published, "test", umls, ["2in"])


def test_queries_are_drawn_once(
    umls: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from the cache afterwards; drawn again, and the same, where the entry is damaged."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = cached_queries(umls, "test", ["2p"], 20)["2p"]
    (path,) = tmp_path.rglob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "draw", lambda *_: pytest.fail("drawn again"))
        assert _equal(cached_queries(umls, "test", ["2p"], 20)["2p"], first)
    path.write_bytes(path.read_bytes()[:-100])
    assert _equal(cached_queries(umls, "test", ["2p"], 20)["2p"], first)
    for others in ({"seed": 1}, {"max_answers": 50}):
        assert not _equal(cached_queries(umls, "test", ["2p"], 20, **others)["2p"], first)
    assert not list(tmp_path.rglob("*.tmp"))
