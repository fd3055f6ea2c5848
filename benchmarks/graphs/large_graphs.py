"""What the benchmarks of large graphs share: plain files, equal weights, and how a table is headed.

All contestants read the same uncompressed files and, in ranking, score with the same two tables.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import shutil
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import side_by_side as sbs

SPLITS = ("train", "valid", "test")
DATASETS = ("wn18rr", "fb15k_237")
MODELS = ("distmult", "complex")
DIMS = (32, 256)
OURS = sbs.HERE / "graphs" / "ours_large.py"
STAR = "* extrapolated from a part."


def parser(description: str, name: str) -> argparse.ArgumentParser:
    """The options that all of these benchmarks have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    made.add_argument("--data-dir", type=Path, help="folder of datasets; or ASWA_DATA_DIR")
    made.add_argument("--datasets", nargs="+", default=list(DATASETS), help="configuration names")
    made.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    made.add_argument("--dims", type=int, nargs="+", default=list(DIMS))
    made.add_argument("--repetitions", type=int, default=3)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--cap-gib", type=float, default=16, help="memory a peer may take")
    made.add_argument("--name", default=name)
    made.add_argument("--results", type=Path, default=sbs.RESULTS)
    return made


def fresh_cache(folder: Path) -> None:
    """Let the runs of ours keep indexed graphs in `folder`, not where the user's are."""
    os.environ["XDG_CACHE_HOME"] = str(folder)


def plain_copy(dataset: str, data_dir: Path | None, into: Path) -> Path:
    """Uncompressed train.txt, valid.txt, test.txt of a dataset, as a folder in `into`."""
    if any(split in str(into) for split in SPLITS):
        # dicee tells the splits apart by whether their whole path has the word in it.
        raise SystemExit(f"{into}: take a TMPDIR without train, valid or test in its name")
    name = dataset.replace("_", "-")
    bases = [data_dir, os.environ.get("ASWA_DATA_DIR"), sbs.DATA]
    for base in (Path(base) for base in bases if base):
        if (base / name).is_dir():
            folder = into / name
            folder.mkdir(parents=True, exist_ok=True)
            for split in SPLITS:
                _plain(base / name, split, folder / f"{split}.txt")
            return folder
    raise SystemExit(f"no folder {name!r}: give --data-dir, or set ASWA_DATA_DIR")


def _plain(source: Path, split: str, target: Path) -> None:
    openers: dict[str, Callable[..., Any]] = {
        ".txt": open, ".txt.xz": lzma.open, ".txt.gz": gzip.open,
    }  # fmt: skip
    for ending, opener in openers.items():
        path = source / f"{split}{ending}"
        if path.is_file():
            with opener(path, "rb") as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out)
            return
    raise SystemExit(f"{source}: no {split} split")


def sizes(folder: Path) -> tuple[int, int]:
    """Numbers of entities and of relations in a plain folder."""
    entities, relations = set(), set()
    for split in SPLITS:
        with (folder / f"{split}.txt").open() as stream:
            for line in stream:
                h, r, t = line.rstrip("\n").split("\t")
                entities |= {h, t}
                relations.add(r)
    return len(entities), len(relations)


def write_weights(folder: Path, n_entities: int, n_relations: int, dim: int, kind: str) -> Path:
    """entity.npy [n_entities, dim] and relation.npy [2 n_relations, dim], float32, the same always.

    `normal`: scores of a few units, as after training. (At the standard deviation 0.1 of an initial
    model they would be below 0.01, and half of the candidates within the tolerance of a tie.)
    `integers`: −2 … 2, whose scores are exact in fp32 in whatever order they are summed, with many
    ties: here two right rankings cannot differ at all.
    """
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    scale = (2 / dim**0.5) ** (1 / 3)  # a DistMult score has the standard deviation scale³ √dim
    for name, rows in (("entity", n_entities), ("relation", 2 * n_relations)):
        if kind == "integers":
            table = random.integers(-2, 3, (rows, dim)).astype(np.float32)
        else:
            table = random.normal(0, scale, (rows, dim)).astype(np.float32)
        np.save(folder / f"{name}.npy", table)
    return folder


def ours(command: str, overrides: Iterable[str], *arguments: object, threads: int) -> Any:
    """One process of ours_large.py."""
    words = [command, *overrides, f"threads={threads}", *arguments]
    return sbs.run(sbs.sys.executable, OURS, words, threads)


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def heading(about: dict[str, Any], settings: str) -> str:
    """Machine and settings, one sentence."""
    return (
        f"{about['processor']}, {about['cores']} cores, {about['threads']} thread(s), torch "
        f"{about['torch']}, {about['date']}, load before {about['load_before']:.2f}; {settings}."
    )


def verdict(met: int, of: int, what: str) -> str:
    """One target, and in how many rows it is met."""
    return f"{what}: {'met' if met == of else '**missed**'} ({met} of {of} rows)."


def keep(record: dict[str, Any], options: argparse.Namespace) -> None:
    """Write what there is so far, so that hours are not lost with the last row."""
    options.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    (options.results / f"{options.name}.json").write_text(text + "\n")
