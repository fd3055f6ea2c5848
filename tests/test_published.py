"""Which files count as right: published checksums, or trust on first use."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from aswa.data.fetching.checks import OK, RECORDED, WRONG
from aswa.data.fetching.graphs import inspect
from aswa.data.fetching.sources import DatasetFiles
from fetch_case import (
    A_ZIP,
    B_ZIP,
    DATASETS,
    UMLS,
    UMLS_ZIP,
    assert_there,
    described,
    in_folder,
    run,
    zipped,
)
from fetch_server import Answer, Server

pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


def on_trust(dataset: DatasetFiles) -> DatasetFiles:
    return replace(dataset, sha256={**dataset.sha256, "train": None})


def states(dataset: DatasetFiles, folder: Path) -> dict[str, str]:
    return {split: found.state for split, found in inspect(dataset, folder).items()}


def test_trust_on_first_use(server: Server, tmp_path: Path) -> None:
    """The first file is recorded; from then on another file is a wrong one."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset, folder = on_trust(described(server, A_ZIP)), tmp_path / "umls"
    assert run(tmp_path, dataset) == 0
    records = json.loads((folder / "checksums.json").read_text())
    assert records.keys() == {"train"}
    assert records["train"]["sha256"] == DATASETS["umls"].sha256["train"]
    assert server.url in records["train"]["url"]
    assert states(dataset, folder) == {"train": RECORDED, "valid": OK, "test": OK}

    first, second, *rest = UMLS["train"].splitlines(keepends=True)
    other = b"".join([second, first, *rest])  # no count differs
    (folder / "train.txt").write_bytes(other)
    assert states(dataset, folder)["train"] == WRONG
    assert run(tmp_path, dataset, words=("umls", "--verify", "--data-dir", str(tmp_path))) == 1
    server.answers["/a.zip"] = Answer(zipped(in_folder("KGs/UMLS", {**UMLS, "train": other})))
    assert run(tmp_path, dataset) == 1, "the publisher changed it too: no silent replacement"
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, dataset) == 0
    assert_there(folder)
    (folder / "train.txt").write_bytes(b"mine\tis\tthis\n")
    assert run(tmp_path, dataset) == 0
    assert (folder / "train.txt.wrong1").read_bytes() == other
    assert (folder / "train.txt.wrong2").read_bytes() == b"mine\tis\tthis\n"

    (folder / "checksums.json").write_text("[1]")
    assert run(tmp_path, dataset) == 1
    assert run(tmp_path, dataset, words=("--verify", "--data-dir", str(tmp_path))) == 1


@pytest.mark.parametrize("wrong", ["a row less", "a page"])
def test_trust_is_for_triples_in_the_published_number(
    server: Server, tmp_path: Path, wrong: str
) -> None:
    """A page that a server gives in place of the file is none, even where no count is known."""
    first, *others = UMLS["train"].splitlines(keepends=True)
    dataset = on_trust(described(server, A_ZIP, B_ZIP))
    if wrong == "a page":
        first, dataset = b"<html>\nsign in first\n</html>\n", replace(dataset, triples={})
        others = []
    body = b"".join(others) or first
    server.answers["/a.zip"] = Answer(zipped(in_folder("KGs/UMLS", {**UMLS, "train": body})))
    assert run(tmp_path, dataset) == 1
    assert not (tmp_path / "umls").exists()
    server.answers["/b.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, dataset) == 0
    assert_there(tmp_path / "umls")


def test_files_of_before_are_recorded_by_the_next_fetch(server: Server, tmp_path: Path) -> None:
    """Nothing is downloaded for that."""
    dataset, folder = on_trust(described(server, A_ZIP)), tmp_path / "umls"
    folder.mkdir()
    for split, content in UMLS.items():
        (folder / f"{split}.txt").write_bytes(content)
    assert run(tmp_path, dataset) == 0
    assert states(dataset, folder)["train"] == RECORDED
    assert server.log == []


def test_a_damaged_file_is_replaced_alone(server: Server, tmp_path: Path) -> None:
    """What is right stays as it is, packed as it is."""
    folder = tmp_path / "umls"
    folder.mkdir()
    (folder / "train.txt.xz").write_bytes(lzma.compress(UMLS["train"]))
    (folder / "valid.txt.gz").write_bytes(b"not gzip")
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "test.txt",
        "train.txt.xz",
        "valid.txt",
        "valid.txt.gz.wrong1",
    ]
