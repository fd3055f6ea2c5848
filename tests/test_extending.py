"""docs/extending.md is complete: its files, written into a copy of the project, run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEAD = re.compile(
    r"# (?:file: (?P<file>\S+)$|line in (?P<table>\w+) of (?P<registry>\S+)"
    r"|import in (?P<importing>\S+))"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with everything that the page adds to it."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(copy / "src/aswa/data/embedded/umls", copy / "data/toy")
    for _, text in BLOCK.findall(PAGE.read_text()):
        head, _, body = text.partition("\n")
        if (found := HEAD.match(head)) is not None:
            _apply(copy, found, body)
    _install(copy)
    return copy


def _apply(copy: Path, head: re.Match[str], body: str) -> None:
    """Write a file, or put a line where the page says."""
    if head["file"]:
        path = copy / head["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    elif head["registry"]:
        path, start = copy / head["registry"], rf"\n( *){head['table']}(:.*)? ?= ?{{\n"
        text, n = re.subn(start, lambda m: f"{m[0]}{m[1]}    {body}", path.read_text())
        assert n == 1, head.string
        path.write_text(text)
    elif head["importing"]:
        path = copy / head["importing"]
        path.write_text(path.read_text().replace("\nfrom aswa", f"\n{body}from aswa", 1))


def _install(copy: Path) -> None:
    """What `pip install` leaves of the page's package: its files, and their entry points."""
    for folder in ("", "conf"):
        (copy / "aswa_spirals" / folder / "__init__.py").touch()
    (toml,) = (text for language, text in BLOCK.findall(PAGE.read_text()) if language == "toml")
    groups = tomllib.loads(toml)["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in each.items())
        for group, each in groups.items()
    ]
    info = copy / "aswa_spirals-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aswa-spirals\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("\n".join(lines))


def run(project: Path, *words: str) -> None:
    path = os.pathsep.join([str(project / "src"), str(project)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


COMMANDS = [
    text.strip() for language, text in BLOCK.findall(PAGE.read_text()) if language == "bash"
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, project: Path, tmp_path: Path) -> None:
    """Every metric of its record has a label and a direction."""
    name, *words = shlex.split(command)
    assert name == "aswa-train"
    run(project, "-m", "aswa.train", *words, f"results_dir={tmp_path}", "device=cpu")
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    record = json.loads(path.read_text())
    assert record["metrics"]
    assert {row["metric"] for row in record["rows"]} <= record["metrics"].keys()
    for metric in record["metrics"].values():
        assert metric["label"] and metric["higher_is_better"] is not None


def test_a_sixth_population_is_three_files(project: Path, tmp_path: Path) -> None:
    """A Python file, a YAML file, a line in the registry; then it trains, and one member is SGD."""
    section = PAGE.read_text().partition("## A mixing\n")[2].partition("\n## ")[0]
    heads = [HEAD.match(text.partition("\n")[0]) for _, text in BLOCK.findall(section)]
    written = [head["file"] or head["registry"] for head in heads if head]
    assert written == [
        "src/aswa/averaging/mixing/follow.py",
        "conf/population/follow.yaml",
        "src/aswa/registry.py",
    ]
    small = ("dataset=umls", "model=distmult", "model.dim=8", "optimizer=sgd", "epochs=2", "lr=0.1")
    found = {}
    for members in (1, 3):
        words = ("population=follow", f"population.members={members}", f"results_dir={tmp_path}")
        run(project, "-m", "aswa.train", *small, *words)
    for path in tmp_path.glob("runs/*/*/*/result.json"):
        record = json.loads(path.read_text())
        found[record["config"]["population"]["members"]] = record
    assert {row["optimizer"] for row in found[1]["rows"]} == {"sgd"}
    assert found[3]["population"]["numbers_sent"] > 0
