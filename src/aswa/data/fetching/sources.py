"""What conf/dataset says of a dataset's files: where they are public, which are right."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from aswa.data.fetching import UsageError
from aswa.data.fetching.archive import ARCHIVES
from aswa.data.folders import SPLITS


@dataclass(frozen=True)
class Source:
    """One public place of a dataset's files.

    Attributes:
        url: http(s), of an archive or of one file; `{split}` stands for train, valid and test.
        member: path of a file in the archive, with `{split}`; None for a URL of single files.
    """

    url: str
    member: str | None = None

    @property
    def file_name(self) -> str:
        """Last part of the URL's path, such as `KGs.zip`."""
        return urllib.parse.urlsplit(self.url).path.rpartition("/")[2]


@dataclass(frozen=True)
class DatasetFiles:
    """The files of one member of conf/dataset.

    Attributes:
        name: of the YAML file.
        folder: of the files, under any data folder.
        kind: of problem, a name of the registry.
        triples: rows by split.
        sha256: by split, of the uncompressed bytes (graphs) or of the pixels (images).
        md5: by split, of the uncompressed bytes of graphs, where no sha256 is published.
        sources: in the order of trying; torchvision knows those of images.
        classes: of images.
        images: number by split.
        books: files of a text by split; empty for train.txt, valid.txt and test.txt.
        builder: of sparse rows, path of the function that makes their file.
    """

    name: str
    folder: str
    kind: str
    triples: Mapping[str, int | None] = field(default_factory=dict)
    sha256: Mapping[str, str | None] = field(default_factory=dict)
    md5: Mapping[str, str | None] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    classes: int = 0
    images: Mapping[str, int | None] = field(default_factory=dict)
    books: Mapping[str, Any] = field(default_factory=dict)
    builder: str = ""

    def urls(self) -> set[str]:
        """All that may be downloaded for it."""
        return {each.url.replace("{split}", split) for each in self.sources for split in SPLITS}


def read_datasets(*folders: Path) -> dict[str, DatasetFiles]:
    """Members of `conf/dataset` that have a folder, by config name; of two the first folder's.

    Raises:
        UsageError: a source or a split is malformed; names the file and the key.
    """
    paths = [path for folder in reversed(folders) for path in folder.glob("*.yaml")]
    paths.sort(key=lambda path: path.stem)
    written = {path: yaml.safe_load(path.read_text("utf-8")) for path in paths}
    return {p.stem: _dataset(p, values) for p, values in written.items() if values.get("folder")}


def _dataset(path: Path, written: Mapping[str, Any]) -> DatasetFiles:
    known = {each.name: written[each.name] for each in fields(DatasetFiles) if each.name in written}
    given = {key: value for key, value in known.items() if value is not None}
    for split in given.get("md5", {}).keys() - set(SPLITS):
        raise UsageError(f"{path}: md5.{split}: no such split; there are: {', '.join(SPLITS)}")
    sources = enumerate(given.pop("sources", ()))
    given["sources"] = tuple(_source(f"{path}: sources[{i}]", each) for i, each in sources)
    return DatasetFiles(**given | {"name": path.stem})


def _source(place: str, given: Any) -> Source:
    if not isinstance(given, dict) or "url" not in given or not given.keys() <= {"url", "member"}:
        raise UsageError(f"{place}: expected the keys url and member, found {given!r}")
    source = Source(**given)
    if urllib.parse.urlsplit(source.url).scheme not in ("http", "https"):
        raise UsageError(f"{place}: {source.url}: expected a http or https URL")
    if (source.member is not None) != source.file_name.lower().endswith(ARCHIVES):
        raise UsageError(
            f"{place}: {source.url}: an archive ({', '.join(ARCHIVES)}) needs a `member`, the path "
            "of {split}.txt in it, and a single file has none"
        )
    if "{split}" not in (source.member or source.url):
        raise UsageError(
            f"{place}: expected {{split}} in the member, or in the URL of single files"
        )
    return source
