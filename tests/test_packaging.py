"""What the package declares, what a wheel of it holds, and what runs without the extras."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["optional-dependencies"].items()
}
# Import name → distribution, where they differ.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "hydra": "hydra-core",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}


def distributions(extra: str) -> set[str]:
    """Canonical names of what an extra brings, extras within it included."""
    found: set[str] = set()
    for requirement in EXTRAS[extra]:
        if requirement.name == "aswa":
            found = found.union(*(distributions(inner) for inner in requirement.extras))
        else:
            found.add(canonicalize_name(requirement.name))
    return found


def imported(paths: list[Path]) -> Iterator[str]:
    """Distributions that files import when they are loaded; imports inside functions are left."""
    for path in paths:
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            for name in (name.partition(".")[0] for name in names):
                if name not in {*sys.stdlib_module_names, "aswa"}:
                    yield canonicalize_name(DISTRIBUTIONS.get(name, name))


SOURCE = ROOT / "src" / "aswa"
ROOMS = {
    "averaging": (["averaging", "__init__.py"], set()),
    "analysis": (["analysis", "results", "analyze.py", "files.py"], distributions("analysis")),
    "lightning": (
        ["integrations/lightning.py", "integrations/lightning_passes.py"],
        distributions("lightning"),
    ),
    "transformers": (
        ["integrations/transformers.py", "integrations/trainer_checkpoint.py"],
        distributions("transformers"),
    ),
    "sparse": (["merging"], distributions("sparse")),
    "experiments": (["."], distributions("experiments")),
}
# Extras for training loops of other packages; nothing of this one needs them.
INTEGRATIONS = {"lightning", "transformers", "llm"}


@pytest.mark.parametrize("extra", ROOMS)
def test_an_extra_brings_what_its_rooms_import(extra: str) -> None:
    places, brought = ROOMS[extra]
    paths = [path for place in places for path in _python_files(SOURCE / place)]
    if extra == "experiments":
        analysis = [*_python_files(SOURCE / "analysis"), SOURCE / "analyze.py"]
        integrations = _python_files(SOURCE / "integrations")
        merging = _python_files(SOURCE / "merging")
        paths = [path for path in paths if path not in [*analysis, *integrations, *merging]]
    assert set(imported(paths)) <= brought | {"torch"}


def _python_files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


TRAINED = "from aswa.train import main; sys.argv[0] = 'aswa-train'; main()"


def test_the_library_needs_torch_alone() -> None:
    assert [Requirement(line).name for line in PROJECT["dependencies"]] == ["torch"]
    users = EXTRAS.keys() - {"all", "test", "lint", "site"} - INTEGRATIONS
    assert distributions("all") == set().union(*map(distributions, users))


def test_environment_yml_takes_its_versions_from_pyproject() -> None:
    *plain, last = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    packages = {Requirement(line).name: str(Requirement(line).specifier) for line in plain}
    assert packages == {"python": PROJECT["requires-python"], "pip": ""}
    assert last == {"pip": ["-e .[all]"]}


def test_constraints_are_exact_and_within_the_bounds_of_pyproject() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line).groups()  # type: ignore[union-attr]
            pins[name] = version
    declared = [Requirement(line) for line in PROJECT["dependencies"]]
    declared += [each for extra in EXTRAS.values() for each in extra if each.name != "aswa"]
    for requirement in declared:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.slow
def test_a_wheel_lists_torch_alone_and_holds_conf(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        message = Parser().parsestr(wheel.read(metadata).decode())
    requirements = [Requirement(line) for line in message.get_all("Requires-Dist", [])]
    always = [each.name for each in requirements if "extra" not in str(each.marker)]
    assert always == ["torch"]
    for folder, inside in (("conf", "aswa/conf"), ("src", ".")):
        files = (ROOT / folder).rglob("*.yaml" if folder == "conf" else "*.py")
        expected = {(Path(inside) / path.relative_to(ROOT / folder)).as_posix() for path in files}
        assert expected <= names


@pytest.mark.slow
def test_the_wheel_of_the_sdist_runs_away_from_the_checkout(tmp_path: Path) -> None:
    """The cheap form of scripts/try_package.sh, which installs torch as well."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        file.extractall(tmp_path, filter="data")
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*build, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "away").mkdir()
    words = ["dataset=umls", "model=distmult", "epochs=1", "lr=0.1", "results_dir=runs"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, aswa; print(aswa.__file__); {TRAINED}", *words],
        cwd=tmp_path / "away",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "site") in done.stdout
    assert "test mrr" in done.stdout
    assert (tmp_path / "site" / "aswa" / "py.typed").is_file()


# A Python in which nothing but torch and what torch needs is installed.
BARE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""
BY_TORCH = {"torch", "filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions"}


def run_bare(code: str) -> subprocess.CompletedProcess[str]:
    names = {name: dist for dist, name in DISTRIBUTIONS.items()}
    hidden = {names.get(dist, dist.replace("-", "_")) for dist in distributions("all") - BY_TORCH}
    code = BARE.format(hidden=hidden | {"hydra_plugins"}) + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_averaging_runs_where_torch_alone_is_installed() -> None:
    code = """
from torch import nn
from aswa import ASWA
model = nn.Linear(2, 1)
aswa = ASWA(model)
print(aswa.update(model, lambda module: 1.0).value)
"""
    done = run_bare(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hard\n"


@pytest.mark.parametrize("command", sorted(PROJECT["scripts"]))
def test_a_command_without_its_extra_names_it(command: str) -> None:
    module, _, function = PROJECT["scripts"][command].partition(":")
    code = f"sys.argv = [{command!r}, '--help']\nfrom {module} import {function} as main\n"
    done = run_bare(code + "sys.exit(main())\n")
    extra = "analysis" if command == "aswa-analyze" else "experiments"
    assert done.returncode != 0
    assert f"aswa[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr
