"""Reading knowledge graphs, and their index of tails."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aswa.analysis.runs import read_runs
from aswa.config import ConfigError, load
from aswa.config_dataset import settle_files
from aswa.config_files import conf_dir
from aswa.data import graph_cache, knowledge_graph, sources, triples_file
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex, read_graph
from aswa.data.published import new_record, write_records
from aswa.data.sources import EMBEDDED, SPLITS, find_folder, is_rebuilt
from aswa.results.store import write_record
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.run import run_record
from aswa.training.trajectory import Trajectory

DATASETS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((conf_dir() / "dataset").glob("*.yaml"))
}
GRAPHS = [name for name, values in DATASETS.items() if values["kind"] == "knowledge_graph"]

Triple = tuple[str, str, str]
TRIPLES: dict[str, list[Triple]] = {
    "train": [
        ("new york", "in", "usa"),
        ("köln", "in", "d"),
        ("new york", "in", "usa"),
        ("nl", "borders on", "d"),
    ],
    "valid": [("d", "borders on", "nl")],
    "test": [("only here", "in", "d")],
}


def write(folder: Path, split: str, content: bytes, ending: str = ".txt") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}{ending}").write_bytes(content)


def text(triples: list[Triple]) -> bytes:
    return "".join("\t".join(triple) + "\n" for triple in triples).encode()


def write_graph(folder: Path) -> None:
    for split, triples in TRIPLES.items():
        write(folder, split, text(triples))


def check_published(name: str, folder: Path) -> None:
    """Checksums and counts are those of conf/dataset."""
    published = DATASETS[name]
    assert any(published["sha256"].values())
    graph = read_graph(folder, published["sha256"])
    assert len(graph.entities) == published["entities"]
    assert len(graph.relations) == published["relations"]
    assert {split: len(getattr(graph, split)) for split in SPLITS} == published["triples"]


@pytest.mark.parametrize("name", GRAPHS)
def test_datasets_are_the_published_ones(name: str, data_dir: Path) -> None:
    """Those that are in the data folder."""
    folder = data_dir / DATASETS[name]["folder"]
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    if is_rebuilt(folder):
        pytest.skip(f"{folder}: the train file is rebuilt, not the published one")
    check_published(name, folder)


@pytest.mark.parametrize("name", [name for name in GRAPHS if "rebuilt" in DATASETS[name]])
def test_a_rebuilt_split_is_marked_wherever_it_goes(
    name: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has counts, a checksum and a run_id of its own; every row and the results table say so."""
    if not is_rebuilt(data_dir / DATASETS[name]["folder"]):
        pytest.skip(f"no rebuilt {name} in {data_dir}")
    words = [f"dataset={name}", "model=distmult", "model.dim=2", "lr=0.1", "optimizer=sgd"]
    words += ["model.objective=negative_sampling"]  # whose training loss is quickly had
    here = [f"data_dir={data_dir}", f"results_dir={tmp_path}"]
    run = load([*words, *here])
    assert run.rebuilt_split
    monkeypatch.setattr(sources, "EMBEDDED", tmp_path)
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
    assert not load(words).rebuilt_split
    assert load(words).run_id != run.run_id
    task = LinkPrediction(run, torch.device("cpu"))
    assert task.n_entities == DATASETS[name]["rebuilt"]["entities"]
    trajectory = Trajectory(run, task)  # not trained: what is of interest are its rows
    record = run_record(run, task, trajectory)
    assert {row["dataset_split"] for row in record["rows"]} == {"rebuilt"}
    write_record(run.folder / "result.json", {**record, "seconds": {"total": 0.0}})
    (read,), problems = read_runs(tmp_path)
    assert not problems
    assert read.dataset == f"{name} (split: rebuilt)"


def test_a_rebuilt_file_is_never_taken_unasked(tmp_path: Path) -> None:
    """Only where the dataset's YAML declares it."""
    write_graph(tmp_path / "umls")
    (tmp_path / "umls" / "train.txt").rename(tmp_path / "umls" / "train.REBUILT.txt")
    words = [f"data_dir={tmp_path}", "lr=0.1"]
    with pytest.raises(FileNotFoundError, match=r"no train split.*train\.REBUILT\.txt.*rebuilt:"):
        LinkPrediction(load(words), torch.device("cpu"))
    declared = {"entities": 6, "train": 4, "sha256": None}
    dataset = {"folder": "umls", "sha256": None, "rebuilt": declared}
    settle_files(dataset, str(tmp_path))
    assert dataset["split"] == "rebuilt"
    assert dataset["triples"] == {"train": 4}
    assert len(read_graph(tmp_path / "umls", rebuilt=True).train) == 4


@pytest.mark.parametrize("name", ["umls", "kinship"])
def test_embedded_graphs_are_the_published_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come with the package, and are found when nothing else is there."""
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
    folder = find_folder(DATASETS[name]["folder"], None)
    assert folder.parent == EMBEDDED
    check_published(name, folder)


def test_a_graph_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """data_dir, then $ASWA_DATA_DIR, then the package; the error lists where it was not."""
    given, variable = tmp_path / "given", tmp_path / "variable"
    monkeypatch.setenv("ASWA_DATA_DIR", str(variable))
    assert find_folder("umls", str(given)) == EMBEDDED / "umls"
    (variable / "umls").mkdir(parents=True)
    assert find_folder("umls", str(given)) == variable / "umls"
    (given / "umls").mkdir(parents=True)
    assert find_folder("umls", str(given)) == given / "umls"
    with pytest.raises(FileNotFoundError, match=r"'no-such'.*given.*variable.*data_dir="):
        find_folder("no-such", str(given))


def names_of(graph: KnowledgeGraph, split: str) -> list[Triple]:
    return [
        (graph.entities[h], graph.relations[r], graph.entities[t])
        for h, r, t in getattr(graph, split).tolist()
    ]


def test_names_and_ids(tmp_path: Path) -> None:
    """Ids are sorted names over all splits; order and repetition of triples are kept."""
    write_graph(tmp_path)
    graph = read_graph(tmp_path)
    assert graph.entities == ("d", "köln", "new york", "nl", "only here", "usa")
    assert graph.relations == ("borders on", "in")
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples


WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "crlf": (".txt", lambda content: content.replace(b"\n", b"\r\n")),
    "bom": (".txt", lambda content: b"\xef\xbb\xbf" + content),
    "no_last_newline": (".txt", lambda content: content.rstrip(b"\n")),
    "empty_last_lines": (".txt", lambda content: content + b"\n\r\n"),
    "gz": (".txt.gz", gzip.compress),
    "xz": (".txt.xz", lzma.compress),
    "crlf_bom_xz": (
        ".txt.xz",
        lambda content: lzma.compress(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_may_be_written_in_several_ways(tmp_path: Path, way: str) -> None:
    """Line ends, byte-order mark and compression do not change the graph."""
    ending, change = WAYS[way]
    for split, triples in TRIPLES.items():
        write(tmp_path, split, change(text(triples)), ending)
    graph = read_graph(tmp_path)
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples


def test_line_breaks_of_other_scripts_are_part_of_a_name(tmp_path: Path) -> None:
    """Only a newline ends a line: U+2028, U+0085 and a form feed occur in names of real graphs."""
    odd = [("a\u2028b", "r\x85s", "c\x0cd"), ("a", "in", "b"), ("a", "borders on", "b")]
    write_graph(tmp_path)
    write(tmp_path, "train", text(odd))
    assert names_of(read_graph(tmp_path), "train") == odd


FAULTS: dict[str, tuple[str, bytes, str]] = {
    "two_fields": (".txt", b"a\tr\tb\na\tb\n", "train.txt, line 2: .*2 field"),
    "four_fields": (".txt", b"a\tr\tb\tc\n", "train.txt, line 1: .*4 field"),
    "spaces_for_tabs": (".txt", b"a\tr\tb\n\na r b\n", "train.txt, line 3: .*'a r b'"),
    "an_empty_name": (".txt", b"a\tr\tb\r\na\t\tb\r\n", "train.txt, line 2: .*head TAB relation"),
    "empty": (".txt", b"", "train.txt: .*empty"),
    "blank": (".txt", b"\n \n", "train.txt: .*empty"),
    "tabs_alone": (".txt", b"a\tr\tb\n\t\t\n", "train.txt, line 2: .*3 field"),
    "not_utf8_after_a_mark": (
        ".txt",
        b"\xef\xbb\xbfa\tr\tb\n\xff\tr\tb\n",
        "train.txt: cannot be read .line 2",
    ),
    "not_utf8": (".txt", b"a\tr\t\xff\n", "train.txt: cannot be read"),
    "truncated_xz": (".txt.xz", lzma.compress(b"a\tr\tb\n" * 99)[:-9], "train.txt.xz: cannot be"),
    "garbage_xz": (".txt.xz", b"a\tr\tb\n", "train.txt.xz: cannot be read"),
    "truncated_gz": (".txt.gz", gzip.compress(b"a\tr\tb\n" * 99)[:-9], "train.txt.gz: cannot be"),
    "garbage_gz": (".txt.gz", b"a\tr\tb\n", "train.txt.gz: cannot be read"),
    "damaged_gz": (
        ".txt.gz",
        gzip.compress(b"a\tr\tb\n" * 99)[:10] + b"\xff" * 30,
        "train.txt.gz: cannot be read",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_the_line(tmp_path: Path, fault: str) -> None:
    """And with what is wrong there."""
    ending, content, message = FAULTS[fault]
    write_graph(tmp_path)
    (tmp_path / "train.txt").unlink()
    write(tmp_path, "train", content, ending)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/") + message):
        read_graph(tmp_path)


def test_a_missing_split_is_named_with_what_was_tried(tmp_path: Path) -> None:
    write_graph(tmp_path)
    (tmp_path / "valid.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"valid.*valid\.txt, valid\.txt\.gz, valid\.txt\.xz"
    ):
        read_graph(tmp_path)


def test_a_changed_file_is_not_the_published_one(tmp_path: Path) -> None:
    """One swapped line changes no count, but the checksum; the file is named."""
    sha256 = DATASETS["umls"]["sha256"]
    for split in SPLITS:
        content = (EMBEDDED / "umls" / f"{split}.txt").read_bytes()
        write(tmp_path, split, lzma.compress(content), ".txt.xz")
    read_graph(tmp_path, sha256)  # checksums are of what is inside
    first, second, *others = content.splitlines(keepends=True)
    write(tmp_path, "test", lzma.compress(b"".join([second, first, *others])), ".txt.xz")
    with pytest.raises(ValueError, match=r"test\.txt\.xz: not the published file.*conf/dataset"):
        read_graph(tmp_path, sha256)


names = st.text(
    st.characters(exclude_characters="\t\n\r\ufeff", codec="utf-8"), min_size=1, max_size=3
)


@given(
    st.lists(st.tuples(names, names, names), min_size=1, max_size=20),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n\n"]),
    st.booleans(),
)
def test_the_fast_parser_is_the_slow_one(
    triples: list[Triple], end: str, last: str, mark: bool
) -> None:
    """Quotes, NULs, other scripts and whatever else may be in a name."""
    lines = ["\t".join(triple) for triple in triples]
    content = b"\xef\xbb\xbf" * mark + (end.join(lines) + last).encode()
    fast = triples_file._parse_plain(content)
    slow = triples_file._parse_lines(content, Path("train.txt"))
    assert slow.to_pylist() == [
        dict(zip(("head", "relation", "tail"), t, strict=True)) for t in triples
    ]
    assert fast is not None
    assert fast.to_pylist() == slow.to_pylist()


def test_a_large_graph_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is found in the cache, memory-mapped and the same; changed files, or a damaged or
    unwritable cache, are parsed anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_graph(tmp_path)
    read_graph(tmp_path)
    assert not (tmp_path / "cache").exists()  # too small to be worth it
    monkeypatch.setattr(knowledge_graph, "CACHED_FROM", 0)
    parsed: list[Path] = []

    def parse(content: bytes, path: Path) -> object:
        parsed.append(path)
        return triples_file.parse(content, path)

    monkeypatch.setattr(knowledge_graph, "parse", parse)
    first = read_graph(tmp_path)
    again = read_graph(tmp_path)
    assert len(parsed) == 3
    assert (again.entities, again.relations) == (first.entities, first.relations)
    for split in SPLITS:
        assert torch.equal(getattr(again, split), getattr(first, split))
    (entry,) = (tmp_path / "cache" / "aswa" / "graphs").iterdir()
    assert isinstance(graph_cache.load(entry.name).triples, np.memmap)

    whole = (entry / "triples.int32").read_bytes()
    damages = [("triples.int32", whole[:-4] + b"abcd"), ("triples.int32", whole[:-5])]
    damages += [("triples.int32", b""), ("graph.json", b"{"), ("sha256", b"\xff")]
    for name, content in damages:
        (entry / name).write_bytes(content)
        parsed.clear()
        assert torch.equal(read_graph(tmp_path).test, first.test)
        assert len(parsed) == 3
    write(tmp_path, "test", text([("d", "in", "d")]))
    assert not torch.equal(read_graph(tmp_path).test, first.test)
    assert len(parsed) == 6
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no")
    read_graph(tmp_path)
    assert len(parsed) == 9


def test_a_changed_file_is_not_hidden_by_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksum is asked for whether it was parsed or found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(knowledge_graph, "CACHED_FROM", 0)
    write_graph(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"valid\.txt: not the published file"):
            read_graph(tmp_path, {"valid": "0" * 64})
        read_graph(tmp_path)


def test_a_relation_that_nothing_trains_is_named(tmp_path: Path) -> None:
    """With the file and the line of its first use; its triples stay in."""
    write_graph(tmp_path)
    write(tmp_path, "test", b"d\tin\td\n\nd\tnever seen\td\n")
    write(tmp_path, "valid", b"d\tin\td\n")
    with pytest.warns(UserWarning, match=r"test\.txt, line 3: relation 'never seen'.*not.*train"):
        graph = read_graph(tmp_path)
    assert names_of(graph, "test") == [("d", "in", "d"), ("d", "never seen", "d")]


def test_a_record_of_first_use_holds(tmp_path: Path) -> None:
    """A file without a published checksum has to be the one that aswa-fetch recorded."""
    write_graph(tmp_path / "graph")
    write(tmp_path / "graph", "valid", text([("d", "in", "nl")]))
    words = [f"data_dir={tmp_path}", "dataset.folder=graph", "lr=0.1"]
    unknown = ("entities", "relations", "triples", "sha256")
    words += [f"dataset.{key}=null" for key in unknown]
    before = load(words)
    LinkPrediction(before, torch.device("cpu"))
    write_records(tmp_path / "graph", {"train": new_record("0" * 64, "http://127.0.0.1/train.txt")})
    after = load(words)
    assert after.run_id != before.run_id
    with pytest.raises(ValueError, match=r"train\.txt: not the published file"):
        LinkPrediction(after, torch.device("cpu"))


@pytest.mark.parametrize("key", ["entities", "relations", "triples.valid"])
def test_counts_of_the_configuration_are_checked(key: str) -> None:
    """A dataset described with a wrong number does not run."""
    with pytest.raises(ConfigError, match=rf"dataset=umls: {key} should be 7 "):
        LinkPrediction(load([f"dataset.{key}=7"]), torch.device("cpu"))


def test_reciprocals(tmp_path: Path) -> None:
    """Beside every (h, r, t) of every split stands (t, r⁻¹, h), in the second half."""
    write_graph(tmp_path)
    plain = read_graph(tmp_path)
    graph = plain.with_reciprocals()
    assert graph.entities == plain.entities
    assert graph.relations == ("borders on", "in", "borders on⁻¹", "in⁻¹")
    for split, triples in TRIPLES.items():
        assert names_of(graph, split) == triples + [(t, f"{r}⁻¹", h) for h, r, t in triples]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=30
    ),
    st.data(),
)
def test_tail_index_is_a_dict_of_sets(triples: list[tuple[int, int, int]], data: st.DataObject):
    """Pairs in order, each once, with its tails; any pairs can be looked up, others are refused."""
    expected: dict[tuple[int, int], set[int]] = {}
    for h, r, t in triples:
        expected.setdefault((h, r), set()).add(t)
    index = TailIndex(torch.tensor(triples), n_relations=3).to(torch.device("cpu"))
    pairs = list(zip(index.h.tolist(), index.r.tolist(), strict=True))
    assert pairs == sorted(expected)
    assert len(index) == len(expected)

    asked = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=8))
    row, tails = index.rows(index.find(*torch.tensor(asked).unbind(1)))
    found = [(i, t) for i, pair in enumerate(asked) for t in sorted(expected[pair])]
    assert list(zip(row.tolist(), tails.tolist(), strict=True)) == found

    absent = {(h, r) for h in range(6) for r in range(3)} - expected.keys()
    h, r = data.draw(st.sampled_from(sorted(absent)))
    with pytest.raises(KeyError):
        index.find(torch.tensor([pairs[0][0], h]), torch.tensor([pairs[0][1], r]))
