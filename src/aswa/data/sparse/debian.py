"""Descriptions of Debian's packages: does a package hold the same files for every architecture?

Rows are the packages of `main`; features the words and pairs of neighbours of the long description,
hashed to 2^20 columns, each there or not; the label is `Architecture: all`. Packages of one source
are in one split, as their descriptions share text. The content changes with every point release, so
a run names the bytes of its file.
"""

from __future__ import annotations

import lzma
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from aswa.data.fetching import FetchFailed
from aswa.data.sparse.labelled_rows import split_number, write_rows
from aswa.data.sparse.wordnet import SALT, features

FEATURES = 2**20
PACKAGES, DESCRIPTIONS = "*_main_binary-amd64_Packages*", "*_main_i18n_Translation-en*"


def build(from_dir: Path | None, out: Path) -> str:
    """Write the rows; the sha256 of their uncompressed bytes.

    Args:
        from_dir: with apt's lists of packages and of translations; None: apt-get brings them to a
            temporary folder, and the system's own lists stay as they are.
        out: the file.

    Raises:
        FetchFailed: the lists cannot be had.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = from_dir or download(Path(temporary))
        descriptions = {
            entry["Description-md5"]: entry.get("Description-en", "")
            for entry in entries(folder, DESCRIPTIONS)
            if "Description-md5" in entry
        }
        rows, labels, splits = [], [], []
        packages = {entry["Package"]: entry for entry in entries(folder, PACKAGES)}
        for _, entry in sorted(packages.items()):
            text = descriptions.get(entry.get("Description-md5", ""))
            if not text:
                continue
            rows.append([zlib.crc32(word.encode()) % FEATURES for word in features(text, True)])
            labels.append(entry["Architecture"] == "all")
            source = entry.get("Source", entry["Package"]).split()[0]
            splits.append(split_number(source, SALT))
    if not rows:
        raise FetchFailed(f"{folder}: no package with a description in apt's lists there")
    return write_rows(out, rows, labels, splits, FEATURES)


def entries(folder: Path, pattern: str) -> Iterator[dict[str, str]]:
    """The stanzas of apt's lists that match, with lines of continuation joined."""
    for path in sorted(folder.glob(pattern)):
        stored = path.read_bytes()
        text = (lzma.decompress(stored) if path.suffix == ".xz" else stored).decode()
        for stanza in text.split("\n\n"):
            entry: dict[str, str] = {}
            key = ""
            for line in stanza.splitlines():
                if line[:1].isspace():
                    entry[key] = f"{entry.get(key, '')} {line.strip()}"
                else:
                    key, _, value = line.partition(":")
                    entry[key] = value.strip()
            if entry:
                yield entry


def download(folder: Path) -> Path:
    """apt's lists with English descriptions, in `folder`.

    Raises:
        FetchFailed: apt-get is missing, or fails.
    """
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    options = {
        "Acquire::Languages": "en",
        "Dir::State::lists": str(lists),
        "Acquire::GzipIndexes": "false",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    try:
        subprocess.run(["apt-get", "update", *words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FetchFailed(
            f"apt-get update failed ({error}); use --from DIR with the files *_Packages and "
            "*_Translation-en of a Debian system's lists"
        ) from None
    return lists
