"""Link predictors against slow definitions written out here, and what all of them promise."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from aswa.config import ConfigError, load
from aswa.config.members import template
from aswa.models import kge
from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.ensemble import Ensemble
from aswa.registry import MODELS
from aswa.tasks.link_prediction import LinkPrediction

pytestmark = pytest.mark.numeric

NAMES = [name for name in MODELS if template("model", name)["kind"] == "knowledge_graph"]
DIM = 24  # splits into 1, 2, 3, 4, 6, 8 and 12 parts
SIGNATURES = [(p, q) for p in range(3) for q in range(3)] + [(0, 5)]


def build(name: str, dim: int = DIM, seed: int = 0, **options: Any) -> BilinearModel:
    """A model over 7 entities and 4 relations, in float64, with numbers of size 1."""
    generator = torch.Generator().manual_seed(seed)
    model = kge.build(name, 7, 4, dim, **{"init_scale": 1.0, "generator": generator, **options})
    return model.double()


# --- Definitions: the score of three rows, number by number ---


def distmult_score(h: Tensor, r: Tensor, t: Tensor) -> float:
    """Σ h_i r_i t_i"""
    return sum(float(h[i]) * float(r[i]) * float(t[i]) for i in range(len(h)))


def complex_score(h: Tensor, r: Tensor, t: Tensor) -> float:
    """Re Σ h_i r_i conj(t_i), rows being [real | imaginary]"""
    h, r, t = (torch.complex(*row.chunk(2)) for row in (h, r, t))
    return float((h * r * t.conj()).sum().real)


# i² = j² = k² = ijk = −1, spelled out: (a, b) → (sign, ab).
QUATERNIONS = {
    **{("1", x): (1, x) for x in "1ijk"},
    **{(x, "1"): (1, x) for x in "ijk"},
    **{(x, x): (-1, "1") for x in "ijk"},
    **{("i", "j"): (1, "k"), ("j", "k"): (1, "i"), ("k", "i"): (1, "j")},
    **{("j", "i"): (-1, "k"), ("k", "j"): (-1, "i"), ("i", "k"): (-1, "j")},
}


def qmult_score(h: Tensor, r: Tensor, t: Tensor) -> float:
    """Σ over quaternions of (h ⊗ r) · t, rows being [1 | i | j | k]"""
    h, r, t = (dict(zip("1ijk", row.chunk(4), strict=True)) for row in (h, r, t))
    total = 0.0
    for (a, b), (sign, c) in QUATERNIONS.items():
        total += sign * sum(float(h[a][n] * r[b][n] * t[c][n]) for n in range(len(h[a])))
    return total


def blade_product(a: tuple[int, ...], b: tuple[int, ...], p: int) -> tuple[int, tuple[int, ...]]:
    """e_a e_b = sign · e_c in an algebra whose first p bases square to +1, the others to −1."""
    sign, product = 1, list(a)
    for base in b:
        behind = sum(other > base for other in product)
        sign *= (-1) ** behind  # e_i e_j = −e_j e_i, to bring it to its place
        if base in product:
            sign *= 1 if base <= p else -1
            product.remove(base)
        else:
            product.insert(len(product) - behind, base)
    return sign, tuple(product)


def keci_score(h: Tensor, r: Tensor, t: Tensor, p: int, q: int) -> float:
    """(h ∘ r) · t in Cl(p, q); the bivectors of h ∘ r meet no bivector in t."""
    blades = [(), *((base,) for base in range(1, 1 + p + q))]
    h, r, t = (dict(zip(blades, row.chunk(1 + p + q), strict=True)) for row in (h, r, t))
    total = 0.0
    for a, b in itertools.product(blades, blades):
        sign, c = blade_product(a, b, p)
        if c in t:
            total += sign * sum(float(h[a][n] * r[b][n] * t[c][n]) for n in range(len(h[a])))
    return total


def test_the_blade_rules_used_here_are_those_of_a_clifford_algebra() -> None:
    """Guards the definition: Cl(0, 2) is the quaternions, with i = e1, j = e2, k = e1 e2."""
    unit = {"1": (), "i": (1,), "j": (2,), "k": (1, 2)}
    for (a, b), (sign, c) in QUATERNIONS.items():
        assert blade_product(unit[a], unit[b], p=0) == (sign, unit[c])


DEFINITIONS: list[tuple[str, dict[str, int], int, Callable[..., float]]] = [
    ("distmult", {}, 3, distmult_score),
    ("complex", {}, 6, complex_score),
    ("qmult", {}, 8, qmult_score),
    *(("keci", {"p": p, "q": q}, 2 * (1 + p + q), keci_score) for p, q in SIGNATURES),
]


@pytest.mark.parametrize(("name", "options", "dim", "definition"), DEFINITIONS)
def test_scores_are_those_of_the_definition(
    name: str, options: dict[str, int], dim: int, definition: Callable[..., float]
) -> None:
    """Every head, relation and tail."""
    model = build(name, dim, **options).requires_grad_(False)
    h, r = torch.cartesian_prod(torch.arange(7), torch.arange(4)).unbind(1)
    scores = model.score_all(h, r)
    for row, (i, j) in enumerate(zip(h.tolist(), r.tolist(), strict=True)):
        for k in range(7):
            expected = definition(model.entity[i], model.relation[j], model.entity[k], **options)
            assert scores[row, k].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("p", "q", "other"), [(0, 1, "complex"), (0, 0, "distmult")])
def test_keci_has_the_smaller_algebras_in_it(p: int, q: int, other: str) -> None:
    """Equal weights give equal scores: Cl(0, 1) is ComplEx, Cl(0, 0) is DistMult."""
    keci, plain = build("keci", p=p, q=q), build(other, seed=1)
    plain.load_state_dict(keci.state_dict())
    h, r = torch.cartesian_prod(torch.arange(7), torch.arange(4)).unbind(1)
    # 24 terms of size 10, in another order: 24 · 2^-52 · 10 · a few.
    torch.testing.assert_close(keci.score_all(h, r), plain.score_all(h, r), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
def test_an_ensemble_scores_the_mean(n: int) -> None:
    """Members of different families and dimensions, one by one and over all entities."""
    members = [
        build(name, dim, seed)
        for name, dim, seed in [("distmult", 6, 0), ("keci", 8, 1), ("complex", DIM, 2)][:n]
    ]
    h, r = torch.cartesian_prod(torch.arange(7), torch.arange(4)).unbind(1)
    expected = torch.stack([member.score_all(h, r) for member in members]).mean(0)
    ensemble = Ensemble(members)
    assert not ensemble.entity.requires_grad
    torch.testing.assert_close(ensemble.score_all(h, r), expected, rtol=0, atol=1e-12)
    tails = torch.arange(28) % 7
    wanted = expected.gather(1, tails[:, None]).squeeze(1)
    torch.testing.assert_close(ensemble.score(h, r, tails), wanted, rtol=0, atol=1e-12)


# --- What every registered model promises ---


VARIANTS = [
    *((name, {}) for name in NAMES),
    *(("keci", {"p": p, "q": q}) for p, q in [(0, 0), (0, 1), (2, 0), (0, 2)]),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_gradients_of_the_product(name: str, options: dict[str, int]) -> None:
    """The closed forms against finite differences."""
    model = build(name, **options)
    h, r = torch.randn(2, 2, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(model.compose, (h.requires_grad_(), r.requires_grad_()))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", NAMES)
def test_score_is_score_all_at_the_tails(name: str, sparse: bool) -> None:
    """For one tail and for several a pair, whichever way rows are looked up."""
    model = build(name)
    h, r = torch.tensor([0, 3, 3, 6]), torch.tensor([1, 0, 3, 3])
    tails = torch.tensor([[2, 0], [3, 3], [6, 1], [0, 5]])
    expected = model.score_all(h, r).gather(1, tails)
    model.sparse_gradient = sparse
    torch.testing.assert_close(model.score(h, r, tails), expected)
    torch.testing.assert_close(model.score(h, r, tails[:, 0]), expected[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_follow_the_generator_alone(name: str) -> None:
    """Not the global random state; `init_scale` is their standard deviation."""
    generator = torch.Generator()
    torch.manual_seed(1)
    one = kge.build(name, 50, 50, DIM, init_scale=0.3, generator=generator.manual_seed(5))
    torch.manual_seed(2)
    two = kge.build(name, 50, 50, DIM, init_scale=0.3, generator=generator.manual_seed(5))
    other = kge.build(name, 50, 50, DIM, init_scale=0.3, generator=generator.manual_seed(6))
    for key, weights in one.state_dict().items():
        assert torch.equal(weights, two.state_dict()[key])
        assert not torch.equal(weights, other.state_dict()[key])
        assert weights.std().item() == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("option", ["input_dropout", "hidden_dropout"])
@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_for_training_only(name: str, option: str) -> None:
    """Evaluated, a model with dropout scores as one without; trained, its scores vary."""
    model, plain = build(name, **{option: 0.5}), build(name)
    h, r = torch.arange(4), torch.arange(4)
    torch.manual_seed(0)
    assert not torch.equal(model.train().score_all(h, r), model.score_all(h, r))
    assert torch.equal(model.eval().score_all(h, r), plain.train().score_all(h, r))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_dim_that_does_not_split_is_answered_with_one_that_does(
    name: str, options: dict[str, int]
) -> None:
    """The dimension that the error suggests is taken, and is near."""
    parts = build(name, **options).parts
    for dim in (d for d in range(1, 14) if d % parts):
        with pytest.raises(ValueError, match=rf"model\.dim={dim} ") as caught:
            build(name, dim, **options)
        suggested = int(re.findall(r"\d+", str(caught.value))[-1])
        assert abs(suggested - dim) < parts
        build(name, suggested, **options)
    with pytest.raises(ValueError, match=r"model\.dim=0"):
        build(name, 0, **options)


@pytest.mark.parametrize(
    ("override", "named"),
    [("model.dim=129", "model.dim=129"), ("model.p=-1", "model.p"), ("+model.dims=3", "dims")],
)
def test_a_wrong_option_of_a_model_is_a_config_error(override: str, named: str) -> None:
    """Whether the configuration finds it or only the model: the key is in the message."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        LinkPrediction(load([override]), torch.device("cpu")).build_model(torch.Generator())
