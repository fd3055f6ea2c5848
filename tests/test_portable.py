"""Nothing here needs Linux: modules, calls and file names that Windows has not."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "aswa"

# A Python without the modules and calls that Windows lacks, from the first import on.
WITHOUT_UNIX = """
import os, signal, sys, time
ABSENT = {"fcntl", "grp", "pwd", "resource", "termios"}
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
for name in ABSENT:
    sys.modules.pop(name, None)
for module, names in {
    os: ("fork", "getuid", "getloadavg", "sched_getaffinity", "killpg"),
    signal: ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP"),
}.items():
    for name in names:
        delattr(module, name)
"""


def without_unix(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-X", "warn_default_encoding", "-c", WITHOUT_UNIX + code]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)


def test_the_library_needs_nothing_of_unix(tmp_path: Path) -> None:
    code = """
from torch import nn
from aswa import ASWA, EMA, SWA
model = nn.Linear(2, 1)
for method in (ASWA, SWA, EMA):
    averager = method(model)
    averager.step(model)
    averager.update(model, lambda module: 1.0)
    assert averager.n_averaged == 1
"""
    done = without_unix(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_needs_nothing_of_unix_and_names_the_encoding_of_its_files(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from aswa.config import load
from aswa.files import is_locked, lock
from aswa.training.session import execute
with lock(Path("x.lock")):
    assert is_locked(Path("x.lock"))
assert not is_locked(Path("x.lock"))
words = ["dataset=umls", "model=distmult", "epochs=2", "lr=0.1", "optimizer=all"]
record = execute(load([*words, "results_dir=runs"]))
assert record["status"] == "done"
"""
    done = without_unix(code, tmp_path)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "EncodingWarning" in line]
    assert not [line for line in warned if "aswa" in line]


def test_no_call_that_windows_has_not() -> None:
    """Locks are filelock's, which takes msvcrt there; `os.rename` there replaces no file."""
    absent = {"os.fork", "os.rename", "os.symlink", "os.link", "os.killpg", "os.mkfifo"}
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {name.name for name in node.names}
                assert not names & {"fcntl", "grp", "pwd", "resource", "termios"}, path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in absent, path
                if isinstance(node.func, ast.Attribute):
                    assert node.func.attr not in {"symlink_to", "hardlink_to"}, path


def test_every_text_file_is_read_and_written_as_utf_8() -> None:
    """Windows takes another encoding where none is named."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = [*map(ast.unparse, node.args), *(str(k.arg) for k in node.keywords)]
                where = f"{path.name}:{node.lineno}"
                if node.func.attr in ("read_text", "write_text"):
                    assert "'utf-8'" in given or "encoding" in given, where


def test_names_of_files_are_names_on_windows_too() -> None:
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    modes, names = zip(*(line.split(" ", 1) for line in listed.stdout.splitlines()), strict=True)
    names = [name.split("\t", 1)[1] for name in names]
    assert "120000" not in modes, "a symbolic link"
    reserved = re.compile(
        r"[<>:\"|?*\\]|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)|[. ](/|$)", re.I
    )
    assert not [name for name in names if reserved.search(name)]
    assert not [name for name, n in Counter(map(str.lower, names)).items() if n > 1]
    assert max(map(len, names)) < 200  # of the 260 that a whole path may have
