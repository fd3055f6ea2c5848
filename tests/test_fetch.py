"""aswa-fetch against a real HTTP server that behaves badly: right files or a clear error."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import pickle
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from aswa.config import load
from aswa.config_files import conf_dir
from aswa.data.archive import Unreadable, copy_member, copy_unpacked, members
from aswa.data.download import Downloads, Patience
from aswa.data.sources import EMBEDDED, SPLITS, Published, Source, find_folder, read_published
from aswa.fetch import main

PUBLISHED = read_published(conf_dir() / "dataset")
QUICK = Patience(timeout=3, tries=3, pause=0.01, enough=1000)
Files = dict[str, bytes]


@dataclass
class Answer:
    """What the server sends for one path, and how badly.

    Attributes:
        cuts: after how many bytes the next answers are cut off; the last one counts for ever.
        stalls: after how many bytes nothing more comes.
        pace: seconds between pieces of a tenth.
        gate: what to wait for before the first byte.
        ranges: what it does when asked to go on in the middle: "yes", "no", "refuses", "lies".
    """

    body: bytes = b""
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    stalls: int | None = None
    pace: float = 0
    gate: threading.Event | None = None
    ranges: str = "yes"
    etag: str = '"1"'


class Server:
    """Serves `answers` by path on this machine; `log` has the path and range of every request."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.log: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.log.append((request.path, wanted))
        known = self.answers.get(request.path, Answer(status=404))
        start, status = 0, known.status
        if wanted and known.ranges == "refuses":
            status = 416
        elif wanted and known.ranges == "lies":
            status = 206
        elif wanted and known.ranges == "yes" and request.headers.get("If-Range") == known.etag:
            start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
        rest = known.body[start:]
        request.send_response(status)
        request.send_header("Content-Length", str(len(rest)))
        request.send_header("ETag", known.etag)
        if status == 206:
            size = len(known.body)
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        request.end_headers()
        if known.gate:
            known.gate.wait(20)
        if known.cuts:
            rest = rest[: known.cuts.pop(0) if len(known.cuts) > 1 else known.cuts[0]]
        if known.stalls is not None:
            request.wfile.write(rest[: known.stalls])
            self.over.wait(20)
            return
        step = len(rest) // 10 + 1
        for at in range(0, len(rest), step) if known.pace else ():
            request.wfile.write(rest[at : at + step])
            time.sleep(known.pace)
        if not known.pace:
            request.wfile.write(rest)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)


def splits_of(name: str) -> Files:
    return {split: (EMBEDDED / name / f"{split}.txt").read_bytes() for split in SPLITS}


UMLS, KINSHIP = splits_of("umls"), splits_of("kinship")


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files, mode: str = "w:gz", extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for info in extra:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def in_folder(folder: str, splits: Files) -> Files:
    return {f"{folder}/{split}.txt": content for split, content in splits.items()}


UMLS_ZIP = zipped(in_folder("KGs/UMLS", UMLS))


def described(server: Server, *sources: tuple[str, str | None], name: str = "umls") -> Published:
    """A dataset whose sources are paths of the server, and members."""
    places = tuple(Source(server.url + path, member) for path, member in sources)
    return replace(PUBLISHED[name], sources=places)


A_ZIP = ("/a.zip", "KGs/UMLS/{split}.txt")
B_ZIP = ("/b.zip", "KGs/UMLS/{split}.txt")


def run(
    data: Path, *datasets: Published, words: tuple[str, ...] = (), patience: Patience = QUICK
) -> int:
    names = [each.name for each in datasets]
    known = {each.name: each for each in datasets}
    given = words or (*names, "--data-dir", str(data))
    return main(given, known, patience)


def assert_there(folder: Path, splits: Files = UMLS) -> None:
    for split, content in splits.items():
        assert (folder / f"{split}.txt").read_bytes() == content


def leftovers(data: Path) -> list[str]:
    return sorted(path.name for path in (data / ".downloads").iterdir() if path.suffix != ".lock")


# Connections


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


# Processes

SCRIPT = (
    "import sys, pathlib\n"
    "from aswa.fetch import main\n"
    "from aswa.data.sources import read_published\n"
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


# Archives


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


# Files without a published checksum


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


# The command


def test_from_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders by any case, packed files, archives by their name; no rebuilt file as a real one."""
    given, data = tmp_path / "given", tmp_path / "data"
    (given / "UMLS").mkdir(parents=True)
    for split in ("train", "test"):
        (given / "UMLS" / f"{split}.txt.xz").write_bytes(lzma.compress(UMLS[split]))
    (given / "UMLS" / "valid.txt").write_bytes(UMLS["valid"])
    (given / "KGs.zip").write_bytes(zipped(in_folder("KGs/KINSHIP", KINSHIP)))
    words = ("--data-dir", str(data), "--from", str(given))
    assert main(["umls", "kinship", *words], PUBLISHED) == 0
    assert_there(data / "umls")
    assert_there(data / "kinship", KINSHIP)
    (given / "nell-995-h75").mkdir()
    (given / "nell-995-h75" / "train.REBUILT.txt.xz").touch()
    assert main(["nell-995-h75", *words], PUBLISHED) == 1
    said = capsys.readouterr().err
    assert re.search(r"train.REBUILT.txt.xz: a rebuilt file.*data_dir=.*marked rebuilt", said)
    assert "should hold nell-995-h75/<split>.txt[.gz|.xz] or KGs.zip" in said
    assert main(["umls", "--from", str(tmp_path / "no")], PUBLISHED) == 2


def test_all_goes_on_after_a_failure(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One archive for several datasets is downloaded once, and gone at the end."""
    both = zipped(in_folder("KGs/UMLS", UMLS) | in_folder("KGs/KINSHIP", KINSHIP))
    server.answers["/KGs.zip"] = Answer(both)
    datasets = {
        name: described(server, ("/KGs.zip", f"KGs/{folder}/{{split}}.txt"), name=name)
        for name, folder in [("nell_995_h25", "NELL"), ("umls", "UMLS"), ("kinship", "KINSHIP")]
    }
    datasets["cifar10"] = PUBLISHED["cifar10"]
    assert run(tmp_path, *datasets.values(), words=("all", "--data-dir", str(tmp_path))) == 1
    assert_there(tmp_path / "umls")
    assert_there(tmp_path / "kinship", KINSHIP)
    assert len(server.log) == 1
    assert [name for name in leftovers(tmp_path) if name != "nell-995-h25.new"] == []
    said = capsys.readouterr().err
    assert "cifar10: skipped; images come with image training" in said
    assert "1 of 4 failed: nell_995_h25" in said


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every dataset, with its state."""
    for name, split, content in [
        ("wn18rr", "train", b"a\tr\tb\n"),
        ("nell-995-h75", "train.REBUILT", b""),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{split}.txt").write_bytes(content)
    for split, content in KINSHIP.items():
        (tmp_path / "kinship").mkdir(exist_ok=True)
        (tmp_path / "kinship" / f"{split}.txt").write_bytes(content)
    for split in ("valid", "test"):
        (tmp_path / "nell-995-h75" / f"{split}.txt").touch()
    states = {
        "nell_995_h75": replace(PUBLISHED["nell_995_h75"], sha256=None, triples=None),
    }
    assert main(["--list", "--data-dir", str(tmp_path)], {**PUBLISHED, **states}) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: " ".join(re.split(r"  +", line)[2:3]) for line in lines[1:]}
    assert found.keys() == PUBLISHED.keys()
    assert {name: state for name, state in found.items() if state != "missing"} == {
        "cifar10": "not in this version",
        "cifar100": "not in this version",
        "kinship": "ready",
        "nell_995_h75": "rebuilt train only",
        "umls": "embedded",
        "wn18rr": "damaged",
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["wn18r"], 2, "wn18r: no such dataset; did you mean 'wn18rr'?"),
        (["cifar10"], 2, "cifar10: images come with image training"),
        ([], 2, "name some datasets, or all"),
        (["umls", "--timeout", "0"], 2, "--timeout 0: must be above 0"),
        (["umls"], 0, "umls: comes with the package"),
        (["--verify", "umls"], 0, "umls/train.txt: ok"),
        (["--verify", "FB15k-237"], 1, "fb15k_237: not there; get it with `aswa-fetch fb15k_237`"),
        (["--verify"], 0, "yago3_10: not there"),
    ],
)
def test_words(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    said = capsys.readouterr()
    assert message in said.out + said.err


def test_no_torch_for_a_download() -> None:
    """The command answers at once."""
    code = "import sys, aswa.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The configuration


def test_sources_change_no_result() -> None:
    """Neither run_id nor the record of a run, by which runs are pooled, knows of a mirror."""
    plain, changed = load(["dataset=umls"]), load(["dataset=umls", "dataset.sources=[]"])
    assert plain.run_id == changed.run_id
    assert plain.resolved == changed.resolved


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_graph_has_mirrors(name: str) -> None:
    graph = PUBLISHED[name]
    assert len(graph.sources) >= 2 * (graph.kind == "knowledge_graph")
    assert all(source.url.startswith("https://") for source in graph.sources)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://x/{split}.txt", "expected the keys url and member"),
        ({"url": "https://x/{split}.txt", "mirror": "y"}, "expected the keys url and member"),
        ({"url": "file:///etc/{split}.txt"}, "expected a http or https URL"),
        ({"url": "https://x/a.zip"}, "needs a `member`"),
        ({"url": "https://x/{split}.txt", "member": "{split}.txt"}, "a single file has none"),
        ({"url": "https://x/train.txt"}, r"expected \{split\}"),
    ],
)
def test_a_wrong_source_is_named(source: object, message: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({"folder": "x", "kind": "knowledge_graph", "sources": [source]})
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"x\.yaml: sources\[0\]: .*{message}"):
        read_published(tmp_path)


def test_what_was_fetched_is_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's cache, where nothing else is said; the error names the command."""
    server.answers["/a.zip"] = Answer(UMLS_ZIP)
    dataset = replace(described(server, A_ZIP), folder="umls-of-mine")
    with pytest.raises(FileNotFoundError, match="`aswa-fetch umls-of-mine`"):
        find_folder("umls-of-mine", None)
    assert run(tmp_path, dataset, words=("umls-of-mine",)) == 0
    found = tmp_path / "cache" / "aswa" / "data" / "umls-of-mine"
    assert find_folder("umls-of-mine", None) == found
    assert_there(found)


# Real graphs, where they are


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
    folder = data_dir / PUBLISHED[name].folder
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
    assert_there(tmp_path / PUBLISHED[name].folder, splits)
