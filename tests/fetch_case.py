"""What the tests of fetching share: datasets, archives of them, and a run of the command."""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

from aswa.data.fetching.sources import DatasetFiles, Source, read_datasets
from aswa.data.folders import EMBEDDED, SPLITS
from aswa.fetch import main
from aswa.files import conf_dir
from fetch_server import Server

DATASETS = read_datasets(conf_dir() / "dataset")
Files = dict[str, bytes]


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


def described(server: Server, *sources: tuple[str, str | None], name: str = "umls") -> DatasetFiles:
    """A dataset whose sources are paths of the server, and members."""
    places = tuple(Source(server.url + path, member) for path, member in sources)
    return replace(DATASETS[name], sources=places)


A_ZIP = ("/a.zip", "KGs/UMLS/{split}.txt")
B_ZIP = ("/b.zip", "KGs/UMLS/{split}.txt")


def run(data: Path, *datasets: DatasetFiles, words: tuple[str, ...] = ()) -> int:
    names = [each.name for each in datasets]
    known = {each.name: each for each in datasets}
    return main(words or (*names, "--data-dir", str(data), "--timeout", "3"), known)


def assert_there(folder: Path, splits: Files = UMLS) -> None:
    for split, content in splits.items():
        assert (folder / f"{split}.txt").read_bytes() == content


def leftovers(data: Path) -> list[str]:
    """Of downloads, beside the lock."""
    return sorted(path.name for path in (data / ".downloads").iterdir() if path.name != "lock")
