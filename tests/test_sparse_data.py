"""Sparse rows: the file of sets, libsvm's format, WordNet's glosses, generated data."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from aswa.config import ConfigError, load
from aswa.data.fetching import FetchFailed
from aswa.data.folders import EMBEDDED
from aswa.data.sparse import debian, libsvm, synthetic, wordnet
from aswa.data.sparse.labelled_rows import FILE, read_rows, split_number, write_rows
from aswa.fetch import main as fetch

WORDS = "1 1:1 3:0.5\n-1 2:2 # a comment\n\n1\n-1 1:1 7:-1e-3\n"


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Empty rows, a feature twice, large gaps."""
    sets: list[list[int]] = [[5, 0, 5], [], [2**20 - 1], [127, 128, 16384]]
    path = tmp_path / FILE
    sha256 = write_rows(path, sets, [True, False, True, False], [0, 1, 2, 0], 2**20)
    found = read_rows(path, sha256)
    assert [found.X[i].indices.tolist() for i in range(4)] == [sorted(set(s)) for s in sets]
    assert found.y.tolist() == [1, -1, 1, -1] and found.split.tolist() == [0, 1, 2, 0]
    assert found.X.shape == (4, 2**20) and (found.X.data == 1).all()
    assert hashlib.sha256(lzma.decompress(path.read_bytes())).hexdigest() == sha256
    with pytest.raises(ValueError, match="not the published rows"):
        read_rows(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"{FILE}: cannot be read"):
        read_rows(path)


def test_the_embedded_glosses_are_those_of_the_configuration() -> None:
    config = load(["dataset=wordnet_nouns", "model=l1_logistic", "optimizer=owa"])
    options = config.dataset.options
    path = EMBEDDED / "wordnet_nouns" / FILE
    assert path.stat().st_size < 2_000_000
    assert "Princeton University" in path.with_name("LICENSE").read_text()
    found = read_rows(path, options["sha256"]["rows"])
    assert found.X.shape[1] == options["features"]
    for split, n in options["rows"].items():
        X, y = found.of(split)
        assert X.shape[0] == n and 0.69 < np.mean(y > 0) < 0.71


def test_equal_glosses_are_in_one_split() -> None:
    found = read_rows(EMBEDDED / "wordnet_nouns" / FILE)
    splits: dict[bytes, int] = {}
    ends = zip(found.X.indptr, found.X.indptr[1:], strict=False)
    for (start, end), split in zip(ends, found.split.tolist(), strict=True):
        key = found.X.indices[start:end].tobytes()
        assert splits.setdefault(key, split) == split
    assert len(splits) < len(found.y)


@pytest.mark.slow
def test_the_builder_makes_the_embedded_file(tmp_path: Path) -> None:
    """From Debian's package, where it is installed or apt-get can get it."""
    try:
        sha256 = wordnet.build_words(None, tmp_path / FILE)
    except FetchFailed as error:
        pytest.skip(str(error))
    assert (tmp_path / FILE).read_bytes() == (EMBEDDED / "wordnet_nouns" / FILE).read_bytes()
    assert load(["dataset=wordnet_nouns", "model=l1_logistic", "optimizer=owa"]).dataset.options[
        "sha256"
    ] == {"rows": sha256}


def test_a_gloss_gives_its_words_and_pairs() -> None:
    assert wordnet.features("a dog's dog; 3 dogs", False) == {"a", "dog's", "dog", "dogs"}
    assert wordnet.features("Red, red wine", True) == {"red", "wine", "red red", "red wine"}


def test_packages_of_one_source_are_in_one_split(tmp_path: Path) -> None:
    packages, texts = [], []
    for number in range(40):
        source = f"Source: s{number % 7} (1.0)\n" if number % 2 else ""
        kind = "all" if number % 3 else "amd64"
        packages.append(
            f"Package: p{number}\n{source}Architecture: {kind}\nDescription-md5: {number}\n"
        )
        texts.append(
            f"Package: p{number}\nDescription-md5: {number}\nDescription-en: word{number}\n more\n"
        )
    (tmp_path / "x_main_binary-amd64_Packages").write_text("\n".join(packages))
    lists = lzma.compress("\n".join(texts).encode())
    (tmp_path / "x_main_i18n_Translation-en.xz").write_bytes(lists)
    debian.build(tmp_path, tmp_path / "out" / FILE)
    found = read_rows(tmp_path / "out" / FILE)
    names = sorted(f"p{n}" for n in range(40))
    for name, y, split in zip(names, found.y, found.split, strict=True):
        n = int(name[1:])
        assert (y > 0) == bool(n % 3)
        source = f"s{n % 7}" if n % 2 else name
        assert split == split_number(source, debian.SALT)
    assert found.X.shape[1] == 2**20 and set(np.diff(found.X.indptr)) == {3}
    with pytest.raises(FetchFailed, match="no package"):
        debian.build(tmp_path / "out", tmp_path / "more" / FILE)


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
def test_files_of_libsvm_are_read_packed_or_not(ending: str, pack: Any, tmp_path: Path) -> None:
    """A label alone is a row without features, and no row is lost."""
    path = tmp_path / f"train.svm{ending}"
    path.write_bytes(pack(WORDS.encode()))
    X, y = libsvm.read_file(path)
    assert y.tolist() == [1, -1, 1, -1] and X.shape == (4, 7)
    assert X[0].toarray()[0].tolist() == [1, 0, 0.5, 0, 0, 0, 0]
    assert X[2].nnz == 0 and X[3, 6] == -1e-3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 1:1 b", "line 2: 'b' is not index:value"),
        ("one 1:1", "line 2: label 'one' is no number"),
        ("1 0:1", "line 2: '0:1': indices begin with 1"),
        ("1 3:1 2:1", "line 2: '2:1': indices must increase; the one before is 3"),
        ("1 2:1 2:1", "indices must increase"),
        ("1 2:x", "line 2: '2:x': the value is no finite number"),
        ("1 2:nan", "the value is no finite number"),
        ("1 -2:1", "line 2: '-2:1' is not index:value"),
        ("nan 2:1", "label 'nan' is no number"),
        ("1 99999999999:1", "the index is too large"),
    ],
)
def test_a_malformed_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "train.svm"
    path.write_text(f"1 1:1\n{line}\n-1 1:1\n")
    with pytest.raises(ValueError, match=r"train\.svm: line 2") as error:
        libsvm.read_file(path)
    assert said in str(error.value)


def test_folders_of_libsvm_files_have_three_splits(tmp_path: Path) -> None:
    lines = [f"{i % 2} {i % 50 + 1}:{i}" for i in range(1, 401)]
    (tmp_path / "train.svm").write_text("\n".join(lines))
    found = libsvm.read_folder(tmp_path)
    counts = np.bincount(found.split)
    assert counts.sum() == 400 and (counts > 0).all() and set(found.y) == {-1, 1}
    (tmp_path / "test.svm").write_text("0 90:1\n1 1:1\n")
    found = libsvm.read_folder(tmp_path)
    assert found.of("test")[0].shape == (2, 90) and found.of("valid")[0].shape[0] == 200
    (tmp_path / "test.svm").write_text("2 90:1\n1 1:1\n")
    with pytest.raises(ValueError, match="3 labels"):
        libsvm.read_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no train\.svm"):
        libsvm.read_folder(tmp_path / "none")


def test_generated_rows_are_those_of_their_seed() -> None:
    for make in (synthetic.generate, synthetic.hashed):
        a, b, c = make(200, 60, seed=1), make(200, 60, seed=1), make(200, 60, seed=2)
        assert (a.X != b.X).nnz == 0 and (a.X != c.X).nnz > 0
        assert [a.of(split)[0].shape[0] for split in ("train", "valid", "test")] == [200, 12, 50]


def test_own_files_are_part_of_run_id(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "train.svm"
    path.parent.mkdir()
    words = ["dataset=own_sparse", f"dataset.folder={path.parent}", "model=l1_logistic"]
    words.append("optimizer=owa")
    found = []
    for text in (WORDS, WORDS + "1 2:1\n"):
        path.write_text(text)
        found.append(load(words))
    assert found[0].run_id != found[1].run_id and found[0].dataset.name == "mine"
    path.with_suffix(".svm.xz").write_bytes(b"")
    assert load([*words, "dataset.name=other"]).run_id != found[1].run_id


def test_keys_of_training_and_other_methods_are_refused() -> None:
    words = ["dataset=wordnet_nouns", "model=l1_logistic", "optimizer=owa"]
    for more, said in (
        ("lr=0.1", "lr: nothing is trained in epochs on sparse rows"),
        ("population=papa", "population: nothing is trained"),
        ("optimizer=aswa", "optimizer=aswa is not for sparse rows"),
        ("model.l1=0.1", "give one of them"),
        ("model.lambda2=[0]", "model.lambda2: 0 is no number above 0"),
        ("dataset.partitioning=random", "partitioning=random"),
    ):
        with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
            load([*words, more])
    with pytest.raises(ConfigError, match="optimizer=owa is not for knowledge graph"):
        load(["dataset=umls", "model=keci", "optimizer=owa"])


def test_fetching_makes_and_verifies_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source of another version is refused, and nothing is left."""
    source = tmp_path / "source"
    source.mkdir()
    for part in wordnet.PARTS_OF_SPEECH:
        (source / f"data.{part}").write_text("  1 licence\n00001740 03 n | a thing that is\n")
    words = ["--data-dir", str(tmp_path / "data"), "--from", str(source)]
    assert fetch(["wordnet_pairs", *words]) == 1
    assert "another version" in capsys.readouterr().err
    assert not (tmp_path / "data" / "wordnet_pairs").exists()
    assert fetch(["wordnet_pairs", *words[:3], str(tmp_path)]) == 1
    assert "lacks some of" in capsys.readouterr().err
