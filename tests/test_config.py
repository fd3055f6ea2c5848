"""Configurations: what composes, what is refused in which words, what makes another run."""

from __future__ import annotations

import functools
import itertools
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import aswa.config
from aswa.config import ConfigError, RunConfig
from aswa.config.members import GROUPS, RECIPES, composed_of, members, template
from aswa.config.schema import Misfit
from aswa.files import conf_dir
from aswa.registry import MERGES, METHODS, MODELS, mixings


@functools.cache
def load(*overrides: str) -> RunConfig:
    """`aswa.config.load`, which takes a tenth of a second, once for equal words."""
    return aswa.config.load(overrides)


ON_DISK = ("gpt_lora", "hf_causal_lm", "language_lora")  # need weights of a run, or a folder
CHOICES = [
    (group, member)
    for group in GROUPS
    for member in members(group)
    if member not in ON_DISK and "/" not in member  # such as by_model/quick_gpt, a part of quick
]
KINDS = {
    (group, member): yaml.safe_load((conf_dir() / group / f"{member}.yaml").read_text())["kind"]
    for group in ("dataset", "model", "task")
    for member in members(group)
}
# A dataset and a model of each kind, to stand beside the member that is tried.
PARTNERS = {
    "knowledge_graph": ("umls", "keci", []),
    "images": ("cifar10", "vgg16", ["lr=0.01"]),
    "sparse": ("wordnet_nouns", "l1_logistic", ["optimizer=merges"]),
    "text": ("austen", "gpt", ["lr=0.001"]),
}
KINDS |= {
    ("optimizer", member): "sparse"
    for member in members("optimizer")
    if composed_of("optimizer", member) & MERGES.keys()
}


def test_every_folder_of_conf_is_a_group() -> None:
    """`analysis` is not composed into a run; aswa-analyze reads it."""
    folders = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    assert folders - {"analysis"} == set(GROUPS)
    assert all(members(group) for group in GROUPS)


@pytest.mark.parametrize(("group", "member"), CHOICES)
def test_every_member_of_every_group_composes(group: str, member: str) -> None:
    """And resolves."""
    kind = KINDS.get((group, member), "knowledge_graph")
    dataset, model, more = PARTNERS[kind]
    words = [f"dataset={dataset}", f"model={model}", *more, f"{group}={member}"]
    if group in RECIPES:
        words = [f"{group}={member}"]
    if group == "dataset" and kind == "knowledge_graph":
        words.append("lr=0.01")
    if member in ("own", "own_sparse", "own_text"):
        words += ["dataset.folder=mine", f"dataset.name={member}"]
    config = load(*words)
    if group in RECIPES:
        assert config.optimizer in members("optimizer")
    else:
        chosen = getattr(config, group)
        name = getattr(chosen, "name", chosen)
        assert name in mixings() if group == "population" else name == member


FILES = [
    path for path in sorted((conf_dir() / "experiment").glob("*.yaml")) if path.stem not in ON_DISK
]


def axes_of(path: Path) -> dict[str, list[str]]:
    """The axes of a recipe's sweep but the seeds: key → overrides."""
    recipe = yaml.safe_load(path.read_text())
    if "hydra" not in recipe:  # one run, or a variant of another recipe, with that one's sweep
        first = recipe["defaults"][0]
        return axes_of(path.with_stem(first)) if isinstance(first, str) else {}
    return {
        key: [f"{key}={value}" for value in str(values).split(",")]
        for key, values in recipe["hydra"]["sweeper"]["params"].items()
        if not str(values).startswith("range")
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_of_a_recipe_can_start(path: Path) -> None:
    """Each value of each axis once."""
    axes = axes_of(path).values()
    for number in range(max(map(len, axes), default=1)):
        load(f"experiment={path.stem}", *(values[number % len(values)] for values in axes))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_run_of_a_recipe_can_start(path: Path) -> None:
    """All names of its sweep fit together, but for pairs that a sweep leaves out."""
    axes = axes_of(path)
    keys = ("dataset", "model", "optimizer", "dataset.ood")
    names = [axes.pop(key) for key in keys if key in axes]
    left_out = 0
    for words in itertools.product(*names):
        try:
            load(f"experiment={path.stem}", *words)
        except Misfit:
            left_out += 1
    assert left_out == (8 if path.stem == "uncertainty_images" else 0)  # images and themselves


@pytest.mark.parametrize("name", [*METHODS, "all"])
def test_an_optimizer_names_its_methods(name: str) -> None:
    """One method is itself; `all` is the paper's five with the same arguments as alone."""
    methods = load(f"optimizer={name}").methods
    five = ["sgd", "swa", "ema", "early_stopping", "aswa"]
    assert list(methods) == (five if name == "all" else [name])
    for method, arguments in methods.items():
        assert arguments == load(f"optimizer={method}").methods[method]


REFUSED = [
    # A misspelt name, and the nearest right one.
    ("dataset=umsl", "dataset=umsl: .*'umls'"),
    ("model=kecy", "model=kecy: .*'keci'"),
    ("optimizer=asaw", "optimizer=asaw: .*'aswa'"),
    ("base_optimizer=adan", "base_optimizer=adan: .*'adam'"),
    ("schedule=cosin", "schedule=cosin: .*'cosine'"),
    ("tracker=wnadb", "tracker=wnadb: .*'wandb'"),
    ("experiment=quik", "experiment=quik: .*'quick'"),
    ("epohcs=3", "epohcs: .*'epochs'"),
    ("+epoch=3", "epoch: .*'epochs'"),
    ("model.dmi=64", "model.dmi: .*'model.dim'"),
    ("optimizer.ema.decya=0.9", "optimizer.ema.decya: .*'optimizer.ema.decay'"),
    ("+optimizer.emma.decay=0.9", "optimizer.emma: .*'ema'"),
    ("+schedule.strat=3", "schedule.strat: no such name; there are: name"),
    ("model.objective=kvsal", "model.objective=kvsal: .*'kvsall'"),
    ("precision=bf61", "precision=bf61: .*'bf16'"),
    ("device=cud", "device=cud: .*'cuda'"),
    ("device=gpu:1", "device=gpu:1: .*'cuda'"),
    ("optimizer.swa=null", r"optimizer\.swa: .*'optimizer=\[sgd,ema,early_stopping,aswa\]'"),
    ("hydra/launcher=", "hydra/launcher=: .* joblib"),
    ("zzz=1", "zzz: no such key; the nearest of"),
    ("learning_rate=1", "learning_rate: .*'lr'"),
    ("lerning_rate=1", "lerning_rate: .*'lr'"),
    ("patience=1", r"patience: .*'optimizer\.early_stopping\.patience'"),
    # A value of the wrong type or out of range.
    ("lr=fast", "lr=fast: expected a number"),
    ("lr=0", "lr=0.*above 0"),
    ("lr=-1", "lr=-1.*above 0"),
    ("lr=nan", "lr=nan"),
    ("lr=inf", "lr=inf"),
    ("epochs=1.5", "epochs=1.5: expected a whole number"),
    ("epochs=0", "epochs=0: .*at least 1"),
    ("batch_size=0", "batch_size=0: .*at least 1"),
    ("seed=-1", "seed=-1: .*at least 0"),
    ("seed=true", "seed=True: expected a whole number"),
    ("threads=0", "threads=0: .*at least 1"),
    ("memory_budget=1", "memory_budget=1: .*at least 64"),
    ("save_weights=1", "save_weights=1: expected true or false"),
    ("data_dir=3", "data_dir=3: expected a word or null"),
    ("device=null", "device=None: expected a word"),
    ("model.dim=0", "model.dim=0: .*at least 1"),
    ("model.dim=12.5", "model.dim=12.5: .*whole number"),
    ("model.negatives=0", "model.negatives=0: .*at least 1"),
    ("model.input_dropout=1", r"model.input_dropout=1: .*\[0, 1\)"),
    ("model.hidden_dropout=-0.1", "model.hidden_dropout=-0.1: "),
    ("model.label_smoothing=1", "model.label_smoothing=1: "),
    ("model.init_scale=0", "model.init_scale=0: .*above 0"),
    ("optimizer.swa.start=256", "optimizer.swa.start=256: .*epochs=256.*at most 255"),
    # Parts that do not fit together.
    ("model=vgg16", "model=vgg16 .*dataset=umls .*distmult, complex, qmult, keci"),
    ("dataset=wn18rr", "lr: .*model=keci .*dataset=wn18rr .*lr=0.01"),
    ("lr", "lr: cannot be read as key=value"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED, ids=[word for word, _ in REFUSED])
def test_what_cannot_run_is_refused_in_words_that_help(override: str, message: str) -> None:
    """The key is named, and the nearest right name or the range."""
    with pytest.raises(ConfigError, match=f"^{message}"):
        load(override)


def test_negative_sampling_takes_no_smoothing() -> None:
    """Its labels are not smoothed, so a value would be ignored."""
    load("model.objective=negative_sampling")
    with pytest.raises(ConfigError, match=r"^model\.label_smoothing: negative_sampling"):
        load("model.objective=negative_sampling", "model.label_smoothing=0.1")


def test_all_fitting_models_are_named() -> None:
    """From the registry, so that a new one is named too."""
    with pytest.raises(ConfigError) as caught:
        load("dataset=umls", "model=vgg16")
    fitting = str(caught.value).rpartition("fit it: ")[2].split(", ")
    assert fitting == [n for n in MODELS if template("model", n)["kind"] == "knowledge_graph"]


SAME = [
    ["device=cpu"],
    ["threads=2"],
    ["data_dir=/elsewhere"],
    ["results_dir=/elsewhere"],
    ["tracker=wandb"],
    ["tracker=[wandb,csv]", "tracker.wandb.project=other"],
    ["save_weights=true"],
    ["memory_budget=512"],
    ["checkpoint_seconds=1"],
    ["dataset.folder=elsewhere"],
    ["dataset.sha256.train=null"],  # the file's own bytes count, and they are the published ones
    ["resume=restart"],
    ["dataset=umls", "model=keci", "optimizer=all", "seed=0"],
    ["experiment=tuned"],
    ["optimizer.aswa.start=null"],
]
OTHER = [
    ["seed=1"],
    ["lr=0.5"],
    ["epochs=255"],
    ["batch_size=1023"],
    ["precision=bf16"],
    ["precision=tf32"],
    ["dataset=kinship", "lr=0.01"],
    ["model=complex", "lr=0.01"],
    ["model.dim=64"],
    ["model.p=0"],
    ["model.label_smoothing=0.1"],
    ["optimizer=sgd"],
    ["optimizer=aswa"],
    ["optimizer.ema.decay=0.5"],
    ["base_optimizer=sgd"],
    ["base_optimizer.weight_decay=0.1"],
    ["schedule=cosine"],
]


@pytest.mark.parametrize("overrides", SAME, ids=" ".join)
def test_what_cannot_change_a_result_leaves_run_id(overrides: list[str]) -> None:
    """A run is found again from another machine or folder."""
    assert load(*overrides).run_id == load().run_id


def test_what_can_change_a_result_changes_run_id() -> None:
    """Each in its own way: all are different runs."""
    ids = [load().run_id, *(load(*overrides).run_id for overrides in OTHER)]
    assert len(set(ids)) == 1 + len(OTHER)
    assert all(re.fullmatch("[0-9a-f]{12}", run_id) for run_id in ids)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["lr=1"], ["lr=1.0"]),
        (["model.label_smoothing=0"], []),
        (["base_optimizer.weight_decay=0"], []),
        (["schedule=swa", "schedule.swa_lr=1"], ["schedule=swa", "schedule.swa_lr=1.0"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_equal_numbers_are_one_run(one: list[str], other: list[str]) -> None:
    """Whichever way they are written."""
    assert load(*one).run_id == load(*other).run_id


def test_the_tuned_rate_is_the_default() -> None:
    """`lr: null` stands for dataset.tuned_lr of the model; giving that number is the same run."""
    default = load("model=qmult", "dataset=kinship")
    tuned = default.dataset.tuned_lr["qmult"]
    assert default.lr == default.resolved["lr"] == tuned
    assert load("model=qmult", "dataset=kinship", f"lr={tuned}").run_id == default.run_id


def test_checking_a_configuration_imports_no_torch() -> None:
    """Nor anything else that takes seconds."""
    code = (
        "import sys, aswa.config, aswa.config.messages, aswa.sweeping.grid, aswa.train\n"
        "aswa.config.load(['model=qmult'])\n"
        "print(*{'torch', 'numpy', 'pandas', 'wandb', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["model.dmi=64"], ["model.dmi", "'model.dim'"]),
        (["dataset=umsl"], ["dataset=umsl", "'umls'"]),
        (["dataset=umls", "model=vgg16"], ["model=vgg16", "distmult, complex, qmult, keci"]),
    ],
    ids=["key", "value", "misfit"],
)
def test_aswa_train_answers_a_wrong_word_at_once(
    words: list[str], answers: list[str], tmp_path: Path
) -> None:
    """Exit code 2 and no traceback, in under five seconds, and no folder is made."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "aswa.train", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    seconds = time.perf_counter() - began
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert all(answer in done.stderr.splitlines()[-1] for answer in answers)
    assert seconds < 5
    assert not list(tmp_path.iterdir())
