"""Rules of the house: who may import whom, how long a file is, what a new room costs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from aswa.results.store import read_result

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "aswa"
FILES = sorted(SOURCE.rglob("*.py"))

# Room → what it must not import.
FORBIDDEN = {
    "averaging": "aswa.(?!averaging)|hydra|omegaconf|numpy|torchvision",
    "models": "aswa.(tasks|training|averaging|results|analysis|train|analyze|fetch)",
    "data": "aswa.(tasks|training|averaging|models|results|analysis|train|analyze|fetch)",
    "tasks": "aswa.(training|results|analysis|train|analyze|fetch)",
    "training": "aswa.(analysis|train$|analyze|fetch)",
    "results": "torch|aswa.(tasks|training|averaging|models|data|analysis|train|analyze|fetch)",
    "sweeping": "torch|aswa.(tasks|training|averaging|models|analysis|train$|analyze|fetch)",
    "analysis": "torch|aswa.(tasks|training|averaging|models|data|train|analyze|fetch)",
}


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, anywhere in it; relative ones do not occur."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_dependencies_point_one_way(room: str) -> None:
    """train → tasks → {models, data}, training → averaging, analysis → results."""
    files = sorted((SOURCE / room).rglob("*.py"))
    assert files
    for path in files:
        wrong = [name for name in imports(path) if re.match(FORBIDDEN[room], name)]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_averaging_imports_torch_and_the_standard_library_only() -> None:
    """So that it can be lifted out."""
    allowed = {"torch", "aswa", *sys.stdlib_module_names}
    found = {
        name.partition(".")[0] for p in (SOURCE / "averaging").glob("*.py") for name in imports(p)
    }
    assert found <= allowed, found - allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_of_readable_length(path: Path) -> None:
    """And has a name that says what is in it."""
    assert len(path.read_text().splitlines()) <= 350
    assert not re.search("utils|helpers|manager", path.stem)


def test_environment_yml_agrees_with_pyproject() -> None:
    """Python and every package named in both have one specifier; the rest comes from pyproject."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    specifiers = {Requirement(line).name: Requirement(line).specifier for line in declared}
    specifiers["python"] = Requirement(f"python{project['requires-python']}").specifier
    *plain, last = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert "pip" in plain
    packages = {Requirement(line).name: Requirement(line).specifier for line in plain}
    assert packages.pop("pip") == ""
    assert "python" in packages
    for name, specifier in packages.items():
        assert specifier == specifiers[name], name
    (editable,) = last["pip"]
    asked = re.fullmatch(r"-e \.\[([a-z,]+)\]", editable)
    assert asked and set(asked[1].split(",")) == {"test", "lint"} <= extras.keys()


NEW_MODEL = '''"""A toy: the head moved by the relation."""
from aswa.models.kge.bilinear import BilinearModel


class Shifted(BilinearModel):
    def compose(self, h, r):
        return h + r
'''
NEW_METHOD = '''"""Keeps the first epoch."""
from aswa.averaging.averager import Averager


class First(Averager):
    def update(self, model, evaluate):
        if not self.n_averaged:
            self._restart(model)
'''


def test_the_three_file_rule(tmp_path: Path) -> None:
    """One Python file, one YAML and one line in the registry make a model or a method; a dataset
    of a known kind is its YAML alone. In a copy of the project, a run on all three and the
    parametrised tests of models."""
    for folder in ("src/aswa", "conf", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "analysis")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source, conf = tmp_path / "src" / "aswa", tmp_path / "conf"

    (source / "models/kge/shifted.py").write_text(NEW_MODEL)
    distmult = (conf / "model/distmult.yaml").read_text()
    (conf / "model/shifted.yaml").write_text(distmult.replace("name: distmult", "name: shifted"))
    (source / "averaging/first.py").write_text(NEW_METHOD)
    (conf / "optimizer/first.yaml").write_text("name: first\nfirst: {}\n")
    registry = (source / "registry.py").read_text()
    for table, line in {
        "MODELS": '"shifted": Entry("aswa.models.kge.shifted:Shifted", "knowledge_graph"),',
        "AVERAGERS": '"first": "aswa.averaging.first:First",',
    }.items():
        registry, n = re.subn(rf"(\n{table}: .*= {{)\n", rf"\1\n    {line}\n", registry)
        assert n == 1
    (source / "registry.py").write_text(registry)
    shutil.copytree(source / "data/embedded/umls", tmp_path / "data/toy")
    umls = (conf / "dataset/umls.yaml").read_text()
    toy = umls.replace("name: umls", "name: toy").replace("folder: umls", "folder: toy")
    (conf / "dataset/toy.yaml").write_text(re.sub("tuned_lr: .*", "tuned_lr: {shifted: 0.1}", toy))

    code = (
        "import sys, pytest\n"
        "from aswa.config import load\n"
        "from aswa.training.session import execute\n"
        "execute(load(['dataset=toy', 'model=shifted', 'optimizer=first', 'epochs=2', "
        "'model.dim=16', 'data_dir=data']))\n"
        "sys.exit(pytest.main(['tests/test_models.py', '-k', 'shifted']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("results/runs/toy/shifted/*/result.json")
    record = read_result(path)
    rows = [row for row in record["rows"] if row["split"] == "test" and row["metric"] == "mrr"]
    assert [(row["optimizer"], row["epoch"]) for row in rows] == [("first", 1)]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 5
