"""Image classification: train on cropped and flipped images, judge on images as they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aswa import distributed
from aswa.averaging.batch_norm import Batches, has_batch_norm
from aswa.config import ConfigError, RunConfig
from aswa.data.augmentation import crop_and_flip, draw_crops, normalise
from aswa.data.cifar import read_cifar
from aswa.data.folders import find_folder
from aswa.data.long_tail import groups, long_tailed
from aswa.data.recipes import Augmenting
from aswa.data.validation_split import split_indices, validation_order
from aswa.models import image
from aswa.tasks.image_losses import LOSSES, class_counts, normalise_head
from aswa.tasks.task import Stage

# Options of a model that its constructor does not take.
TRAINING_OPTIONS = ("mean", "std", "batch_norm_batches", "channels_last", "compile")
EVALUATED_AT_ONCE = 500  # images; a constant, so that scores do not depend on batch_size


class ImageClassification:
    """The task of `dataset` and `model` of a configuration; see `aswa.tasks.task.Task`.

    All images are on the device as bytes. A fixed list holds validation images out of the training
    images. Metrics are measured on images that are not augmented. Of several members the
    probabilities are averaged.
    """

    selection_metric = "accuracy"
    sparse_gradient = False

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.device = device
        self._config, self._options = config, config.model.options
        last = self._options["channels_last"]
        self._layout = torch.channels_last if last else torch.contiguous_format
        options, tested = config.dataset.options, config.dataset.options["test_size"]
        self.classes = int(options["classes"])
        self.chance = 1 / self.classes
        folder = find_folder(config.dataset.folder, config.data_dir)
        try:
            data = read_cifar(folder, self.classes, options.get("sha256"), options.get("images"))
            train, valid = _split(data.train_labels, self.classes, options)
        except ValueError as error:
            raise ConfigError(f"dataset={config.dataset.name}: {error}") from None
        splits = {
            "train": (data.train_images[train], data.train_labels[train]),
            "valid": (data.train_images[valid], data.train_labels[valid]),
            "test": (data.test_images[:tested], data.test_labels[:tested]),
        }
        self._splits = {name: (x.to(device), y.to(device)) for name, (x, y) in splits.items()}
        self._mean, self._std = (
            torch.tensor(self._options[key], device=device) for key in ("mean", "std")
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
        augmenting, progress = self._augmenting(stage.recipe), stage.progress
        for batch in itertools.islice(zip(*pieces, strict=True), start, None):
            mine, *crops = map(distributed.shard, batch)
            chosen = crop_and_flip(images.index_select(0, mine), *crops)
            inputs = self._input(augmenting.of_bytes(chosen))
            inputs, targets = augmenting.of_inputs(inputs, labels[mine])
            logits = forward(inputs.contiguous(memory_format=self._layout))
            total = self._loss.total(logits, targets, augmenting.smoothing, progress)
            size = self._loss.size(labels[batch[0]], progress)
            yield total * (distributed.shards() / size), len(batch[0])

    def _augmenting(self, recipe: Mapping[str, Any]) -> Augmenting:
        augmenting = Augmenting(recipe, self.classes, self._splits["train"][0].shape[-1])
        if augmenting.mixes and not self._loss.takes_distributions:
            raise ConfigError(
                "population.recipes: mixed images have several classes, and dataset.loss=ldam "
                "takes one; leave mixup and cutmix out, or take another loss"
            )
        return augmenting

    def score(self, model: nn.Module) -> float:
        """Validation accuracy. `augment_validation` crops and flips the images at random.

        The crops are new in every epoch, and the same for Θ and Θ̂. The released code draws others
        for Θ̂, which is noise between the two.
        """
        images, labels = self._splits["valid"]
        if self._config.dataset.options["augment_validation"]:
            generator = torch.Generator().set_state(torch.get_rng_state())
            crops = [numbers.to(self.device) for numbers in draw_crops(len(labels), generator)]
            images = crop_and_flip(images, *crops)
        return self._measure([model], images, labels)[0]

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        """`accuracy` (top-1), of unequal classes also by size, and `loss` (mean cross-entropy).

        Of several members those of the mean probability, and `accuracy_logits` of the mean logit.
        """
        accuracy, loss = self._measure(members, *self._splits[split])
        found = {"accuracy": accuracy}
        if len(members) > 1:
            found["accuracy_logits"] = self._measure(members, *self._splits[split], mean_logit)[0]
        images, labels = self._splits[split]
        for name, classes in self._groups.items():
            chosen = torch.isin(labels, classes)
            if not bool(chosen.any()):  # of a small test split
                continue
            found[f"accuracy_{name}"] = self._measure(members, images[chosen], labels[chosen])[0]
        return found | {"loss": loss}

    @torch.no_grad()
    def _measure(
        self,
        members: Sequence[nn.Module],
        images: Tensor,
        labels: Tensor,
        combine: Callable[[list[Tensor]], Tensor] | None = None,
    ) -> tuple[float, float]:
        """Accuracy and mean loss; each process counts its part of the images."""
        combine = combine or mean_prediction
        for member in members:
            member.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        batches = zip(images.split(EVALUATED_AT_ONCE), labels.split(EVALUATED_AT_ONCE), strict=True)
        for number, (batch, right) in enumerate(batches):
            if number % distributed.shards() == distributed.shard_number():
                inputs = self._input(batch)
                logits = combine([member(inputs).float() for member in members])
                sums[0] += (logits.argmax(1) == right).sum()
                sums[1] += F.cross_entropy(logits, right, reduction="sum").double()
        return tuple((distributed.all_reduce_sum(sums) / len(labels)).tolist())

    def _input(self, images: Tensor) -> Tensor:
        """What the network sees of bytes [B, 3, 32, 32]."""
        return normalise(images, self._mean, self._std, self._layout)

    def _batches_for_batch_norm(self) -> Batches:
        """The same augmented training images at each pass and for every seed."""
        images, labels = self._splits["train"]
        size = self._config.batch_size
        n = min(int(self._options["batch_norm_batches"]) * size, len(labels))
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(labels), generator=generator)[:n].to(self.device)
        crops = [numbers.to(self.device) for numbers in draw_crops(n, generator)]
        return _Batches(crop_and_flip(images[chosen], *crops), size, self._input)

    def _check_last_batch(self) -> None:
        n, size = len(self._splits["train"][1]), self._config.batch_size
        smallest = min(size, n % size or size)
        if smallest < distributed.shards():
            raise ConfigError(
                f"batch_size={size}: the last of {n:,} training images make a batch of {smallest}, "
                f"too few for {distributed.shards()} processes; take another size"
            )


def _split(labels: Tensor, classes: int, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Positions of the training and of the validation images."""
    ratio, size, factor = options["valid_ratio"], options["train_size"], options.get("imbalance")
    if factor is None:
        return split_indices(len(labels), ratio, size)
    if size is not None:
        raise ValueError("train_size and imbalance: give largest, the size of the largest class")
    held_out = round(ratio * len(labels) / classes)
    order = validation_order(len(labels))
    subset = options.get("largest"), options.get("subset_seed", 0)
    return long_tailed(labels, order, held_out, factor, *subset)


def check_run(config: RunConfig) -> None:
    """Raise where the folder is missing, or the network cannot be built.

    Raises:
        ConfigError, FileNotFoundError
    """
    find_folder(config.dataset.folder, config.data_dir)
    try:
        _built(config, torch.Generator())
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _built(config: RunConfig, generator: torch.Generator) -> nn.Module:
    options = {k: v for k, v in config.model.options.items() if k not in TRAINING_OPTIONS}
    classes = int(config.dataset.options["classes"])
    return image.build(config.model.name, classes, generator=generator, **options)


def mean_prediction(logits: list[Tensor]) -> Tensor:
    """log of the members' mean softmax, [B, classes]; the logits themselves of one member."""
    if len(logits) == 1:
        return logits[0]
    log_probabilities = torch.stack([each.log_softmax(1) for each in logits])
    return log_probabilities.logsumexp(0) - math.log(len(logits))


def mean_logit(logits: list[Tensor]) -> Tensor:
    """Mean over the members, [B, classes]."""
    return torch.stack(logits).mean(0)


class _Batches:
    """Network inputs of fixed images, made anew at each pass; under torchrun of a shard."""

    def __init__(self, images: Tensor, size: int, prepare: Callable[[Tensor], Tensor]) -> None:
        self._images, self._size, self._prepare = images, size, prepare

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self._images.split(self._size):
            yield self._prepare(distributed.shard(batch))
