"""The pages are true: snippets run, links lead somewhere, commands and test names exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aswa.averaging import ASWA

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    [README, *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Pages whose snippets run; those of the other pages are fragments.
RUN = [README, ROOT / "docs" / "averaging.md"]


def snippets(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language, without the indentation of the list they may stand in."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def names() -> dict[str, Any]:
    """What the snippets take for granted: a small model, its data, and a loop around it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    inputs = torch.randn(64, 4)
    labels = (inputs.sum(1) > 0).long()
    batches = list(zip(inputs.split(16), labels.split(16), strict=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train_one_batch(model: nn.Module, batch: Any, optimizer: Any) -> None:
        loss = nn.functional.cross_entropy(model.train()(batch[0]), batch[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def train_one_epoch(model: nn.Module, loader: Any, optimizer: Any) -> None:
        for batch in loader:
            train_one_batch(model, batch, optimizer)

    def evaluate(module: nn.Module) -> float:
        return float((module.eval()(inputs).argmax(1) == labels).float().mean())

    return {
        "model": model, "optimizer": optimizer, "loader": batches, "batches": batches,
        "epochs": 3, "evaluate": evaluate, "train_one_batch": train_one_batch,
        "train_one_epoch": train_one_epoch, "torch": torch, "aswa": ASWA(model, batches=batches),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:the batch-norm statistics")  # README names the caveat
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in one namespace."""
    monkeypatch.chdir(tmp_path)
    namespace = names()
    texts = snippets(page, "python")
    assert texts
    for text in texts:
        exec(compile(text, str(page), "exec"), namespace)
    assert namespace["aswa"].n_averaged > 0 or page != README


@pytest.mark.filterwarnings("ignore:the batch-norm statistics")
def test_the_saved_average_is_the_model_without_prefixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = names()
    exec(snippets(README, "python")[0], namespace)
    saved = torch.load("averaged.pt")
    assert saved.keys() == namespace["model"].state_dict().keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and headings that a link names. Addresses on the web are not tried."""
    for target in LINK.findall(page.read_text()):
        if re.match("[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not heading or heading in headings(path), target


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    """Targets of make, console commands, modules of benchmarks, members of conf's groups."""
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text, re.MULTILINE)) <= targets
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(re.findall(r"(?:^|`)(aswa-[a-z]+)\b", text, re.MULTILINE)) <= scripts.keys()
    for module in re.findall(r"-m (benchmarks(?:\.\w+)+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module
    for name in re.findall(r"experiment=(\w+)", text):
        assert (ROOT / "conf" / "experiment" / f"{name}.yaml").is_file(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"`((?:src|conf|scripts|tests|benchmarks|docs)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 150
