"""What methods make of one trajectory of a link predictor, scored in several ways on validation.

A rule is a method with the way in which its gate ranks the validation split: the splits that leave
candidates out, and what happens to ties. All rules watch the same weights, so two of them differ
by the rule alone. Whatever the rule, the test split is ranked as everywhere in this project, and
as dicee ranks (`by_order`) beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aswa.averaging import ASWA, SWA, Averager, EarlyStopping
from aswa.averaging.aswa_released import ReleasedASWA
from aswa.data.knowledge_graph import TailIndex
from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.complex import ComplEx
from aswa.tasks.link_prediction import LinkPrediction
from aswa.tasks.ranking import FilteredRanking, mean_reciprocal_rank
from aswa.training.learner import Learner

OURS = ("train", "valid")
EVERY_SPLIT = ("train", "valid", "test")

Score = Callable[[Any], float]


class Rule(NamedTuple):
    """A method, and how its gate ranks the validation split."""

    method: Callable[[nn.Module], Averager]
    filtered_by: tuple[str, ...] = OURS
    by_order: bool = False


def forgetful(model: nn.Module) -> Averager:
    """ASWA without a member after a hard update: dicee's only deviation in the recursion."""
    return ReleasedASWA(model, restore_on_reject=True, keep_member=False, accept_ties=False)


RULES: dict[str, Rule] = {
    "mean of all epochs": Rule(SWA),
    "best epoch": Rule(EarlyStopping),
    "ASWA": Rule(ASWA),
    "member forgotten": Rule(forgetful),
    "ties by order": Rule(ASWA, by_order=True),
    "filtered by test too": Rule(ASWA, EVERY_SPLIT),
    "dicee's rules": Rule(forgetful, EVERY_SPLIT, by_order=True),
}
LAST = "last epoch"


class LearnedKeci(ComplEx):
    """dicee's Keci(0, 1): imaginary parts of h and r, not of t, times a learned number."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.q_coefficients = nn.Parameter(torch.zeros(1, 1))

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        return super().compose(self._scaled(h), self._scaled(r))

    def _scaled(self, rows: Tensor) -> Tensor:
        real, imaginary = rows.chunk(2, 1)
        return torch.cat([real, self.q_coefficients * imaginary], 1)


class OrderRanking:
    """Filtered ranks by place in a descending sort, ties as the sort leaves them: dicee's rule."""

    def __init__(self, triples: Tensor, known: TailIndex) -> None:
        self.h, self.r, self.t = triples.unbind(1)
        self.filtered = known.rows(known.find(self.h, self.r))
        self.target = torch.arange(len(triples)), self.t

    @torch.no_grad()
    def mrr(self, model: BilinearModel) -> float:
        scores = model.score_all(self.h, self.r)
        target = scores[self.target]
        scores[self.filtered] = -torch.inf
        scores[self.target] = target
        order = scores.sort(dim=1, descending=True).indices
        place = (order == self.t[:, None]).nonzero()[:, 1]
        return mean_reciprocal_rank(1 + place.double())


def scorer(task: LinkPrediction, split: str, filtered_by: Iterable[str], by_order: bool) -> Score:
    """MRR of a model on a split, heads and tails, in the way of a rule."""
    known = torch.cat([getattr(task.graph, name) for name in filtered_by])
    index, triples = TailIndex(known, task.n_relations), getattr(task.graph, split)
    if by_order:
        return OrderRanking(triples, index).mrr
    ranking = FilteredRanking(triples, index, task.n_entities)
    return lambda model: mean_reciprocal_rank(ranking.ranks(model.score_blocks))


def trained(learner: Learner, epochs: int, record: dict[str, Any]) -> Iterator[None]:
    """Train `learner` epoch by epoch; the loss of the first batch goes to the record."""
    for epoch in range(epochs):
        learner.begin(epoch)
        while learner.step():
            record.setdefault("first_loss", learner.loss)
        record["batches"] = learner.batches
        learner.forget()
        yield


def replayed(model: nn.Module, weights: Mapping[str, Any]) -> Iterator[None]:
    """Put the weights of epoch after epoch into `model`; [epochs + 1, ...] by name, see peers."""
    for epoch in range(1, len(weights["entity"])):
        put(model, {name: weights[name][epoch] for name, _ in model.named_parameters()})
        yield


@torch.no_grad()
def put(model: nn.Module, tables: Mapping[str, Any]) -> None:
    """Give the parameters of `model` these values, arrays by name."""
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(tables[name]))


def watch(
    task: LinkPrediction, model: nn.Module, epochs: Iterable[None]
) -> tuple[dict[str, Any], dict[str, nn.Module]]:
    """Let every rule watch `model` while `epochs` move it.

    Returns:
        by name of a rule, and for the last epoch, what it kept: `mrr` and `by_order` on test,
        `members`, `decisions`, and for the best epoch `epoch`; and the modules kept.
    """
    methods = {name: rule.method(model) for name, rule in RULES.items()}
    gates = {rule[1:]: scorer(task, "valid", *rule[1:]) for rule in RULES.values()}
    decisions: dict[str, dict[str, int]] = {name: {} for name in RULES}
    for _ in epochs:
        running: dict[Any, float] = {}
        for name, method in methods.items():
            decision = method.update(model, _once(gates, RULES[name][1:], model, running))
            if decision is not None:
                counts = decisions[name]
                counts[decision.value] = counts.get(decision.value, 0) + 1
    by_order = scorer(task, "test", EVERY_SPLIT, by_order=True)
    kept = {LAST: model} | {name: method.module for name, method in methods.items()}
    found: dict[str, Any] = {}
    for name, module in kept.items():
        found[name] = {
            "mrr": task.metrics([module], "test")["mrr"],
            "by_order": by_order(module),
        }
    for name, method in methods.items():
        found[name] |= {"members": method.n_averaged, "decisions": decisions[name]}
        if isinstance(method, EarlyStopping):
            found[name]["epoch"] = method.best_epoch
    return found, kept


def flat(module: nn.Module) -> Tensor:
    """All parameters in one row, a copy."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def _once(gates: dict[Any, Score], gate: Any, model: nn.Module, running: dict[Any, float]) -> Score:
    """The gate's score; that of the running model is measured once an epoch."""

    def score(module: nn.Module) -> float:
        if module is not model:
            return gates[gate](module)
        if gate not in running:
            running[gate] = gates[gate](module)
        return running[gate]

    return score
