"""Which files count as right: published checksums, or trust on first use."""

from __future__ import annotations

import json
import lzma
import re
from dataclasses import replace
from pathlib import Path

import pytest

from aswa.data.fetching.sources import Published
from fetch_case import (
    A_ZIP,
    B_ZIP,
    PUBLISHED,
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


def on_trust(dataset: Published) -> Published:
    return replace(dataset, sha256={**(dataset.sha256 or {}), "train": None})


def test_trust_on_first_use(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said aloud and recorded; from then on another file is a wrong one."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset = on_trust(described(server, A_ZIP))
    sha256 = str(PUBLISHED["umls"].checksum("train"))
    assert run(tmp_path, dataset) == 0
    assert re.search(
        rf"train.txt is known.*trusted on first use.*{sha256}", capsys.readouterr().err
    )
    records = json.loads((tmp_path / "umls" / "checksums.json").read_text())
    assert records.keys() == {"train"} and records["train"]["sha256"] == sha256
    assert server.url in records["train"]["url"]
    verify = ("umls", "--verify", "--data-dir", str(tmp_path))
    assert run(tmp_path, dataset, words=verify) == 0
    assert "train.txt: recorded on first use" in capsys.readouterr().out

    first, second, *rest = UMLS["train"].splitlines(keepends=True)
    other = b"".join([second, first, *rest])  # no count differs
    (tmp_path / "umls" / "train.txt").write_bytes(other)
    assert run(tmp_path, dataset, words=verify) == 1
    assert re.search(
        rf"train.txt: wrong: expected sha256 {sha256} \(recorded 2", capsys.readouterr().out
    )
    server.answers["/a.zip"] = Answer(zipped(in_folder("KGs/UMLS", {**UMLS, "train": other})))
    assert run(tmp_path, dataset) == 1, "the publisher changed it too: no silent replacement"
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, dataset) == 0
    assert_there(tmp_path / "umls")
    assert (tmp_path / "umls" / "train.txt.wrong").read_bytes() == other
    (tmp_path / "umls" / "train.txt").write_bytes(b"mine\tis\tthis\n")
    assert run(tmp_path, dataset) == 0
    assert (tmp_path / "umls" / "train.txt.wrong").read_bytes() == other
    assert (tmp_path / "umls" / "train.txt.wrong2").read_bytes() == b"mine\tis\tthis\n"


@pytest.mark.parametrize("wrong", ["triples", "entities"])
def test_trust_needs_the_published_counts(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    lines = UMLS["train"].splitlines(keepends=True)
    changed = lines[1:] if wrong == "triples" else [b"new\tisa\tvirus\n", *lines[1:]]
    body = zipped(in_folder("KGs/UMLS", {**UMLS, "train": b"".join(changed)}))
    server.answers["/a.zip"] = Answer(body)
    assert run(tmp_path, on_trust(described(server, A_ZIP))) == 1
    numbers = {"triples": "5216 triples, found 5215", "entities": "135 entities.*, found 136"}
    assert re.search(f"expected {numbers[wrong]}", capsys.readouterr().err)
    assert not (tmp_path / "umls").exists()
    server.answers["/b.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, on_trust(described(server, A_ZIP, B_ZIP))) == 0
    assert_there(tmp_path / "umls")


def test_trust_is_for_triples_only(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that a server gives in place of the file is none, even where no count is known."""
    page = b"<html>\nsign in first\n</html>\n"
    server.answers["/a.zip"] = Answer(zipped(in_folder("KGs/UMLS", {**UMLS, "train": page})))
    unknown = replace(on_trust(described(server, A_ZIP)), triples=None, entities=None)
    assert run(tmp_path, replace(unknown, relations=None)) == 1
    assert "line 1 is no triple" in capsys.readouterr().err
    assert not (tmp_path / "umls").exists()


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
        "valid.txt.gz.wrong",
    ]
