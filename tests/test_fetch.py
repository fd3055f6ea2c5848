"""The command aswa-fetch, and what the configuration says about sources."""

from __future__ import annotations

import lzma
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aswa.data.fetching import UsageError
from aswa.data.fetching.sources import read_datasets
from aswa.data.folders import find_folder
from aswa.fetch import main
from fetch_case import (
    A_ZIP,
    DATASETS,
    KINSHIP,
    UMLS,
    UMLS_ZIP,
    assert_there,
    described,
    in_folder,
    leftovers,
    run,
    tarred,
    zipped,
)
from fetch_server import Answer, Server

pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


def test_from_a_folder(tmp_path: Path) -> None:
    """Folders by any case, packed files, archives by their name; nothing from the network."""
    given, data = tmp_path / "given", tmp_path / "data"
    (given / "UMLS").mkdir(parents=True)
    for split in ("train", "test"):
        (given / "UMLS" / f"{split}.txt.xz").write_bytes(lzma.compress(UMLS[split]))
    (given / "UMLS" / "valid.txt").write_bytes(UMLS["valid"])
    (given / "KGs.zip").write_bytes(zipped(in_folder("KGs/KINSHIP", KINSHIP)))
    words = ("--data-dir", str(data), "--from", str(given))
    assert main(["umls", "kinship", *words], DATASETS) == 0
    assert_there(data / "umls")
    assert_there(data / "kinship", KINSHIP)
    assert main(["nell-995-h75", *words], DATASETS) == 1
    assert main(["umls", "--from", str(tmp_path / "no")], DATASETS) == 2


def test_all_goes_on_after_a_failure(server: Server, tmp_path: Path) -> None:
    """One archive for several datasets is downloaded once, and gone at the end."""
    both = zipped(in_folder("KGs/UMLS", UMLS) | in_folder("KGs/KINSHIP", KINSHIP))
    server.answers["/KGs.zip"] = Answer(both)
    datasets = {
        name: described(server, ("/KGs.zip", f"KGs/{folder}/{{split}}.txt"), name=name)
        for name, folder in [("nell_995_h25", "NELL"), ("umls", "UMLS"), ("kinship", "KINSHIP")]
    }
    assert run(tmp_path, *datasets.values(), words=("all", "--data-dir", str(tmp_path))) == 1
    assert_there(tmp_path / "umls")
    assert_there(tmp_path / "kinship", KINSHIP)
    assert len(server.log) == 1
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "nell-995-h25").exists()


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every dataset, with its state."""
    for name, files in [
        ("wn18rr", {"train": b"a\tr\tb\n"}),
        ("kinship", KINSHIP),
        ("umls", {"train": UMLS["train"]}),
    ]:
        (tmp_path / name).mkdir()
        for split, content in files.items():
            (tmp_path / name / f"{split}.txt").write_bytes(content)
    assert main(["--list", "--data-dir", str(tmp_path)], DATASETS) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split()[2] for line in lines[1:]}
    states = {"kinship": "ready", "umls": "incomplete", "wn18rr": "damaged"}
    assert found == {**dict.fromkeys(DATASETS, "missing"), **states}
    assert main(["umls", "--list"], DATASETS) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2] == "embedded"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["wn18r"], 2, "wn18rr"),
        ([], 2, "--list"),
        (["umls", "--timeout", "0"], 2, "--timeout"),
        (["umls"], 0, "comes with the package"),
        (["--verify", "umls"], 0, "umls/train.txt: ok"),
        (["--verify", "FB15k-237"], 1, "`aswa-fetch fb15k_237`"),
        (["--verify"], 0, "yago3_10"),
    ],
)
def test_words(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit codes, and what a person is told."""
    assert main(words) == code
    said = capsys.readouterr()
    assert message in said.out + said.err


def test_no_torch_for_a_download() -> None:
    """The command answers at once."""
    code = "import sys, aswa.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", DATASETS)
def test_every_graph_has_mirrors(name: str) -> None:
    graph = DATASETS[name]
    assert len(graph.sources) >= 2 * (graph.kind == "knowledge_graph")
    assert all(source.url.startswith("https://") for source in graph.sources)


@pytest.mark.parametrize(
    "source",
    [
        "https://x/{split}.txt",
        {"url": "https://x/{split}.txt", "mirror": "y"},
        {"url": "file:///etc/{split}.txt"},
        {"url": "https://x/a.zip"},
        {"url": "https://x/{split}.txt", "member": "{split}.txt"},
        {"url": "https://x/train.txt"},
    ],
)
def test_a_wrong_source_is_named(source: object, tmp_path: Path) -> None:
    text = yaml.safe_dump({"folder": "x", "kind": "knowledge_graph", "sources": [source]})
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"x\.yaml: sources\[0\]"):
        read_datasets(tmp_path)


def test_what_was_fetched_is_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's cache; before, the error names the command."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset = replace(described(server, A_ZIP), folder="umls-of-mine")
    with pytest.raises(FileNotFoundError, match="`aswa-fetch umls-of-mine`"):
        find_folder("umls-of-mine", None)
    assert run(tmp_path, dataset, words=("umls-of-mine",)) == 0
    found = tmp_path / "cache" / "aswa" / "data" / "umls-of-mine"
    assert find_folder("umls-of-mine", None) == found
    assert_there(found)


@pytest.mark.parametrize(
    ("name", "inside", "ending"),
    [
        ("wn18rr", "{split}.txt", ".tar.gz"),
        ("nell_995_h100", "KGs/NELL-995-h100/{split}.txt", ".zip"),
        ("fb15k_237", "Release/{split}.txt", ".zip"),
    ],
)
def test_published_layouts(
    server: Server, tmp_path: Path, data_dir: Path, name: str, inside: str, ending: str
) -> None:
    """Archives laid out like the published ones; FB15k-237 with the Windows line ends of some."""
    folder = data_dir / DATASETS[name].folder
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    splits = {}
    for path in folder.glob("*.txt*"):
        content = path.read_bytes()
        split = path.name.partition(".")[0]
        splits[split] = lzma.decompress(content) if path.suffix == ".xz" else content
    served = {
        split: c.replace(b"\n", b"\r\n") if name == "fb15k_237" else c
        for split, c in splits.items()
    }
    files = {inside.replace("{split}", split): content for split, content in served.items()}
    body = zipped(files) if ending == ".zip" else tarred(files, "w:gz")
    server.answers[f"/a{ending}"] = Answer(body, cuts=[len(body) // 2, len(body)])
    assert run(tmp_path, described(server, (f"/a{ending}", inside), name=name)) == 0
    assert_there(tmp_path / DATASETS[name].folder, splits)
