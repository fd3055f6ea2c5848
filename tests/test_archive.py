"""Archives: only the files that were meant, and no more bytes than allowed."""

from __future__ import annotations

import gzip
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aswa.data.fetching.archive import Unreadable, copy_member, copy_unpacked, members
from fetch_case import (
    UMLS,
    assert_there,
    described,
    in_folder,
    run,
    tarred,
    zipped,
)
from fetch_server import Answer, Server

pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.path,))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.xz", ".zip"])
def test_a_hostile_archive_writes_and_runs_nothing(
    server: Server, tmp_path: Path, ending: str
) -> None:
    """Paths that lead out, links and devices in place of files, a pickle: all passed over."""
    data, trap = tmp_path / "x" / "data", tmp_path / "sprung"
    bad = {
        "../../escaped/train.txt": b"out",
        f"{tmp_path}/absolute/valid.txt": b"out",
        "umls/entities.p": pickle.dumps(Trap(trap)),
    }
    links = (
        link("umls/train.txt", "/etc/passwd"),
        link("elsewhere", str(tmp_path)),
        link("umls/valid.txt", "/etc/passwd", tarfile.LNKTYPE),
        link("umls/test.txt", "", tarfile.FIFOTYPE),
    )
    good = in_folder("release/text", UMLS)
    body = zipped(bad | good)
    if ending != ".zip":
        body = tarred(bad | good, f"w:{ending.removeprefix('.tar.')}", links)
    path = tmp_path / f"a{ending}"
    path.write_bytes(body)
    assert sorted(members(path, ending)) == sorted([*good, "umls/entities.p"])
    server.answers[f"/a{ending}"] = Answer(body)
    before = sorted(tmp_path.rglob("*"))
    # The member named is a link; the one file that can be meant is taken instead.
    assert run(data, described(server, (f"/a{ending}", "umls/{split}.txt"))) == 0
    assert_there(data / "umls")
    assert not trap.exists()
    outside = [p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "x")]
    assert sorted(outside) == before


def test_a_link_in_a_zip_is_no_file(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("umls/train.txt")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert members(tmp_path / "a.zip", ".zip") == []


def test_what_an_archive_unfolds_to_is_bounded(tmp_path: Path) -> None:
    """Also where the large member is one that is passed over."""
    large = bytes(10**6)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.txt", large)
    (tmp_path / "a.tar.gz").write_bytes(tarred({"large": large, "train.txt": b"x"}))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(large))
    target, limit = tmp_path / "out", 10**5
    for reading in (
        lambda: copy_member(tmp_path / "a.zip", ".zip", "train.txt", target, limit),
        lambda: copy_member(tmp_path / "a.tar.gz", ".tar.gz", "train.txt", target, limit),
        lambda: members(tmp_path / "a.tar.gz", ".tar.gz", limit),
        lambda: copy_unpacked(tmp_path / "a.txt.gz", ".gz", target, limit),
    ):
        with pytest.raises(Unreadable, match="more than 100,000 bytes"):
            reading()
        assert not target.exists() or target.stat().st_size <= limit
