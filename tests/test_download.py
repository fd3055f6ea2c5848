"""Downloads from a server that behaves badly: right files or a clear error."""

from __future__ import annotations

import lzma
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from aswa.data.fetching import download
from aswa.data.fetching.sources import DatasetFiles
from aswa.files import conf_dir
from fetch_case import (
    A_ZIP,
    B_ZIP,
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
    n = download.CHUNK
    server.answers["/a.zip"] = Answer(UMLS_ZIP, cuts=[9 * n, 1, n + 1, len(UMLS_ZIP)])
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert_there(tmp_path / "umls")
    asked = [wanted for _, wanted in server.log]
    assert asked == [None, f"bytes={9 * n}-", f"bytes={9 * n}-", f"bytes={10 * n}-"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("change", ["no", "refuses", "lies", "another version"])
def test_a_download_that_cannot_go_on_starts_over(
    server: Server, tmp_path: Path, change: str
) -> None:
    """The beginning of one version and the end of another would be no file."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP[::-1], cuts=[9 * download.CHUNK, 0])
    assert run(tmp_path, described(server, A_ZIP)) == 1
    begun = len(server.log)
    server.answers["/a.zip"] = Answer(UMLS_ZIP, ranges=change)
    if change == "another version":
        server.answers["/a.zip"] = Answer(UMLS_ZIP, etag='"2"')
    assert run(tmp_path, described(server, A_ZIP)) == 0
    asked = [wanted for _, wanted in server.log[begun:]]
    assert asked == [f"bytes={9 * download.CHUNK}-"] + [None] * (change in ("refuses", "lies"))
    assert_there(tmp_path / "umls")


def test_slow_is_no_problem_and_stalled_is(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout is of silence, not of the whole."""
    monkeypatch.setattr(download, "TRIES", 2)
    words = ("umls", "--timeout", "0.4", "--data-dir")
    dataset = described(server, A_ZIP)
    server.answers["/a.zip"] = Answer(UMLS_ZIP, pace=0.08)
    assert run(tmp_path, dataset, words=(*words, str(tmp_path / "slow"))) == 0
    assert len(server.log) == 1
    server.answers["/a.zip"] = Answer(UMLS_ZIP, stalls=10)
    assert run(tmp_path, dataset, words=(*words, str(tmp_path / "stalled"))) == 1
    assert len(server.log) == 3
    assert not (tmp_path / "stalled" / "umls").exists()


def test_an_endless_answer_fills_no_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked for again, and nothing of it stays; a file of the largest size is one."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP, says_length=False)
    monkeypatch.setattr(download, "LARGEST", len(UMLS_ZIP) - 1)
    assert run(tmp_path, described(server, A_ZIP)) == 1
    assert len(server.log) == 1
    assert [part.stat().st_size for part in tmp_path.rglob("part")] == [0]
    monkeypatch.setattr(download, "LARGEST", len(UMLS_ZIP))
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert_there(tmp_path / "umls")


SWAPPED = {**UMLS, "valid": UMLS["valid"][::-1]}
# What the server answers, how often it is asked, and a word of the reason.
FAULTS: dict[str, tuple[Answer, int, str]] = {
    "404": (Answer(status=404), 1, "HTTP 404"),
    "503": (Answer(status=503), 3, "HTTP 503"),
    "always cut": (Answer(UMLS_ZIP, cuts=[50, 0]), 3, "was cut"),
    "wrong bytes": (Answer(zipped(in_folder("KGs/UMLS", SWAPPED))), 1, "expected sha256 025c98f8"),
    "a page": (Answer(b"<html>log in first</html>"), 1, "cannot be read"),
    "half an archive": (Answer(UMLS_ZIP[: len(UMLS_ZIP) // 2]), 1, "cannot be read"),
    "a damaged archive": (Answer(UMLS_ZIP[:1000] + b"?" + UMLS_ZIP[1001:]), 1, "cannot be read"),
    "another archive": (Answer(zipped({"x/readme": b""})), 1, "it holds x/readme"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_source_is_named_and_the_mirror_taken(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """Without a mirror nothing is under the final name."""
    answer, requests, reason = FAULTS[fault]
    server.answers["/a.zip"] = answer
    assert run(tmp_path, described(server, A_ZIP)) == 1
    assert len(server.log) == requests
    said = capsys.readouterr().err
    assert all(word in said for word in (f"{server.url}/a.zip", reason, "--from DIR"))
    assert not (tmp_path / "umls").exists()

    server.answers["/b.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, described(server, A_ZIP, B_ZIP)) == 0
    assert_there(tmp_path / "umls")
    assert leftovers(tmp_path) == []
    asked = len(server.log)
    assert run(tmp_path, described(server, A_ZIP, B_ZIP)) == 0
    assert len(server.log) == asked, "what is there is not downloaded again"


def test_a_server_that_is_not_there_is_asked_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = described(server, A_ZIP)
    server.close()
    monkeypatch.setattr(download, "PAUSE", 60)
    assert run(tmp_path, dataset) == 1


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
    "from aswa.data.fetching.sources import read_datasets\n"
    "sys.exit(main(sys.argv[2:], read_datasets(pathlib.Path(sys.argv[1]))))"
)


def start(conf: Path, data: Path, dataset: DatasetFiles) -> subprocess.Popen[str]:
    """The command in a process of its own, on a conf/dataset of its own."""
    conf.mkdir(exist_ok=True)
    values = yaml.safe_load((conf_dir() / "dataset" / f"{dataset.name}.yaml").read_text())
    values["sources"] = [{"url": s.url, "member": s.member} for s in dataset.sources]
    (conf / f"{dataset.name}.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-c", SCRIPT, str(conf), dataset.name, "--data-dir", str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    """The second says that it waits, and finds the files."""
    gate = threading.Event()
    server.answers["/a.zip"] = Answer(UMLS_ZIP, gate=gate)
    first = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    until = time.monotonic() + 20
    while not server.log and time.monotonic() < until:
        time.sleep(0.01)
    second = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    assert second.stderr and second.stderr.readline()
    gate.set()
    assert first.communicate(timeout=20)[0].startswith("umls: fetched")
    assert second.communicate(timeout=20)[0].startswith("umls: was there already")
    assert len(server.log) == 1
    assert_there(tmp_path / "umls")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_leaves_nothing_that_breaks_the_next(
    server: Server, tmp_path: Path, by: signal.Signals
) -> None:
    """kill -9 or Ctrl-C: the next one goes on with what has come."""
    come = 12 * download.CHUNK
    server.answers["/a.zip"] = Answer(UMLS_ZIP, stalls=come)
    process = start(tmp_path / "conf", tmp_path, described(server, A_ZIP))
    parts, until = list[Path](), time.monotonic() + 20
    while time.monotonic() < until and not (parts and parts[0].stat().st_size == come):
        parts = list(tmp_path.rglob("part"))
        time.sleep(0.01)
    process.send_signal(by)
    process.communicate(timeout=20)
    assert process.returncode == (130 if by == signal.SIGINT else -signal.SIGKILL)
    assert not (tmp_path / "umls").exists()
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    assert run(tmp_path, described(server, A_ZIP)) == 0
    assert server.log[-1] == ("/a.zip", f"bytes={come}-")
    assert_there(tmp_path / "umls")
    assert leftovers(tmp_path) == []


def test_the_disk_is_full(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a data folder that cannot be made; both name the place and the fix."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset = described(server, A_ZIP)
    place = download.Downloads(tmp_path / ".downloads").place(dataset.sources[0].url)
    place.mkdir(parents=True)
    (place / "part").symlink_to(full)
    assert run(tmp_path, dataset) == 1
    said = capsys.readouterr().err
    assert str(tmp_path) in said and "No space left" in said and "--data-dir" in said
    (tmp_path / "file").touch()
    assert run(tmp_path / "file", dataset) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
