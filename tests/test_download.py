"""Downloads from a server that behaves badly: right files or a clear error."""

from __future__ import annotations

import lzma
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aswa.data.fetching import download
from aswa.data.fetching.download import Downloads
from aswa.data.fetching.sources import Published
from aswa.data.folders import SPLITS
from aswa.files import conf_dir
from fetch_case import (
    A_ZIP,
    B_ZIP,
    QUICK,
    UMLS,
    UMLS_ZIP,
    assert_there,
    described,
    in_folder,
    leftovers,
    run,
    zipped,
)
from fetch_server import Answer, Server

pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


def test_a_cut_download_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    size = len(UMLS_ZIP)
    server.answers["/a.zip"] = Answer(UMLS_ZIP, cuts=[100_000, 1, 50_000, size])
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert_there(tmp_path / "umls")
    asked = [wanted for _, wanted in server.log]
    assert asked == [None, "bytes=100000-", "bytes=100001-", "bytes=150001-"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("change", ["no", "refuses", "lies", "another version"])
def test_a_download_that_cannot_go_on_starts_over(
    server: Server, tmp_path: Path, change: str
) -> None:
    """The beginning of one version and the end of another would be no file."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP[::-1], cuts=[100_000, 0])
    assert run(tmp_path, described(server, A_ZIP)) == 1
    begun = len(server.log)
    server.answers["/a.zip"] = Answer(UMLS_ZIP, ranges=change)
    if change == "another version":
        server.answers["/a.zip"] = Answer(UMLS_ZIP, etag='"2"')
    assert run(tmp_path, described(server, A_ZIP)) == 0
    asked = [wanted for _, wanted in server.log[begun:]]
    assert asked == ["bytes=100000-"] + [None] * (change in ("refuses", "lies"))
    assert_there(tmp_path / "umls")


def test_slow_is_no_problem_and_stalled_is(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The timeout is of silence, not of the whole."""
    patience = replace(QUICK, timeout=0.4)
    server.answers["/a.zip"] = Answer(UMLS_ZIP, pace=0.08)
    began = time.monotonic()
    assert run(tmp_path / "slow", described(server, A_ZIP), patience=patience) == 0
    assert time.monotonic() - began > patience.timeout
    server.answers["/a.zip"] = Answer(UMLS_ZIP, stalls=10)
    assert run(tmp_path / "stalled", described(server, A_ZIP), patience=patience) == 1
    assert "a.zip: nothing came for 0.4 s, 3 times in a row" in capsys.readouterr().err
    assert not (tmp_path / "stalled" / "umls").exists()


@pytest.mark.parametrize("says_length", [True, False])
def test_an_endless_answer_fills_no_disk(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    says_length: bool,
) -> None:
    """Nothing is asked for again, and nothing of it stays; a file of the largest size is one."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP, says_length=says_length)
    monkeypatch.setattr(download, "LARGEST", len(UMLS_ZIP) - 1)
    assert run(tmp_path, described(server, A_ZIP)) == 1
    assert re.search(r"a\.zip: more than [0-9,]+ bytes.*--from DIR", capsys.readouterr().err)
    assert len(server.log) == 1
    assert not list((tmp_path / ".downloads").glob("*.part"))
    monkeypatch.setattr(download, "LARGEST", len(UMLS_ZIP))
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert_there(tmp_path / "umls")


SWAPPED = {**UMLS, "valid": UMLS["valid"][::-1]}
FAULTS: dict[str, tuple[Answer, str]] = {
    "404": (Answer(status=404), "HTTP Error 404"),
    "503": (Answer(status=503), "HTTP Error 503.*3 times in a row"),
    "cut for ever": (Answer(UMLS_ZIP, cuts=[50, 0]), "cut after 50 of [0-9,]+ bytes, 3 times"),
    "wrong bytes": (
        Answer(zipped(in_folder("KGs/UMLS", SWAPPED))),
        "a.zip, KGs/UMLS/valid.txt: .*expected sha256 025c98f8[0-9a-f]+, found [0-9a-f]{64}",
    ),
    "a page": (Answer(b"<html>log in first</html>"), "a.zip: cannot be read"),
    "half an archive": (Answer(UMLS_ZIP[: len(UMLS_ZIP) // 2]), "a.zip: cannot be read"),
    "a damaged archive": (
        Answer(UMLS_ZIP[:1000] + b"?" + UMLS_ZIP[1001:]),
        "a.zip: cannot be read.*CRC",
    ),
    "another archive": (Answer(zipped({"x/readme": b""})), r"no KGs/UMLS.*it holds x/readme"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_source_is_named_and_the_mirror_taken(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """Without a mirror nothing is under the final name."""
    answer, message = FAULTS[fault]
    server.answers["/a.zip"] = answer
    assert run(tmp_path, described(server, A_ZIP)) == 1
    said = capsys.readouterr().err
    assert re.search(f"{server.url}/.*{message}", said), said
    assert "use --from DIR" in said
    assert not (tmp_path / "umls").exists()

    server.answers["/b.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, described(server, A_ZIP, B_ZIP)) == 0
    assert_there(tmp_path / "umls")
    assert leftovers(tmp_path) == []
    asked = len(server.log)
    assert run(tmp_path, described(server, A_ZIP, B_ZIP)) == 0
    assert len(server.log) == asked, "what is there is not downloaded again"


def test_a_mirror_may_have_other_line_ends(server: Server, tmp_path: Path) -> None:
    """Single files, packed or not; the checksum decides that nothing else differs."""
    for split, content in UMLS.items():
        changed = content.replace(b"\n", b"\r\n").rstrip(b"\r\n")
        server.answers[f"/umls/{split}.txt.xz"] = Answer(lzma.compress(changed))
    assert run(tmp_path, described(server, ("/umls/{split}.txt.xz", None))) == 0
    assert_there(tmp_path / "umls")


SCRIPT = (
    "import sys, pathlib\n"
    "from aswa.fetch import main\n"
    "from aswa.data.fetching.sources import read_published\n"
    "sys.exit(main(sys.argv[2:], read_published(pathlib.Path(sys.argv[1]))))"
)


def start(conf: Path, data: Path, dataset: Published) -> subprocess.Popen[str]:
    """The command in a process of its own, on a conf/dataset of its own."""
    conf.mkdir(exist_ok=True)
    values = yaml.safe_load((conf_dir() / "dataset" / f"{dataset.name}.yaml").read_text())
    values["sources"] = [{"url": s.url, "member": s.member} for s in dataset.sources]
    (conf / f"{dataset.name}.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-c", SCRIPT, str(conf), dataset.name, "--data-dir", str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    """The second waits, says so, and finds it done."""
    gate = threading.Event()
    server.answers["/a.zip"] = Answer(UMLS_ZIP, gate=gate)
    first = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    until = time.monotonic() + 20
    while not server.log and time.monotonic() < until:
        time.sleep(0.01)
    second = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    assert second.stderr and "another process is fetching it" in second.stderr.readline()
    gate.set()
    assert first.communicate(timeout=20)[0].startswith("umls: fetched")
    assert second.communicate(timeout=20)[0].startswith("umls: was there already")
    assert len(server.log) == 1
    assert_there(tmp_path / "umls")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_leaves_nothing_that_breaks_the_next(
    server: Server, tmp_path: Path, by: signal.Signals
) -> None:
    """kill -9 or Ctrl-C: the next one goes on with what had come."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP, stalls=200_000)
    process = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    parts, until = list[Path](), time.monotonic() + 20
    while time.monotonic() < until and not (parts and parts[0].stat().st_size == 200_000):
        parts = list((tmp_path / ".downloads").glob("*.part"))
        time.sleep(0.01)
    process.send_signal(by)
    said = process.communicate(timeout=20)[1]
    if by == signal.SIGINT:
        assert process.returncode == 130 and "interrupted; the same command goes on" in said
    assert not (tmp_path / "umls").exists()
    stage = tmp_path / ".downloads" / "umls.new"  # as if it had died while unpacking
    (stage / "train.txt").write_bytes(UMLS["train"][:1000])
    (stage / ".valid.txt.tmp").write_bytes(b"half")
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert server.log[-1] == ("/a.zip", "bytes=200000-")
    assert_there(tmp_path / "umls")
    assert leftovers(tmp_path) == []
    assert sorted(p.name for p in (tmp_path / "umls").iterdir()) == sorted(
        f"{split}.txt" for split in SPLITS
    )


def test_the_disk_is_full(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a data folder that cannot be made; both name the place and --data-dir."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset = described(server, A_ZIP)
    downloads = Downloads(tmp_path / ".downloads", QUICK, print)
    part = downloads._path(dataset.sources[0].url, "part")
    part.parent.mkdir()
    part.symlink_to(full)
    assert run(tmp_path, dataset) == 1
    assert re.search(r"part: the disk is full; .*--data-dir", capsys.readouterr().err)
    (tmp_path / "file").touch()
    assert run(tmp_path / "file", dataset) == 1
    assert re.search(r"file/\.downloads.*--data-dir", capsys.readouterr().err)
