"""Archives: only regular files, nothing on disk, and no more bytes than allowed."""

from __future__ import annotations

import gzip
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aswa.data.fetching import FetchFailed, archive
from aswa.data.fetching.archive import members
from fetch_case import UMLS, assert_there, described, in_folder, run, tarred, zipped
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
    """Paths that lead out, links and devices in place of files, a pickle: none of them matters."""
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
    # Tar members lose the slash in front when they are read.
    names = {name.lstrip("/") for name in bad | good}
    with members(path, path.name) as held:
        assert {name.lstrip("/") for name in held} == names
    server.answers[f"/a{ending}"] = Answer(body)
    before = sorted(tmp_path.rglob("*"))
    # The named member is a link, or absent; among files of the right name the checksum decides.
    assert run(data, described(server, (f"/a{ending}", "umls/{split}.txt"))) == 0
    assert_there(data / "umls")
    assert not trap.exists()
    outside = [p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "x")]
    assert sorted(outside) == before


def test_a_link_in_a_zip_is_no_file(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("umls/train.txt")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with members(tmp_path / "a.zip", "a.zip") as held:
        assert held == {}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.txt.gz"])
def test_what_an_archive_unfolds_to_is_bounded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the large member is passed over."""
    large, path = bytes(10**6), tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("train.txt", large)
    elif name == "a.tar.gz":
        path.write_bytes(tarred({"large": large, "train.txt": b"x"}))
    else:
        path.write_bytes(gzip.compress(large))
    wanted = "a.txt.gz" if name == "a.txt.gz" else "train.txt"
    with members(path, name) as held:
        assert held[wanted]()
    monkeypatch.setattr(archive, "LIMIT", 10**5)
    with pytest.raises(FetchFailed), members(path, name) as held:
        held[wanted]()
