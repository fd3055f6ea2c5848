"""Image classification: train on cropped and flipped images, judge on images as they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

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
from aswa.data.validation_split import split_indices
from aswa.models import image
from aswa.models.image.winograd import with_winograd
from aswa.tasks.host_memory import keep_freed_memory

# Of a model's options, those that are not for its constructor.
TRAINING_OPTIONS = ("mean", "std", "batch_norm_batches", "channels_last", "winograd", "compile")
EVALUATED_AT_ONCE = 500  # images; a constant, so that scores do not depend on batch_size


class ImageClassification:
    """The task of `dataset` and `model` of a configuration; see `aswa.tasks.task.Task`.

    All images lie on the device as bytes. Validation images are held out of the training images by
    a fixed list, and are not augmented; nor is anything that a metric is measured on.
    """

    selection_metric = "accuracy"

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.device = device
        self._config, self._options = config, config.model.options
        last = self._options["channels_last"]
        self._layout = torch.channels_last if last else torch.contiguous_format
        if device.type == "cpu":
            keep_freed_memory()
        dataset = config.dataset
        self.classes = int(dataset.options["classes"])
        self.chance = 1 / self.classes
        data = read_cifar(
            find_folder(dataset.folder, config.data_dir),
            self.classes,
            dataset.options.get("sha256"),
            dataset.options.get("images"),
        )
        try:
            train, valid = split_indices(
                len(data.train_labels),
                dataset.options["valid_ratio"],
                dataset.options["train_size"],
            )
        except ValueError as error:
            raise ConfigError(f"dataset={dataset.name}: {error}") from None
        tested = dataset.options["test_size"]
        splits = {
            "train": (data.train_images[train], data.train_labels[train]),
            "valid": (data.train_images[valid], data.train_labels[valid]),
            "test": (data.test_images[:tested], data.test_labels[:tested]),
        }
        self._splits = {name: (x.to(device), y.to(device)) for name, (x, y) in splits.items()}
        self._mean, self._std = (
            torch.tensor(self._options[key], device=device) for key in ("mean", "std")
        )
        self._check_last_batch()
        self.batch_norm_batches: Batches | None = None
        self._forward: Callable[[Tensor], Tensor] | None = None

    def build_model(self, generator: torch.Generator) -> nn.Module:
        options = {k: v for k, v in self._options.items() if k not in TRAINING_OPTIONS}
        try:
            model = image.build(
                self._config.model.name, self.classes, generator=generator, **options
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if self._options.get("winograd"):
            model = with_winograd(model)
        model = distributed.synchronise_batch_norm(model.to(self.device), self.device)
        model = model.to(memory_format=self._layout)  # type: ignore[call-overload]
        self._forward = self._training_forward(model)
        if has_batch_norm(model):
            self.batch_norm_batches = self._batches_for_batch_norm()
        return model

    def _training_forward(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """The model as the training loop calls it: compiled, and joined with its likes.

        Both only wrap it: `model` itself stays what averagers copy and metrics evaluate.
        """
        wrapped = model
        if distributed.world_size() > 1:
            ids = [self.device] if self.device.type == "cuda" else None
            wrapped = DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False)
        if self._options["compile"]:
            return torch.compile(wrapped)
        return wrapped

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        """Under torchrun each process gives a share, whose mean over all is the batch's loss."""
        assert self._forward is not None, "the model is not of this task"
        images, labels = self._splits["train"]
        order = torch.randperm(len(labels), generator=generator)
        drawn = (order, *draw_crops(len(labels), generator))
        pieces = [numbers.to(self.device).split(self._config.batch_size) for numbers in drawn]
        for batch in itertools.islice(zip(*pieces, strict=True), start, None):
            mine, *crops = map(distributed.my_part, batch)
            chosen = images.index_select(0, mine)
            logits = self._forward(self._input(crop_and_flip(chosen, *crops)))
            total = F.cross_entropy(logits, labels[mine], reduction="sum")
            yield total * (distributed.world_size() / len(batch[0])), len(batch[0])

    def score(self, model: nn.Module) -> float:
        """Validation accuracy. With `augment_validation`, of images cropped and flipped at random:

        anew every epoch, alike for Θ and Θ̂, as the released code does, but for the noise that it
        has between these two.
        """
        images, labels = self._splits["valid"]
        if self._config.dataset.options["augment_validation"]:
            generator = torch.Generator().set_state(torch.get_rng_state())
            crops = [numbers.to(self.device) for numbers in draw_crops(len(labels), generator)]
            images = crop_and_flip(images, crops[0], crops[1], crops[2])
        return self._measure(model, images, labels)[0]

    def metrics(self, model: nn.Module, split: str) -> dict[str, float]:
        """`accuracy` (top-1) and `loss` (mean cross-entropy)."""
        accuracy, loss = self._measure(model, *self._splits[split])
        return {"accuracy": accuracy, "loss": loss}

    @torch.no_grad()
    def _measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Accuracy and mean loss; each process counts its part of the images."""
        model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        batches = zip(images.split(EVALUATED_AT_ONCE), labels.split(EVALUATED_AT_ONCE), strict=True)
        for number, (batch, right) in enumerate(batches):
            if number % distributed.world_size() == distributed.rank():
                logits = model(self._input(batch)).float()
                sums[0] += (logits.argmax(1) == right).sum()
                sums[1] += F.cross_entropy(logits, right, reduction="sum").double()
        accuracy, loss = (distributed.sum_over(sums) / len(labels)).tolist()
        return accuracy, loss

    def _input(self, images: Tensor) -> Tensor:
        """What the network sees of bytes [B, 3, 32, 32]."""
        return normalise(images, self._mean, self._std, self._layout)

    def _batches_for_batch_norm(self) -> Batches:
        """The same augmented training images each time, drawn once and for all seeds alike."""
        images, labels = self._splits["train"]
        size = self._config.batch_size
        n = min(int(self._options["batch_norm_batches"]) * size, len(labels))
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(labels), generator=generator)[:n].to(self.device)
        crops = [numbers.to(self.device) for numbers in draw_crops(n, generator)]
        return _Batches(crop_and_flip(images[chosen], *crops), size, self._input)

    def _check_last_batch(self) -> None:
        """Every process must have an image of every batch, or it could not take part."""
        n, size = len(self._splits["train"][1]), self._config.batch_size
        smallest = min(size, n % size or size)
        if smallest < distributed.world_size():
            raise ConfigError(
                f"batch_size={size}: the last of {n:,} training images make a batch of {smallest}, "
                f"too few for {distributed.world_size()} processes; take another size"
            )


class _Batches:
    """Network inputs of fixed images, made anew at each pass; under torchrun each one's part."""

    def __init__(self, images: Tensor, size: int, prepare: Callable[[Tensor], Tensor]) -> None:
        self._images, self._size, self._prepare = images, size, prepare

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self._images.split(self._size):
            yield self._prepare(distributed.my_part(batch))
