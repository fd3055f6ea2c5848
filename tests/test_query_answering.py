"""Answers of queries from a link predictor: against brute force, an oracle, and as a task."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aswa.config import ConfigError, load
from aswa.config.schema import Misfit
from aswa.data.folders import EMBEDDED
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex, read_graph
from aswa.models import kge
from aswa.models.kge.bilinear import BilinearModel
from aswa.queries.algebra import STRUCTURES, columns, e, p
from aswa.queries.answering import Answerer, ask
from aswa.queries.betae import write_betae
from aswa.queries.fuzzy_logic import LOGICS
from aswa.queries.generation import Sampler
from aswa.queries.nested import nested_form
from aswa.queries.ranking import QueryRanking
from aswa.registry import AGGREGATES
from aswa.results.store import read_record
from aswa.tasks.link_prediction import as_one
from aswa.tasks.ranking import FilteredRanking
from aswa.training import reuse
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory
from query_twin import TNORMS, sets, truth
from test_queries import ALL

pytestmark = pytest.mark.numeric

N_ENTITIES, N_RELATIONS = 5, 3
CPU, BUDGET = torch.device("cpu"), 64 * 2**20


def random_model(
    n_entities: int, n_relations: int, scale: float = 1.0, seed: int = 1
) -> BilinearModel:
    generator = torch.Generator().manual_seed(seed)
    options = {"init_scale": scale, "generator": generator}
    return kge.build("complex", n_entities, n_relations, 8, **options).eval()


def rounding(model: BilinearModel) -> float:
    """A bound on the rounding error of a score in fp32: terms · EPS · magnitude.

    A probability has a quarter of it (the slope of σ), so that of four hops has no more.
    """
    sizes = [float(table.detach().norm(dim=1).max()) for table in (model.entity, model.relation)]
    return (8 + 4) * torch.finfo(torch.float32).eps * sizes[0] ** 2 * sizes[1]


@st.composite
def structures_and_queries(draw: st.DrawFn) -> tuple[str, list[int]]:
    name = draw(st.sampled_from(sorted(ALL)))
    sizes = {"e": N_ENTITIES, "r": N_RELATIONS}
    return name, [draw(st.integers(0, sizes[c] - 1)) for c in columns(ALL[name])]


@pytest.mark.parametrize("tnorm", LOGICS)
@given(query=structures_and_queries(), scale=st.sampled_from([0.1, 0.7, 1.3]))
def test_exact_answers_are_those_of_brute_force(
    tnorm: str, query: tuple[str, list[int]], scale: float
) -> None:
    """Every structure and some that are not in the table, with k as large as the graph."""
    name, row = query
    model = random_model(N_ENTITIES, N_RELATIONS, scale)
    everything = torch.cartesian_prod(torch.arange(N_ENTITIES), torch.arange(N_RELATIONS))
    scores = model.score_all(*everything.unbind(1)).view(N_ENTITIES, N_RELATIONS, -1).tolist()
    expected = truth(ALL[name], row, lambda h, r, t: scores[h][r][t], N_ENTITIES, tnorm)
    answerer = Answerer(model, LOGICS[tnorm](), N_ENTITIES)
    found = answerer.probabilities(ALL[name], torch.tensor([row, row]))[1]
    error = 2 * rounding(model)  # up to five hops, and 1 − p
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=4 * error, atol=error)


def test_several_members_answer_by_their_mean_score() -> None:
    members = [random_model(N_ENTITIES, N_RELATIONS, seed=seed) for seed in (1, 2, 3)]
    everything = torch.cartesian_prod(torch.arange(N_ENTITIES), torch.arange(N_RELATIONS))
    each = torch.stack([member.score_all(*everything.unbind(1)) for member in members])
    scores = each.mean(0).view(N_ENTITIES, N_RELATIONS, -1).tolist()
    row = [0, 1, 2, 3, 1]
    expected = truth(STRUCTURES["pi"], row, lambda h, r, t: scores[h][r][t], N_ENTITIES, "product")
    answerer = Answerer(as_one(members), LOGICS["product"](), N_ENTITIES)
    (found,) = answerer.probabilities(STRUCTURES["pi"], torch.tensor([row]))
    error = max(map(rounding, members))
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=error)


@pytest.mark.parametrize("tnorm", LOGICS)
@given(a=st.floats(-20, 20), b=st.floats(-20, 20))
def test_operations_are_the_t_norm_and_its_duals(tnorm: str, a: float, b: float) -> None:
    """In fp64, and as exact near 0 and near 1 as the form that a logic holds them in allows."""
    logic, both = LOGICS[tnorm](), TNORMS[tnorm]
    x, y = (logic.truth(torch.tensor([score])) for score in (a, b))
    p, q = (float(torch.tensor(score).double().sigmoid()) for score in (a, b))
    close: Any = {"rel": 1e-4, "abs": 5e-7 if tnorm == "lukasiewicz" else 1e-12}
    for found, expected in (
        (logic.conjunction(x, y), both(p, q)),
        (logic.disjunction(x, y), 1 - both(1 - p, 1 - q)),
        (logic.negation(x), 1 - p),
        (logic.some(x.view(1, 1), logic.prepare(torch.tensor([[[b]]]))), both(p, q)),
    ):
        assert float(logic.probabilities(found)) == pytest.approx(expected, **close)
    logits = logic.logits(logic.truth(torch.tensor([a])))
    assert float(logits) == pytest.approx(a, rel=1e-5, abs=1e-5)
    ends = torch.tensor([logic.false, logic.true], dtype=logic.dtype)
    assert logic.probabilities(ends).tolist() == [0, 1]
    assert logic.probabilities(logic.negation(ends)).tolist() == [1, 0]


class Oracle(BilinearModel):
    """Scores a triple of its graph high, any other low."""

    def __init__(self, triples: Tensor, n_entities: int, n_relations: int, score: float) -> None:
        super().__init__(n_entities, n_relations, n_entities)
        known = torch.full((n_entities, n_relations, n_entities), -score)
        h, r, t = triples.unbind(1)
        known[h, r, t] = score
        self.known = known
        self.entity.data = torch.eye(n_entities)

    def queries(self, h: Tensor, r: Tensor) -> Tensor:
        return self.known[h, r]


@pytest.fixture(scope="module")
def umls() -> KnowledgeGraph:
    return read_graph(EMBEDDED / "umls").with_reciprocals()


@pytest.mark.parametrize("tnorm", LOGICS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_an_oracle_has_every_answer_first(umls: KnowledgeGraph, name: str, tnorm: str) -> None:
    """Exact symbolic answers and those of a link predictor that knows the graph are the same."""
    n, m = len(umls.entities), len(umls.relations)
    oracle = Oracle(torch.cat([umls.train, umls.valid, umls.test]), n, m, 18.0)
    queries = Sampler(umls, "test").draw(name, 50)
    metrics = QueryRanking(queries, n, CPU, BUDGET).metrics(Answerer(oracle, LOGICS[tnorm](), n))
    assert metrics == {"mrr": 1.0, "hits@1": 1.0, "hits@3": 1.0, "hits@10": 1.0}
    # And one that knows train and valid alone has not: the hard answers are missing.
    forgetful = Oracle(torch.cat([umls.train, umls.valid]), n, m, 18.0)
    fewer = QueryRanking(queries, n, CPU, BUDGET).metrics(Answerer(forgetful, LOGICS[tnorm](), n))
    assert fewer["mrr"] < 0.9


def test_a_query_counts_once_however_many_answers_it_has(umls: KnowledgeGraph) -> None:
    """Means over the hard answers of each query, then over the queries."""
    n, m = len(umls.entities), len(umls.relations)
    queries = Sampler(umls, "test").draw("2p", 20)
    ranking = QueryRanking(queries, n, CPU, BUDGET)
    answerer = Answerer(random_model(n, m), LOGICS["product"](), n)
    of_query = ranking.ranks(answerer).split(queries.hard.counts().tolist())
    assert len({len(ranks) for ranks in of_query}) > 2
    metrics = ranking.metrics(answerer)
    means = [float((1 / ranks).mean()) for ranks in of_query]
    assert metrics["mrr"] == pytest.approx(sum(means) / 20)
    hits = [float((ranks <= 10).double().mean()) for ranks in of_query]
    assert metrics["hits@10"] == pytest.approx(sum(hits) / 20)


@pytest.mark.parametrize("tnorm", LOGICS)
def test_one_hop_is_link_prediction(umls: KnowledgeGraph, tnorm: str) -> None:
    """The ranks of 1p queries are those of their triples, to the last one.

    Numbers in halves make every score a multiple of 1/8, exact in whatever order it is summed.
    """
    n, m = len(umls.entities), len(umls.relations)
    model = random_model(n, m, 0.7)
    for table in (model.entity, model.relation):
        table.data.mul_(2).round_().div_(2)
    queries = Sampler(umls, "test").draw("1p", 1000)
    row = queries.rows[queries.hard.query()]
    triples = torch.cat([row, queries.hard.entities.unsqueeze(1)], 1)
    known = TailIndex(torch.cat([umls.train, umls.valid, umls.test]), m)
    expected = FilteredRanking(triples, known, n).ranks(model.score_blocks)
    found = QueryRanking(queries, n, CPU, BUDGET).ranks(Answerer(model, LOGICS[tnorm](), n))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("tnorm", LOGICS)
@pytest.mark.parametrize("name", ["2p", "3p", "ip", "up", "pin", "pni"])
def test_a_beam_grows_into_the_exact_answers(umls: KnowledgeGraph, name: str, tnorm: str) -> None:
    """More candidates never lower the truth of a projection; all but the least likely entity give
    the exact truth, which is computed by relations instead of by queries.

    In `3p` a beam follows a beam: the second may choose others for a larger first.
    """
    n, m = len(umls.entities), len(umls.relations)
    model = random_model(n, m, 0.7)
    shape, rows = STRUCTURES[name], Sampler(umls, "test").draw(name, 40).rows
    exact = Answerer(model, LOGICS[tnorm](), n).probabilities(shape, rows)
    up = -1 if name == "pni" else 1  # where the projection is under a negation
    beams = [
        up * Answerer(model, LOGICS[tnorm](), k).probabilities(shape, rows)
        for k in (1, 4, 16, 64, n - 1)
    ]
    error = rounding(model)
    if name != "3p":
        for fewer, more in pairwise([*beams, up * exact]):
            assert (more >= fewer - error).all()
    gaps = [float((found - up * exact).abs().max()) for found in beams]
    assert gaps[0] > 0.01
    assert gaps[-1] < error


def test_what_the_last_candidate_cannot_reach_is_exact(umls: KnowledgeGraph) -> None:
    n, m = len(umls.entities), len(umls.relations)
    model = random_model(n, m, 0.7)
    rows = Sampler(umls, "test").draw("2p", 40).rows
    logic, k = LOGICS["product"](), 4
    first = Answerer(model, logic, n).probabilities(STRUCTURES["1p"], rows[:, :2])
    bound = first.topk(k, 1).values[:, -1:]
    exact = Answerer(model, logic, n).probabilities(STRUCTURES["2p"], rows)
    beam = Answerer(model, logic, k).probabilities(STRUCTURES["2p"], rows)
    certain = beam >= bound
    assert certain.any() and not certain.all()
    torch.testing.assert_close(beam[certain], exact[certain], rtol=0, atol=rounding(model))
    assert (exact - beam).max() > 0.01


def test_a_query_is_asked_by_names(umls: KnowledgeGraph) -> None:
    """Of one that knows the graph; and a wrong name is answered with the nearest."""
    n, m = len(umls.entities), len(umls.relations)
    everything = torch.cat([umls.train, umls.valid, umls.test])
    oracle = Oracle(everything, n, m, 18.0)
    query = (("virus", ("causes",)), ("bacterium", ("causes",)))
    caused = [sets(STRUCTURES["1p"], [umls.entities.index(x), umls.relations.index("causes")],
                   everything.tolist(), n) for x in ("virus", "bacterium")]  # fmt: skip
    expected = {umls.entities[i] for i in caused[0] & caused[1]}
    found = ask(oracle, umls, "2i", query, top=len(expected) + 1)
    assert expected and {name for name, p in found if p > 0.5} == expected
    with pytest.raises(ValueError, match=r"no entity 'viros'; did you mean 'virus'\?"):
        ask(oracle, umls, "1p", ("viros", ("causes",)))
    with pytest.raises(ValueError, match="tnorm='prod': there are product"):
        ask(oracle, umls, "1p", ("virus", ("causes",)), tnorm="prod")


def test_of_equally_true_entities_the_first_are_kept() -> None:
    answerer = Answerer(random_model(6, 2), LOGICS["minimum"](), 3)
    truth = torch.tensor([[1.0, 0, 1, 2, 1, 1], [0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0]])
    assert [sorted(row) for row in answerer._best(truth).tolist()] == [
        [0, 2, 3], [0, 1, 2], [0, 1, 2],
    ]  # fmt: skip


@pytest.mark.parametrize("k", [3, 12])
def test_answers_do_not_depend_on_the_company(small_graph: KnowledgeGraph, k: int) -> None:
    """A query has the same probabilities alone and among others."""
    n, m = len(small_graph.entities), len(small_graph.relations)
    model = random_model(n, m)
    answerer = Answerer(model, LOGICS["product"](), k)
    rows = torch.randint(6, (50, 5), generator=torch.Generator().manual_seed(0))
    together = answerer.probabilities(STRUCTURES["pi"], rows)
    alone = torch.cat([answerer.probabilities(STRUCTURES["pi"], row[None]) for row in rows])
    torch.testing.assert_close(together, alone, rtol=0, atol=rounding(model))


@pytest.mark.parametrize("k", [3, 12])
@pytest.mark.parametrize("tnorm", LOGICS)
def test_a_broken_entity_is_last_and_breaks_no_other(
    small_graph: KnowledgeGraph, tnorm: str, k: int
) -> None:
    """NaN weights: the entity is no answer and no step to one; the others are as without it."""
    n, m = len(small_graph.entities), len(small_graph.relations)
    model = random_model(n, m)
    rows = torch.tensor([[0, 1, 2, 3, 4], [5, 0, 3, 6, 2]])
    with torch.no_grad():
        model.entity[7] = torch.nan
        whole = Answerer(model, LOGICS[tnorm](), k)
        (logits,) = whole.logits(STRUCTURES["pi"], rows)
        assert logits[:, 7].isnan().all() and not logits[:, :7].isnan().any()
        model.entity[7] = 0  # in relation to everything with p = 1/2
        (other,) = Answerer(model, LOGICS[tnorm](), k).logits(STRUCTURES["pi"], rows)
    assert (logits[:, :7].sigmoid() <= other[:, :7].sigmoid() + rounding(model)).all()


def test_a_variable_stands_for_something() -> None:
    with pytest.raises(ValueError, match="k=0: a variable has to stand for at least one"):
        Answerer(random_model(3, 2), LOGICS["product"](), 0)


SMALL = ("dataset=umls", "model=distmult", "epochs=3", "lr=0.05", "model.dim=16", "device=cpu")


def small_run(folder: Path, *overrides: str) -> dict[str, Any]:
    return execute(load([*SMALL, f"results_dir={folder}", *overrides]), report=lambda _: None)


def test_a_run_answers_queries_with_every_method(tmp_path: Path) -> None:
    """The rows of link prediction, bit for bit, and for each method and split those of queries."""
    plain = small_run(tmp_path)
    record = small_run(tmp_path, "task=query_answering", "task.queries=30")
    assert [row for row in record["rows"] if "_" not in row["metric"]] == [
        row for row in plain["rows"] if "_" not in row["metric"]
    ]
    keys = {(row["optimizer"], row["split"]) for row in record["rows"]}
    for optimizer, split in keys:
        rows = {
            row["metric"]: row["value"]
            for row in record["rows"]
            if (row["optimizer"], row["split"]) == (optimizer, split)
        }
        if split == "train":
            assert set(rows) == {"loss"}
            continue
        for metric in ("mrr", "hits@1", "hits@3", "hits@10"):
            values = {name: rows[f"{metric}_{name}"] for name in STRUCTURES}
            assert all(0 <= value <= 1 for value in values.values())
            negated = [values[name] for name in ("2in", "3in", "inp", "pin", "pni")]
            others = [value for name, value in values.items() if "n" not in name]
            assert rows[f"{metric}_negation"] == pytest.approx(sum(negated) / 5)
            assert rows[f"{metric}_epfo"] == pytest.approx(sum(others) / 9)
    alone = small_run(tmp_path, "task=query_answering", "task.queries=30", "optimizer=aswa")
    assert alone["rows"] == [row for row in record["rows"] if row["optimizer"] == "aswa"]


def test_weights_that_a_run_kept_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of a run that trains; damaged weights count as none."""
    asked = ("task=query_answering", "task.queries=30")
    trained = small_run(tmp_path / "a", *asked)
    kept = small_run(tmp_path / "b", "save_weights=true")
    with monkeypatch.context() as patch:
        patch.setattr(Trajectory, "advance", lambda _: pytest.fail("trained again"))
        again = small_run(tmp_path / "b", *asked)
    assert again["rows"] == trained["rows"] and again["run_id"] == trained["run_id"]
    assert again["weights_of"]["run_id"] == kept["run_id"]
    assert again["decisions"] == trained["decisions"]
    paths = tmp_path.glob(f"*/runs/*/*/{again['run_id']}/history.json")
    histories = [read_record(path) for path in paths]
    assert len(histories) == 2 and histories[0] == histories[1]
    small_run(tmp_path / "b", *asked, "task.k=5", "save_weights=true")  # has them then, too
    assert len({path.read_bytes() for path in tmp_path.glob("b/**/weights/ema.pt")}) == 1
    assert len(list(tmp_path.glob("b/**/weights/ema.pt"))) == 2
    with monkeypatch.context() as patch:
        patch.setattr(reuse, "versions", lambda: {"torch": "another"})
        other = small_run(tmp_path / "b", *asked, "task.tnorm=lukasiewicz")
        assert "weights_of" not in other
    for path in tmp_path.glob("b/runs/*/*/*/weights/swa.pt"):
        path.write_bytes(path.read_bytes()[:500])
    other = small_run(tmp_path / "b", *asked, "task.tnorm=minimum")
    assert "weights_of" not in other and len(other["rows"]) == len(again["rows"])


def test_a_population_keeps_the_rows_of_its_members(tmp_path: Path) -> None:
    """Its members' weights are not kept, so it is trained for another question."""
    said = ("population=papa", "population.members=2", "optimizer=sgd")
    small_run(tmp_path, *said, "save_weights=true")
    record = small_run(tmp_path, *said, "task=query_answering", "task.queries=30")
    assert {row["optimizer"] for row in record["rows"]} == {"sgd", *AGGREGATES}


def test_a_fifteenth_structure_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umls: KnowledgeGraph
) -> None:
    """It is drawn, written, read, answered and in the results."""
    monkeypatch.setitem(STRUCTURES, "ppu", p(p(e)) | p(e))
    config = load([*SMALL, "task=query_answering"])
    assert config.task.options["structures"][-1] == "ppu"
    assert nested_form(STRUCTURES["ppu"]) == (("e", ("r", "r")), ("e", ("r",)), ("u",))
    record = small_run(
        tmp_path, "task=query_answering", "task.queries=20", "task.structures=[ppu,1p]"
    )
    names = {row["metric"] for row in record["rows"] if row["metric"].startswith("mrr_")}
    assert names == {"mrr_head", "mrr_tail", "mrr_1p", "mrr_ppu", "mrr_epfo"}


def test_the_usual_task_is_the_same_run_named_or_not() -> None:
    plain, named = load(SMALL), load([*SMALL, "task=link_prediction"])
    assert plain.run_id == named.run_id and plain.resolved == named.resolved
    other = load([*SMALL, "task=query_answering"])
    assert other.run_id != plain.run_id and "query_answering" in other.title


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["task=query_answring"], "did you mean 'query_answering'"),
        (["task=query_answering", "task.k=0"], r"task\.k=0: "),
        (["task=query_answering", "task.tnorm=prod"], "did you mean 'product'"),
        (["task=query_answering", "task.structures=[2p,9p]"], "'9p' is no query structure"),
        (["task=query_answering", "task.structures=[2p,2p]"], "2p is there twice"),
        (["task=query_answering", "task.structures=[]"], r"task\.structures=\[\]: "),
        (["task=query_answering", "task.structures=2p"], r"task\.structures=2p: "),
        (["task=query_answering", "task.queries=0"], r"task\.queries=0: "),
        (["task=query_answering", "+task.beam=3"], r"task\.beam: no such name"),
        (["task=query_answering", "task.folder=nowhere"], "task.folder=nowhere: no query files"),
    ],
)
def test_a_wrong_word_is_answered_at_once(overrides: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load([*SMALL, *overrides])


def test_images_have_no_queries() -> None:
    with pytest.raises(Misfit, match="tasks that fit it: image_classification"):
        load(["dataset=cifar10", "model=vgg16", "task=query_answering", "lr=0.1"])


def test_files_are_read_and_known_by_their_bytes(tmp_path: Path, umls: KnowledgeGraph) -> None:
    """A run on written queries has the rows of the run that drew them; the folder may move.

    Files sort queries. A score at another place of a matrix product may round otherwise, and then a
    near tie breaks: one rank of hundreds.
    """
    names = ["2p", "2u"]
    drawn = {
        split: {name: Sampler(umls, split).draw(name, 25) for name in names}
        for split in ("valid", "test")
    }
    chosen = ("task=query_answering", "task.structures=[2p,2u]", "optimizer=sgd")
    for folder in ("a", "b"):
        write_betae(tmp_path / folder, umls, drawn)
    runs = [load([*SMALL, *chosen, f"task.folder={tmp_path / each}"]) for each in ("a", "b")]
    assert runs[0].run_id == runs[1].run_id
    read = small_run(tmp_path, *chosen, f"task.folder={tmp_path / 'a'}")
    made = small_run(tmp_path, *chosen, "task.queries=25")
    for one, other in zip(read["rows"], made["rows"], strict=True):
        assert one["value"] == pytest.approx(other["value"], abs=0.01)
    (tmp_path / "b" / "test-queries.pkl").write_bytes(b"changed")
    assert load([*SMALL, *chosen, f"task.folder={tmp_path / 'b'}"]).run_id != runs[0].run_id
