"""The public sources of datasets that conf/dataset names."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aswa.data.folders import find_split

REBUILT = "train.REBUILT"  # stem of a train file that stands in for the published one
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
PACKED = (".gz", ".xz")  # of one file


def is_rebuilt(folder: Path) -> bool:
    """Whether the folder has a rebuilt train file, and not the published one."""
    return find_split(folder, "train") is None and find_split(folder, REBUILT) is not None


class BadSource(ValueError):
    """A `sources` entry of conf/dataset that cannot be followed; names the file and the key."""


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

    @property
    def ending(self) -> str:
        """What it is packed as, such as `.tar.gz`; empty for a plain file."""
        return ending_of(self.file_name)


def ending_of(name: str) -> str:
    """The ending of an archive or packed file, the longest that fits; empty for a plain file."""
    endings = sorted((*ARCHIVES, *PACKED), key=len, reverse=True)
    return next((ending for ending in endings if name.lower().endswith(ending)), "")


@dataclass(frozen=True)
class Published:
    """A member of conf/dataset as its publisher has it.

    Attributes:
        name: of its YAML file.
        folder: of its files, under any data folder.
        kind: `knowledge_graph` or `images`; the latter have no `sources`, but torchvision's.
        entities, relations: counts over all splits; None where they are not known.
        triples: rows by split.
        sha256: by split, of the uncompressed bytes; None where it is not known.
        sources: in the order in which they are tried.
        classes: of images.
        images: number by split.
    """

    name: str
    folder: str
    kind: str = "knowledge_graph"
    entities: int | None = None
    relations: int | None = None
    triples: dict[str, int | None] | None = None
    sha256: dict[str, str | None] | None = None
    sources: tuple[Source, ...] = ()
    classes: int | None = None
    images: dict[str, int | None] | None = None

    def checksum(self, split: str) -> str | None:
        """The published sha256 of a split, if it is known."""
        return (self.sha256 or {}).get(split)

    def rows(self, split: str) -> int | None:
        """The published number of triples of a split, if it is known."""
        return (self.triples or {}).get(split)


def read_published(folder: Path) -> dict[str, Published]:
    """All of `conf/dataset`, by config name.

    Raises:
        BadSource: a source is not one; names the file and the key.
    """
    return {path.stem: _published(path) for path in sorted(folder.glob("*.yaml"))}


def _published(path: Path) -> Published:
    values = yaml.safe_load(path.read_text())
    sources = values.get("sources") or []
    return Published(
        name=path.stem,
        folder=values["folder"],
        kind=values["kind"],
        entities=values.get("entities"),
        relations=values.get("relations"),
        triples=values.get("triples"),
        sha256=values.get("sha256"),
        sources=tuple(_source(f"{path}: sources[{i}]", given) for i, given in enumerate(sources)),
        classes=values.get("classes"),
        images=values.get("images"),
    )


def _source(place: str, given: Any) -> Source:
    if not isinstance(given, dict) or "url" not in given or not given.keys() <= {"url", "member"}:
        raise BadSource(f"{place}: expected the keys url and member, found {given!r}")
    source = Source(given["url"], given.get("member"))
    if urllib.parse.urlsplit(source.url).scheme not in ("http", "https"):
        raise BadSource(f"{place}: {source.url}: expected a http or https URL")
    if (source.member is not None) != (source.ending in ARCHIVES):
        raise BadSource(
            f"{place}: {source.url}: an archive ({', '.join(ARCHIVES)}) needs a `member`, the path "
            "of {split}.txt in it, and a single file has none"
        )
    if "{split}" not in (source.member or source.url):
        raise BadSource(f"{place}: expected {{split}} in the member, or in the URL of single files")
    return source
