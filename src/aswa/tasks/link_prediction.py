"""Link prediction: train on the triples of a knowledge graph, rank the missing ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import cast

import torch
from torch import Tensor, nn

from aswa.config import ConfigError, RunConfig
from aswa.data.folders import SPLITS, find_folder
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex, read_graph
from aswa.data.leaks import clean, leaks
from aswa.data.valid_share import drawn_rows
from aswa.models import kge
from aswa.models.kge.ensemble import MeanProbability, as_one
from aswa.models.kge.link_predictor import LinkPredictor
from aswa.tasks.objectives import KvsAll, NegativeSampling, Objective, OneVsAll
from aswa.tasks.ranking import FilteredRanking, mean_reciprocal_rank, rank_metrics

# Options of a model that its constructor does not take.
TRAINING_OPTIONS = ("objective", "label_smoothing", "negatives")
# Examples whose loss is the row `loss` of train: all of a small graph. All of WN18RR's, for five
# methods, took as long as its training.
LOSS_EXAMPLES = 20_000


class LinkPrediction:
    """The task of `dataset` and `model` of a configuration; see `aswa.tasks.task.Task`.

    Reciprocal relations predict heads. Validation is filtered by train and valid, test by all three
    splits; with `valid_share` below 1 validation ranks the drawn triples alone. Of several members
    the scores are averaged.
    """

    selection_metric = "mrr"
    batch_norm_batches = None

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.device = device
        self._config = config
        self._options = dict(config.model.options)
        folder = find_folder(config.dataset.folder, config.data_dir)
        try:
            graph = read_graph(folder, config.dataset.options.get("sha256"))
        except ValueError as error:  # names the file and the line
            raise ConfigError(f"dataset={config.dataset.name}: {error}") from None
        _check_counts(graph, config)
        share = config.dataset.options.get("valid_share", 1.0)
        self._rows = {"valid": drawn_rows(len(graph.valid), share, config.seed)}
        self._clean = cache(lambda split: self._of(split, clean(graph, split)).to(device))
        self.graph = graph.with_reciprocals()
        self.n_entities, self.n_relations = len(self.graph.entities), len(self.graph.relations)
        self._valid = self._ranking("valid", self.graph.train, self.graph.valid)
        self.chance = self._valid.chance()
        self.sparse_gradient = self._sparse_pays()

    def build_model(self, generator: torch.Generator) -> nn.Module:
        model = _built(self._config, self.n_entities, self.n_relations, generator)
        model.sparse_gradient = self.sparse_gradient
        return model.to(self.device)

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        predictor = cast(LinkPredictor, model)  # as `check_run` has seen
        return self._objective.losses(predictor, self._config.batch_size, generator, start)

    def score(self, model: nn.Module) -> float:
        return mean_reciprocal_rank(self._valid.ranks(as_one([model]).score_blocks))

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        """`mrr`, `hits@k`, each also `_head` and `_tail`; on train the loss without dropout.

        That is the mean of the first examples of a fixed order, `LOSS_EXAMPLES` or a batch more.

        Where a split has leaks also `_clean`: without them, see `aswa.data.leaks`.
        """
        model = as_one(members)
        if split == "train":
            return {"loss": self._train_loss(model)}
        ranks = self._ranks(model, split)
        tail, head = ranks.chunk(2)  # triples, then their reciprocals
        found = rank_metrics(ranks) | rank_metrics(head, "_head") | rank_metrics(tail, "_tail")
        kept = self._clean(split)
        if not kept.all():
            found |= rank_metrics(ranks[kept.repeat(2)], "_clean")
        return found

    def by_probability(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        """`mrr_probabilities`, `hits@k_probabilities`: the means of sigmoid(score) are ranked.

        Args:
            members: several link predictors.
            split: `valid` or `test`.
        """
        model = MeanProbability([cast(LinkPredictor, member.eval()) for member in members])
        return rank_metrics(self._ranks(model, split), "_probabilities")

    def _ranks(self, model: LinkPredictor, split: str) -> Tensor:
        ranking = self._valid if split == "valid" else self._test
        return ranking.ranks(model.score_blocks)

    @cached_property
    def _objective(self) -> Objective:
        name, smoothing = self._options["objective"], self._options["label_smoothing"]
        index = TailIndex(self.graph.train, self.n_relations).to(self.device)
        if name == "allvsall":
            return KvsAll(index.with_all_pairs(self.n_entities), smoothing)
        if name == "kvsall":
            return KvsAll(index, smoothing)
        triples = index.triples()
        if name == "1vsall":
            return OneVsAll(triples, smoothing)
        return NegativeSampling(triples, self.n_entities, self._options["negatives"])

    @cached_property
    def _test(self) -> FilteredRanking:
        """Read when selection is over."""
        return self._ranking("test", self.graph.train, self.graph.valid, self.graph.test)

    def _of(self, split: str, rows: Tensor) -> Tensor:
        """Of something for each triple of a split, that of the triples which are ranked."""
        return rows[self._rows[split]] if split in self._rows else rows

    def _ranking(self, split: str, *known: Tensor) -> FilteredRanking:
        index = TailIndex(torch.cat(known), self.n_relations).to(self.device)
        halves = getattr(self.graph, split).chunk(2)  # triples, then their reciprocals
        triples = torch.cat([self._of(split, half) for half in halves]).to(self.device)
        budget = self._config.memory_budget * 2**20
        return FilteredRanking(triples, index, self.n_entities, budget)

    @torch.no_grad()
    def _train_loss(self, model: nn.Module) -> float:
        generator = torch.Generator().manual_seed(0)
        total, n_examples = 0.0, 0
        for loss, n in self.losses(model, generator):
            total += float(loss) * n
            n_examples += n
            if n_examples >= LOSS_EXAMPLES:
                break
        return total / n_examples

    def _sparse_pays(self) -> bool:
        """Whether sparse gradients of the tables change no result and are faster.

        The results are the same under an update rule that leaves a row without a gradient where it
        is: not Adam, momentum or weight decay. Up to a fifth of the rows a batch, sparse gradients
        were 1.8 to 50 times faster, from a quarter on slower.
        """
        rule = self._config.base_optimizer
        lazy = rule.name in ("sgd", "adagrad") and not rule.momentum and not rule.weight_decay
        rows = self._config.batch_size * (2 + self._options["negatives"])
        sampling = self._options["objective"] == "negative_sampling"
        # On a GPU every sparse step waits for the device.
        return self.device.type == "cpu" and sampling and lazy and 5 * rows < self.n_entities


def graph_names(task: LinkPrediction) -> dict[str, Sequence[str]]:
    """Entities, and relations with their reciprocals, by id."""
    return {"entities": task.graph.entities, "relations": task.graph.relations}


def check_run(config: RunConfig) -> None:
    """Raise where the folder is missing, or a model of one entity cannot be built.

    Raises:
        ConfigError, FileNotFoundError
    """
    find_folder(config.dataset.folder, config.data_dir)
    _built(config, 1, 1, torch.Generator())


def _built(
    config: RunConfig, n_entities: int, n_relations: int, generator: torch.Generator
) -> LinkPredictor:
    options = {k: v for k, v in config.model.options.items() if k not in TRAINING_OPTIONS}
    name = config.model.name
    try:
        model = kge.build(name, n_entities, n_relations, generator=generator, **options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not isinstance(model, LinkPredictor):
        raise ConfigError(
            f"model={name}: {type(model).__name__} is no LinkPredictor; subclass "
            "aswa.models.kge.link_predictor.LinkPredictor (docs/extending.md)"
        )
    return model


def _check_counts(graph: KnowledgeGraph, config: RunConfig) -> None:
    """Numbers of entities, relations, triples and leaks are those that the YAML gives."""
    options = config.dataset.options
    found = {"entities": len(graph.entities), "relations": len(graph.relations)}
    found |= {f"triples.{split}": len(getattr(graph, split)) for split in SPLITS}
    triples, declared = options.get("triples") or {}, options.get("leaks")
    published = options | {f"triples.{split}": number for split, number in triples.items()}
    if declared is not None:  # those that it does not name are none
        for name, number in leaks(graph).items():
            found[f"leaks.{name}"], published[f"leaks.{name}"] = number, declared.get(name, 0)
    for key, number in found.items():
        if published.get(key) not in (None, number):
            raise ConfigError(
                f"dataset={config.dataset.name}: {key} should be {published[key]:,} "
                f"(conf/dataset/{config.dataset.name}.yaml), the files have {number:,}"
            )
