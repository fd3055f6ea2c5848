"""WordNet 3.0's glosses, a noun's or not: words, or words and pairs of neighbours.

Debian's package `wordnet-base` holds the data files in /usr/share/wordnet. A row is a gloss, a
feature a word that stands in it, the label whether its synset is a noun.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aswa.data.fetching import FetchFailed
from aswa.data.sparse.labelled_rows import split_number, write_rows

PLACE = Path("/usr/share/wordnet")
PACKAGE = "wordnet-base"
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
SALT = "aswa one-shot 2"  # of the split; that of 1 was looked at while methods were written


def build_words(from_dir: Path | None, out: Path) -> str:
    """Words alone; see `build`."""
    return build(from_dir, out, pairs=False)


def build_pairs(from_dir: Path | None, out: Path) -> str:
    """Words and pairs of neighbours; see `build`."""
    return build(from_dir, out, pairs=True)


def build(from_dir: Path | None, out: Path, pairs: bool) -> str:
    """Write the rows; the sha256 of their uncompressed bytes.

    Features are numbered by how many glosses have them, then by the alphabet. Glosses of the same
    words are in the same split.

    Args:
        from_dir: with the data files of WordNet 3.0; None: /usr/share/wordnet, or where that is
            missing the package of Debian, which apt-get downloads.
        out: the file.

    Raises:
        FetchFailed: the data files cannot be had.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = from_dir or (PLACE if _whole(PLACE) else download(Path(temporary)))
        if not _whole(folder):
            needed = ", ".join(f"data.{part}" for part in PARTS_OF_SPEECH)
            raise FetchFailed(f"{folder}: lacks some of {needed} of WordNet 3.0")
        found = [(features(gloss, pairs), part) for part, gloss in glosses(folder)]
    counts = Counter(word for row, _ in found for word in row)
    names = sorted(counts, key=lambda word: (-counts[word], word))
    number = {word: index for index, word in enumerate(names)}
    rows = [[number[word] for word in row] for row, _ in found]
    splits = [split_number(" ".join(sorted(row)), SALT) for row, _ in found]
    return write_rows(out, rows, [part == "noun" for _, part in found], splits, len(names))


def features(gloss: str, pairs: bool) -> set[str]:
    """The words of a gloss, and with `pairs` those of each two neighbours."""
    words = WORD.findall(gloss.lower())
    beside = {f"{a} {b}" for a, b in itertools.pairwise(words)} if pairs else set()
    return {*words, *beside}


def glosses(folder: Path) -> Iterator[tuple[str, str]]:
    """Part of speech and gloss of each synset, in the order of the files."""
    for part in PARTS_OF_SPEECH:
        with (folder / f"data.{part}").open(encoding="utf-8") as lines:
            for line in lines:
                if not line.startswith("  "):  # the licence, at the top
                    yield part, line.partition(" | ")[2]


def _whole(folder: Path) -> bool:
    return all((folder / f"data.{part}").is_file() for part in PARTS_OF_SPEECH)


def download(folder: Path) -> Path:
    """The data files of the package, downloaded to `folder`; nothing is installed.

    Raises:
        FetchFailed: apt-get or dpkg-deb is missing, or fails.
    """
    try:
        subprocess.run(
            ["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True
        )
        package = next(folder.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        raise FetchFailed(
            f"WordNet is not in {PLACE}, and apt-get download {PACKAGE} failed ({error}); install "
            f"Debian's {PACKAGE}, or use --from DIR with the data files of WordNet 3.0"
        ) from None
    return folder / "usr" / "share" / "wordnet"
