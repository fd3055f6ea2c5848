"""Image classification: train on cropped and flipped images, judge on images as they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aswa import distributed
from aswa.averaging.batch_norm import Batches, has_batch_norm
from aswa.config import ConfigError, RunConfig
from aswa.data.augmentation import crop_and_flip, draw_crops, normalise
from aswa.data.cifar import SIZE
from aswa.data.folders import find_folder
from aswa.data.long_tail import groups
from aswa.data.recipes import Augmenting
from aswa.models import image
from aswa.tasks.image_inputs import Normalisation, Prepared, Renormalised, generator_of
from aswa.tasks.image_losses import LOSSES, class_counts, normalise_head
from aswa.tasks.image_splits import read_splits
from aswa.tasks.probabilistic import (
    auroc,
    brier,
    by_confidence,
    diagrams,
    entropy,
    judged,
    mean_prediction,
    mutual_information,
    nll,
    selective,
)
from aswa.tasks.task import Stage

# Options of a model that its constructor does not take.
TRAINING_OPTIONS = ("mean", "std", "batch_norm_batches", "channels_last", "compile")
EVALUATED_AT_ONCE = 500  # images; a constant, so that scores do not depend on batch_size


class _Predicted(NamedTuple):  # of N images by several members
    logits: Tensor  # [N, C], `mean_prediction`
    information: Tensor  # [N], mutual information
    by_logits: Tensor  # [N], the classes that the mean logit has highest


class ImageClassification:
    """The task of `dataset` and `model` of a configuration; see `aswa.tasks.task.Task`.

    All images are on the device as bytes. A fixed list holds validation images out of the training
    images. Metrics are measured on images that are not augmented. Of several members the
    probabilities are averaged. With `dataset.ood` the test images of another dataset are there too.
    """

    selection_metric = "accuracy"
    sparse_gradient = False

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.device = device
        self._config, self._options = config, config.model.options
        last = self._options["channels_last"]
        self._layout = torch.channels_last if last else torch.contiguous_format
        options = config.dataset.options
        self.classes = int(options["classes"])
        self.chance = 1 / self.classes
        splits, other = read_splits(config)
        self._splits = {name: (x.to(device), y.to(device)) for name, (x, y) in splits.items()}
        self._other = None if other is None else other.to(device)
        self._normalisation = Normalisation(
            *(torch.tensor(self._options[key], device=device) for key in ("mean", "std"))
        )
        counts = class_counts(self._splits["train"][1], self.classes)
        self._loss = LOSSES[options.get("loss", "cross_entropy")](counts)
        self._groups = groups(counts) if options.get("imbalance") is not None else {}
        self._check_last_batch()
        self.batch_norm_batches: Batches | None = None
        self._wrapped: dict[nn.Module, Callable[[Tensor], Tensor]] = {}  # for training

    def build_model(self, generator: torch.Generator) -> nn.Module:
        try:
            model = _built(self._config, generator)
            if self._loss.normalised_head:
                normalise_head(model, self.classes)
            model = distributed.synchronise_batch_norm(model.to(self.device), self.device)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        model = model.to(memory_format=self._layout)  # type: ignore[call-overload]
        wrapped = self._wrap(model)
        if wrapped is not model:
            self._wrapped[model] = wrapped
        if has_batch_norm(model):
            self.batch_norm_batches = self._batches_for_batch_norm()
        return model

    def adopt(self, model: nn.Module, trained_by: ImageClassification) -> nn.Module:
        """The model as this task can call it: with the inputs that it has of `trained_by`."""
        given, own = self._normalisation, trained_by._normalisation
        if all(map(torch.equal, given, own)):
            return model
        return Renormalised(model, given, own, trained_by._layout)

    def _wrap(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """The model as the training loop calls it: compiled, and with gradients of all processes.

        Both only wrap `model`, which averagers copy and metrics evaluate.
        """
        wrapped = model
        if distributed.shards() > 1:
            ids = [self.device] if self.device.type == "cuda" else None
            wrapped = DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False)
        return torch.compile(wrapped) if self._options["compile"] else wrapped

    def losses(
        self,
        model: nn.Module,
        generator: torch.Generator,
        start: int = 0,
        stage: Stage = Stage(),  # noqa: B008  frozen
    ) -> Iterator[tuple[Tensor, int]]:
        """Losses of `model`; one that this task did not build is called as it is.

        Under torchrun each process gives a part, whose mean over all processes is the batch's loss.
        """
        forward = self._wrapped.get(model, model)
        images, labels = self._splits["train"]
        order = torch.randperm(len(labels), generator=generator)
        drawn = (order, *draw_crops(len(labels), generator))
        pieces = [numbers.to(self.device).split(self._config.batch_size) for numbers in drawn]
        _check_recipes(self._config)  # not only this one's: the next may be an epoch away
        augmenting, progress = _augmenting(self._config, stage.recipe), stage.progress
        for batch in itertools.islice(zip(*pieces, strict=True), start, None):
            mine, *crops = map(distributed.shard, batch)
            chosen = crop_and_flip(images.index_select(0, mine), *crops)
            inputs = self._input(augmenting.of_bytes(chosen))
            inputs, targets = augmenting.of_inputs(inputs, labels[mine])
            logits = forward(inputs.contiguous(memory_format=self._layout))
            total = self._loss.total(logits, targets, augmenting.smoothing, progress)
            size = self._loss.size(labels[batch[0]], progress)
            yield total * (distributed.shards() / size), len(batch[0])

    def score(self, model: nn.Module) -> float:
        """Validation accuracy. `augment_validation` crops and flips the images at random.

        The crops follow from the run's seed and the weights: new ones in every epoch, and for Θ̂
        others than for Θ, as in the released code; but equal weights get equal scores, whoever asks
        and however often, so that a resumed run and one of several processes score alike.
        """
        images, labels = self._splits["valid"]
        if self._config.dataset.options["augment_validation"]:
            generator = generator_of(model, f"{self._config.seed} validation")
            crops = [numbers.to(self.device) for numbers in draw_crops(len(labels), generator)]
            images = crop_and_flip(images, *crops)
        return _accuracy(self._predict([model], images).logits, labels)

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        """`accuracy` (top-1), `loss` (NLL of the mean prediction), `ece`, `brier`, `aurc`.

        Of several members these of their mean probability, and `accuracy_logits` of the mean
        logit; of unequal classes also the accuracy by their size. On test, with `dataset.ood`, how
        well images of the other dataset are told apart by the entropy of the mean prediction, and
        by the mutual information of several members: `ood_entropy`, `ood_information`.
        """
        return self.assess(members, split)[0]

    def assess(
        self, members: Sequence[nn.Module], split: str
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """`metrics`, and diagrams of the predicted probabilities."""
        images, labels = self._splits[split]
        logits, information, by_logits = self._predict(members, images)
        found = {"accuracy": _accuracy(logits, labels)}
        if len(members) > 1:
            found["accuracy_logits"] = float((by_logits == labels).double().mean())
        for name, classes in self._groups.items():
            chosen = torch.isin(labels, classes)
            if bool(chosen.any()):  # a small test split may have none of them
                found[f"accuracy_{name}"] = _accuracy(logits[chosen], labels[chosen])
        seen = judged(logits, labels)
        found |= {"loss": nll(logits, labels), "ece": by_confidence(*seen).error}
        found |= {"brier": brier(logits, labels), "aurc": selective(*seen).area}
        if split == "test" and self._other is not None:
            others, other_information, _ = self._predict(members, self._other)
            found["ood_entropy"] = auroc(entropy(logits), entropy(others))
            if len(members) > 1:  # one member agrees with itself about every image
                found["ood_information"] = auroc(information, other_information)
        return found, diagrams(*seen)

    @torch.no_grad()
    def _predict(self, members: Sequence[nn.Module], images: Tensor) -> _Predicted:
        """What the members say together; processes share the images."""
        for member in members:
            member.eval()
        found = torch.zeros(len(images), self.classes, device=self.device)
        information = torch.zeros(len(images), dtype=torch.float64, device=self.device)
        classes = torch.zeros(len(images), dtype=torch.int64, device=self.device)
        whole = (images, found, information, classes)
        parts = zip(*(x.split(EVALUATED_AT_ONCE) for x in whole), strict=True)
        for number, (batch, logits, shared, chosen) in enumerate(parts):
            if number % distributed.shards() == distributed.shard_number():
                inputs = self._input(batch)
                given = [member(inputs).float() for member in members]
                logits.copy_(mean_prediction(given))
                shared.copy_(mutual_information(given))
                chosen.copy_(torch.stack(given).mean(0).argmax(1))
        return _Predicted(*map(distributed.all_reduce_sum, (found, information, classes)))

    def _input(self, images: Tensor) -> Tensor:
        """What the network sees of bytes [B, 3, 32, 32]."""
        return normalise(images, *self._normalisation, self._layout)

    def _batches_for_batch_norm(self) -> Batches:
        """The same augmented training images at each pass and for every seed."""
        images, labels = self._splits["train"]
        size = self._config.batch_size
        n = min(int(self._options["batch_norm_batches"]) * size, len(labels))
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(labels), generator=generator)[:n].to(self.device)
        crops = [numbers.to(self.device) for numbers in draw_crops(n, generator)]
        return Prepared(crop_and_flip(images[chosen], *crops), size, self._input)

    def _check_last_batch(self) -> None:
        n, size = len(self._splits["train"][1]), self._config.batch_size
        smallest = min(size, n % size or size)
        if smallest < distributed.shards():
            raise ConfigError(
                f"batch_size={size}: the last of {n:,} training images make a batch of {smallest}, "
                f"too few for {distributed.shards()} processes; take another size"
            )


def check_run(config: RunConfig) -> None:
    """Raise where the folder is missing, or the network or a recipe cannot be built.

    Raises:
        ConfigError, FileNotFoundError
    """
    find_folder(config.dataset.folder, config.data_dir)
    if other := config.dataset.options.get("ood"):
        find_folder(other["folder"], config.data_dir)
    try:
        _built(config, torch.Generator())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _check_recipes(config)


def _check_recipes(config: RunConfig) -> None:
    """All of the run's: a single model takes the second one after an epoch of training."""
    for recipe in config.population.recipes or []:
        _augmenting(config, recipe)


def _augmenting(config: RunConfig, recipe: Mapping[str, Any]) -> Augmenting:
    """Raises ConfigError for a recipe that the loss cannot take, or without torchvision."""
    options = config.dataset.options
    loss = options.get("loss", "cross_entropy")
    augmenting = Augmenting(recipe, int(options["classes"]), SIZE)
    if augmenting.mixes and not LOSSES[loss].takes_distributions:
        raise ConfigError(
            f"population.recipes: mixed images have several classes, and dataset.loss={loss} takes "
            "one; leave mixup and cutmix out, or take another loss"
        )
    return augmenting


def _built(config: RunConfig, generator: torch.Generator) -> nn.Module:
    options = {k: v for k, v in config.model.options.items() if k not in TRAINING_OPTIONS}
    classes = int(config.dataset.options["classes"])
    return image.build(config.model.name, classes, generator=generator, **options)


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
