"""Names → dotted paths: the one place where configuration meets classes. Imports no torch.

A model, a method, a mixing, a kind or a tracker is one line here. Those of other packages are found
by the entry point groups `aswa.models`, `aswa.methods`, `aswa.mixings`, `aswa.kinds` and
`aswa.trackers`, and their YAML files by `aswa.conf`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import pkgutil
from typing import Any, NamedTuple


class Method(NamedTuple):
    """A training, averaging or merging method, the column `optimizer` of results."""

    path: str  # of a class with the protocol that `family` names
    label: str  # in tables
    averages: bool = True  # weights; plain training and its best epoch do not
    mean: str = ""  # label of the mean's row, NAME_mean, of a method whose own row is of samples
    # `averaging`: `aswa.averaging.Averager`; `merging`: `aswa.merging.computation.Method`.
    family: str = "averaging"


KINDS: dict[str, str] = {
    "knowledge_graph": "aswa.kinds.graphs:KNOWLEDGE_GRAPH",
    "images": "aswa.kinds.images:IMAGES",
    "text": "aswa.kinds.text:TEXT",
    "sparse": "aswa.kinds.sparse:SPARSE",
}

MODELS: dict[str, str] = {
    "distmult": "aswa.models.kge.distmult:DistMult",
    "complex": "aswa.models.kge.complex:ComplEx",
    "qmult": "aswa.models.kge.qmult:QMult",
    "keci": "aswa.models.kge.keci:Keci",
    **dict.fromkeys(
        ("vgg11_small", "vgg11_bn_small", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        "aswa.models.image.vgg:VGG",
    ),
    **dict.fromkeys(("preresnet8", "preresnet20"), "aswa.models.image.preresnet:BasicPreResNet"),
    **dict.fromkeys(
        ("preresnet11", "preresnet110", "preresnet164"), "aswa.models.image.preresnet:PreResNet"
    ),
    **dict.fromkeys(
        ("wide_resnet10x1", "wide_resnet10x2", "wide_resnet28x10"),
        "aswa.models.image.wide_resnet:WideResNet",
    ),
    "gpt": "aswa.models.text.gpt:GPT",
    "hf_causal_lm": "aswa.models.text.hugging_face:build",
    "gpt_lora": "aswa.models.text.adapted_gpt:build",
}

# Linear models are made by the solvers of `aswa.merging`; no class builds them.
MODELS["l1_logistic"] = "aswa.kinds.sparse:L1Logistic"

RELEASED = "aswa.averaging.aswa_released:ReleasedASWA"

METHODS: dict[str, Method] = {
    "sgd": Method("aswa.averaging.sgd:SGD", "SGD", averages=False),
    "swa": Method("aswa.averaging.swa:SWA", "SWA"),
    "polyak": Method("aswa.averaging.swa:SWA", "Polyak (all epochs)"),
    "ema": Method("aswa.averaging.ema:EMA", "EMA"),
    "early_stopping": Method(
        "aswa.averaging.early_stopping:EarlyStopping", "Early stopping", averages=False
    ),
    "aswa": Method("aswa.averaging.aswa:ASWA", "ASWA"),
    "aswa_released": Method(RELEASED, "ASWA as released"),
    # One deviation of the released code each.
    "aswa_unrestored": Method(RELEASED, "ASWA (rejected kept)"),
    "aswa_forgetful": Method(RELEASED, "ASWA (member forgotten)"),
    "aswa_soft_only": Method(RELEASED, "ASWA (no hard update)"),
    "aswa_ties": Method(RELEASED, "ASWA (ties accepted)"),
    "polynomial_decay": Method(
        "aswa.averaging.polynomial_decay:PolynomialDecay", "Polynomial decay"
    ),
    "swag": Method("aswa.averaging.swag:SWAG", "SWAG", mean="SWAG (mean)"),
    "swag_aswa": Method(
        "aswa.averaging.gated_swag:GatedSWAG", "SWAG gated by ASWA", mean="SWAG gated (mean)"
    ),
}

RELEASED_ACOWA = "aswa.merging.released:ReleasedACOWA"

MERGES: dict[str, Method] = {
    name: Method(path, label, family="merging")
    for name, path, label in (
        ("full_solve", "aswa.merging.methods:FullSolveMethod", "All rows shipped"),
        ("one_part", "aswa.merging.methods:OnePart", "One part alone"),
        ("avgm", "aswa.merging.methods:NaiveAverage", "Naive average"),
        ("savgm", "aswa.merging.methods:SubsampledAverage", "Subsampled average"),
        ("owa", "aswa.merging.methods:OWA", "OWA"),
        ("centroids_only", "aswa.merging.methods:CentroidsOnly", "Centroids only"),
        ("votes_only", "aswa.merging.methods:VotesOnly", "Votes only"),
        ("acowa", "aswa.merging.methods:ACOWA", "ACOWA"),
        ("acowa_released", RELEASED_ACOWA, "ACOWA as released"),
        ("acowa_unscaled", RELEASED_ACOWA, "ACOWA (scaled weights merged)"),
        ("acowa_mislabelled", RELEASED_ACOWA, "ACOWA (λ₂ by other rows' labels)"),
        ("csl", "aswa.merging.surrogate:CSL", "CSL"),
        ("dane", "aswa.merging.surrogate:DANE", "DANE"),
    )
}

MIXINGS: dict[str, str] = {
    "independent": "aswa.averaging.mixing:Independent",
    "papa": "aswa.averaging.mixing:Pull",
    **dict.fromkeys(("papa_all", "dart", "imwa"), "aswa.averaging.mixing:Average"),
    "papa_2": "aswa.averaging.mixing:Pairs",
    **dict.fromkeys(("wash", "wash_opt"), "aswa.averaging.mixing:Shuffle"),
    "sparse_average": "aswa.averaging.mixing:SparseAverage",
}

TRACKERS: dict[str, str] = {
    "wandb": "aswa.trackers.wandb:WandB",
    "tensorboard": "aswa.trackers.tensorboard:TensorBoard",
    "csv": "aswa.trackers.csv_file:CSV",
}


# What a population offers beside the methods on its mean, as rows of its own → label in tables.
AGGREGATES = {
    "mean_member": "Mean member",
    "best_member": "Best member",
    "greedy_soup": "Greedy soup",
    "ensemble": "Ensemble",
}


def mean_of(method: str) -> str:
    """The name of the mean's row, beside that of a method's samples."""
    return f"{method}_mean"


def load(path: str) -> Any:
    """The object named by `package.module:name`."""
    return pkgutil.resolve_name(path)


@functools.cache
def models() -> dict[str, str]:
    """Every model by name: those of this package, then those of others."""
    return MODELS | _entry_points("aswa.models")


@functools.cache
def methods() -> dict[str, Method]:
    """Every method by name, in the order of tables."""
    others = _entry_points("aswa.methods").items()
    return METHODS | MERGES | {name: Method(path, name) for name, path in others}


@functools.cache
def mixings() -> dict[str, str]:
    """Every mixing by name."""
    return MIXINGS | _entry_points("aswa.mixings")


@functools.cache
def trackers() -> dict[str, str]:
    """Every tracker by name."""
    return TRACKERS | _entry_points("aswa.trackers")


@functools.cache
def kinds() -> dict[str, Any]:
    """Every `aswa.kinds.declaration.Kind` by name."""
    paths = KINDS | _entry_points("aswa.kinds")
    return {name: load(path) for name, path in paths.items()}


def _entry_points(group: str) -> dict[str, str]:
    return {each.name: each.value for each in importlib.metadata.entry_points(group=group)}
