"""Which files count as right: published checksums, or trust on first use."""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from aswa.data.fetching import UsageError
from aswa.data.fetching.checks import OK, RECORDED, WRONG, match_published
from aswa.data.fetching.graphs import inspect
from aswa.data.fetching.sources import DatasetFiles, read_datasets
from aswa.data.folders import find_split, read_split
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


def test_an_md5_decides_where_no_sha256_is_published(server: Server, tmp_path: Path) -> None:
    """Of the first file too; its sha256 is recorded, and a record of another file is replaced."""
    md5 = {"train": hashlib.md5(UMLS["train"]).hexdigest()}
    dataset, folder = replace(on_trust(described(server, A_ZIP, B_ZIP)), md5=md5), tmp_path / "umls"
    first, second, *rest = UMLS["train"].splitlines(keepends=True)
    other = b"".join([second, first, *rest])  # no count differs
    server.answers["/a.zip"] = Answer(zipped(in_folder("KGs/UMLS", {**UMLS, "train": other})))
    assert run(tmp_path, dataset) == 1
    assert not folder.exists()
    windows = {**UMLS, "train": UMLS["train"].replace(b"\n", b"\r\n")}
    server.answers["/b.zip"] = Answer(zipped(in_folder("KGs/UMLS", windows)))
    assert run(tmp_path, dataset) == 0
    assert_there(folder)
    assert states(dataset, folder) == dict.fromkeys(UMLS, OK)

    records = json.loads((folder / "checksums.json").read_text())
    assert {split: each["sha256"] for split, each in records.items()} == {
        "train": DATASETS["umls"].sha256["train"]
    }
    wrong = {"train": records["train"] | {"sha256": "0" * 64}}
    (folder / "checksums.json").write_text(json.dumps(wrong))
    assert run(tmp_path, dataset) == 0
    replaced = json.loads((folder / "checksums.json").read_text())
    assert replaced["train"]["sha256"] == records["train"]["sha256"]
    (folder / "train.txt").write_bytes(other)
    assert states(dataset, folder)["train"] == WRONG


@pytest.mark.parametrize("split", ["valid", "test"])
def test_yago_has_the_published_md5(split: str, data_dir: Path) -> None:
    """Of the two files whose md5 and sha256 are both known; train is found by its md5 alone."""
    published = {
        "valid": "2d679a906f2b1ac29d74d5c948c1ad09",
        "test": "14bf97890b2fee774dbce5f326acd189",
    }
    dataset = DATASETS["yago3_10"]
    if (path := find_split(data_dir / dataset.folder, split)) is None:
        pytest.skip(f"{data_dir / dataset.folder}: no {split}")
    content = read_split(path)
    assert match_published(content, published[split], "md5") == content
    assert match_published(content, str(dataset.sha256[split])) == content
    assert dataset.md5 == {"train": "a9da8f583ec3920570eeccf07199229a"}


def test_an_md5_of_no_split_is_named(tmp_path: Path) -> None:
    """A misspelt split would be checked by nothing."""
    (tmp_path / "x.yaml").write_text("folder: x\nkind: knowledge_graph\nmd5: {trian: abc}\n")
    with pytest.raises(UsageError, match=r"x\.yaml: md5\.trian"):
        read_datasets(tmp_path)


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
