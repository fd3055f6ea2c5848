"""What is declared: neutral keys, own bytes, metrics of records, and what other packages bring."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from aswa import registry
from aswa.config import ConfigError, load
from aswa.config.identity import run_id
from aswa.config.schema import flat
from aswa.data.folders import EMBEDDED
from aswa.files import conf_dir
from aswa.sweeping.plan import check_run
from aswa.sweeping.plan_cache import PlanCache
from aswa.training.session import execute
from small_sweep import SMALL, TRAIN

NEUTRAL = {
    "device", "threads", "memory_budget", "data_dir", "results_dir", "checkpoint_seconds",
    "save_weights", "save_snapshots", "resume", "tracker.name", "dataset.folder",
    "dataset.entities", "dataset.leaks", "dataset.relations", "dataset.triples", "dataset.images",
    "dataset.tuned_lr", "dataset.tuned_at", "task.folder",
}  # fmt: skip
CONFIGS = (
    ["dataset=umls", "model=keci", "optimizer=ablation"],
    ["dataset=umls", "model=distmult", "task=query_answering"],
    ["dataset=cifar10", "model=vgg16_bn", "schedule=swa", "lr=0.1"],
)


def other(value: Any) -> Any:
    """A value of the same kind that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, list):
        return value[1:] if value else ["x"]
    return f"{value}x"


@pytest.mark.parametrize("words", CONFIGS, ids=lambda words: words[0] + " " + words[-1])
def test_a_leaf_changes_run_id_or_is_declared_neutral(words: list[str]) -> None:
    resolved = load(words).resolved
    before = run_id(resolved)
    silent = set()
    for leaf, value in flat(resolved).items():
        *groups, key = leaf.split(".")
        if leaf in ("dataset.kind", "task.name"):  # they choose the schemas
            continue
        changed = copy.deepcopy(resolved)
        place = changed
        for group in groups:
            place = place[group]
        place[key] = other(value)
        if run_id(changed) == before:
            silent.add(next((name for name in NEUTRAL if leaf.startswith(name)), leaf))
    assert silent <= NEUTRAL


@pytest.fixture(autouse=True)
def no_added_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds to the search path is gone after it."""
    monkeypatch.setattr("aswa.config.members._added", [])


def own_graph(folder: Path) -> Path:
    """A conf folder with a graph of one's own, and its files: UMLS under another name."""
    shutil.copytree(EMBEDDED / "umls", folder / "data" / "mine")
    (folder / "conf" / "dataset").mkdir(parents=True)
    yaml = "name: mine\nkind: knowledge_graph\nfolder: mine\nnoise: 0.5\ntuned_lr: {}\n"
    (folder / "conf" / "dataset" / "mine.yaml").write_text(yaml)
    return folder / "conf"


def own_words(folder: Path) -> list[str]:
    return ["dataset=mine", "model=distmult", "model.dim=8", "lr=0.01", "epochs=2",
            f"data_dir={folder / 'data'}", f"results_dir={folder / 'results'}",
            f"hydra.searchpath=[file://{folder / 'conf'}]"]  # fmt: skip


def test_the_bytes_of_ones_own_graph_are_part_of_run_id(tmp_path: Path) -> None:
    """And so is a setting of a dataset that no schema knows."""
    own_graph(tmp_path)
    before = load(own_words(tmp_path))
    assert before.run_id != load([*own_words(tmp_path), "dataset.noise=0.6"]).run_id
    with (tmp_path / "data" / "mine" / "train.txt").open("a") as file:
        file.write("a\tb\tc\n")
    after = load(own_words(tmp_path))
    assert after.run_id != before.run_id
    assert after.resolved["dataset"]["sha256"].keys() == {"train", "valid", "test"}


def test_an_explicit_data_dir_without_the_dataset_is_an_error(tmp_path: Path) -> None:
    """The copy in the package does not stand in for it."""
    config = load([*SMALL, f"data_dir={tmp_path}", f"results_dir={tmp_path / 'results'}"])
    with pytest.raises(ConfigError, match="data_dir="):
        execute(config)


def test_a_plan_sees_that_query_files_changed(tmp_path: Path) -> None:
    """Also a cache of planned runs that was written before."""
    (tmp_path / "queries").mkdir()
    file = tmp_path / "queries" / "test-queries.pkl"
    file.write_bytes(b"one")
    words = [*SMALL, "task=query_answering", f"task.folder={tmp_path / 'queries'}"]
    folders = []
    for content in (b"one", b"one", b"another"):
        file.write_bytes(content)
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            master = loader.load_configuration("config", [], RunMode.MULTIRUN)
            cache = PlanCache(master, loader, tmp_path)
            folders.append(cache.of(words).folder)
            cache.save()
    assert folders[0] == folders[1] != folders[2]


def test_every_metric_of_a_record_has_label_and_direction(tmp_path: Path) -> None:
    few = ["task=query_answering", "task.queries=5", "task.structures=[1p,2in]"]
    record = execute(load([*SMALL, *few, "epochs=2", f"results_dir={tmp_path}"]))
    metrics = {row["metric"] for row in record["rows"]}
    assert metrics == record["metrics"].keys()
    for name, described in record["metrics"].items():
        assert described["higher_is_better"] is (name != "loss")
        assert described["label"] and described["family"] in ("triples", "queries", "loss")
    assert record["metrics"]["mrr_2in"]["part"] == "2in queries"
    assert record["schema"] == 2
    assert record["setting_ids"]["methods"].keys() == record["methods"].keys()


PACKAGE = {
    "toy.py": """
from aswa.averaging import SWA
from aswa.models.kge.bilinear import BilinearModel

class Shifted(BilinearModel):
    def compose(self, h, r):
        return h + r

class Lazy(SWA):
    pass
""",
    "toy_conf/__init__.py": "",
    "toy_conf/model/shifted.yaml": "name: shifted\nkind: knowledge_graph\ndim: 8\n"
    "input_dropout: 0.0\nhidden_dropout: 0.0\ninit_scale: 0.1\nobjective: kvsall\n"
    "label_smoothing: 0.0\nnegatives: 4\n",
    "toy_conf/optimizer/lazy.yaml": "name: lazy\nlazy: {start: 1}\n",
    "toy-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1\n",
    "toy-1.dist-info/entry_points.txt": "[aswa.models]\nshifted = toy:Shifted\n"
    "[aswa.methods]\nlazy = toy:Lazy\n[aswa.conf]\ntoy = toy_conf\n",
}


@pytest.mark.slow
def test_models_methods_and_conf_of_other_packages_are_found(tmp_path: Path) -> None:
    """By entry points, in a process of its own."""
    for name, content in PACKAGE.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])
    command = [*TRAIN, "dataset=umls", "model=shifted", "optimizer=lazy", "epochs=3", "lr=0.01",
               f"results_dir={tmp_path / 'results'}"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": found}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("results/runs/umls/shifted/*/result.json"))) == 1


def test_a_model_that_is_no_link_predictor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words that say what to subclass."""
    monkeypatch.setitem(registry.models(), "distmult", "torch.nn:Identity")
    with pytest.raises(ConfigError, match="LinkPredictor"):
        check_run(load(list(SMALL)))
