"""The one place where config names meet classes. A new model or method is one line here.

Plain strings, so that a config can be checked without importing torch.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, NamedTuple

Kind = Literal["knowledge_graph", "images"]


class Entry(NamedTuple):
    """Where a class is, and for which kind of dataset it is."""

    path: str
    kind: Kind


MODELS: dict[str, Entry] = {
    "distmult": Entry("aswa.models.kge.distmult:DistMult", "knowledge_graph"),
    "complex": Entry("aswa.models.kge.complex:ComplEx", "knowledge_graph"),
    "qmult": Entry("aswa.models.kge.qmult:QMult", "knowledge_graph"),
    "keci": Entry("aswa.models.kge.keci:Keci", "knowledge_graph"),
    "vgg16": Entry("aswa.models.image.vgg:VGG", "images"),
    "vgg16_bn": Entry("aswa.models.image.vgg:VGG", "images"),
    "vgg19": Entry("aswa.models.image.vgg:VGG", "images"),
    "vgg19_bn": Entry("aswa.models.image.vgg:VGG", "images"),
    "preresnet11": Entry("aswa.models.image.preresnet:PreResNet", "images"),
    "preresnet110": Entry("aswa.models.image.preresnet:PreResNet", "images"),
    "preresnet164": Entry("aswa.models.image.preresnet:PreResNet", "images"),
    "wide_resnet10x1": Entry("aswa.models.image.wide_resnet:WideResNet", "images"),
    "wide_resnet28x10": Entry("aswa.models.image.wide_resnet:WideResNet", "images"),
}

# The first of a kind is what its datasets are for unless `task=` names another.
TASKS: dict[str, Entry] = {
    "link_prediction": Entry("aswa.tasks.link_prediction:LinkPrediction", "knowledge_graph"),
    "query_answering": Entry("aswa.queries.task:QueryAnswering", "knowledge_graph"),
    "image_classification": Entry("aswa.tasks.image_classification:ImageClassification", "images"),
}

AVERAGERS: dict[str, str] = {
    "sgd": "aswa.averaging.sgd:SGD",
    "swa": "aswa.averaging.swa:SWA",
    "ema": "aswa.averaging.ema:EMA",
    "early_stopping": "aswa.averaging.early_stopping:EarlyStopping",
    "aswa": "aswa.averaging.aswa:ASWA",
    "aswa_released": "aswa.averaging.aswa_released:ReleasedASWA",
    # One deviation of the released code each.
    "aswa_unrestored": "aswa.averaging.aswa_released:ReleasedASWA",
    "aswa_forgetful": "aswa.averaging.aswa_released:ReleasedASWA",
    "aswa_soft_only": "aswa.averaging.aswa_released:ReleasedASWA",
    "aswa_ties": "aswa.averaging.aswa_released:ReleasedASWA",
    "polynomial_decay": "aswa.averaging.polynomial_decay:PolynomialDecay",
}


def usual_task(kind: str) -> str:
    """The name of the task that datasets of this kind are for."""
    return next(name for name, entry in TASKS.items() if entry.kind == kind)


def load(path: str) -> Any:
    """The object named by `package.module:name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
