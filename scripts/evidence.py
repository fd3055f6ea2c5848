"""Writes the evidence tables of docs/: what stands behind each row of a table of results.

    python scripts/evidence.py [--check]

A row names its runs (n), the command that makes them, the commit and the hardware that made them,
the seconds they took, and the committed records. All is read from results/NAME/runs.parquet and
from the recipes in conf/experiment; `commands` gives the words of every run, so that a test can
hold the run ids of a command to those of the records.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import yaml
from pages import ROOT, fill

RECIPES = ROOT / "conf" / "experiment"
UNIT = ["dataset", "model"]
HEADER = ("dataset", "model", "n", "command", "commit", "hardware", "seconds", "records")


@dataclass(frozen=True)
class Evidence:
    """A folder of results/: the page that shows it, and the recipes that made it.

    Attributes:
        same_ids: whether today's code gives the runs of these commands the ids of the records;
            configurations were described in other words when older ones were made.
        block: of the page, which the table fills.
    """

    page: str
    recipes: tuple[str, ...]
    same_ids: bool = True
    block: str = "evidence"


SHOWN = {
    "reproduce": Evidence("docs/results.md", ("reproduce",)),
    "tuned": Evidence("docs/tuned.md", ("tuned",)),
    "paper_graphs": Evidence("docs/paper_regime.md", ("paper_graphs_small", "paper_graphs")),
    "large_graphs": Evidence("docs/large_graphs.md", ("link_prediction_cpu",), same_ids=False),
    "ablation": Evidence("docs/ablation.md", ("ablation", "ablation_images"), same_ids=False),
    "images": Evidence("docs/images.md", ("images_cpu",), same_ids=False),
    "images_small": Evidence(
        "docs/images.md", ("images_small",), block="images_small_evidence"
    ),
    "images_small_fair": Evidence(
        "docs/images.md", ("images_small_fair",), block="images_small_fair_evidence"
    ),
    "uncertainty_images": Evidence("docs/uncertainty.md", ("uncertainty_images",)),
    "language_small": Evidence(
        "docs/language.md", ("language_small",), block="language_small_evidence"
    ),
    "language_lora": Evidence(
        "docs/language.md", ("language_base", "language_lora"), block="language_lora_evidence"
    ),
    "queries": Evidence(
        "docs/queries.md", ("query_answering_cpu", "query_answering_large_cpu"), same_ids=False
    ),
    "populations": Evidence(
        "docs/populations.md",
        ("populations", "populations_alone", "populations_tuned", "populations_tuned_alone"),
    ),
    "one_shot": Evidence("docs/one_shot.md", ("one_shot", "one_shot_released")),
    "sensitivity": Evidence(
        "docs/sensitivity.md",
        tuple(f"sensitivity_{axis}" for axis in ("start", "every", "valid", "dim", "epochs")),
    ),
    "published_graphs": Evidence(
        "docs/published.md",
        ("published_graphs", "published_graphs_keci", "published_graphs_large"),
    ),
}  # fmt: skip


def axes(recipe: str) -> dict[str, list[str]]:
    """What a recipe sweeps: key → values; `dataset` and `model` also where they are fixed."""
    plain = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text("utf-8"))
    found: dict[str, list[str]] = {}
    for default in plain["defaults"]:
        if isinstance(default, str) and default != "_self_":
            found |= axes(default)
        elif isinstance(default, dict):
            ((key, value),) = default.items()
            group = key.removeprefix("override /")
            if group in UNIT:
                found[group] = [value]
    for key, value in plain.get("hydra", {}).get("sweeper", {}).get("params", {}).items():
        found[key] = _values(str(value))
    return found


def _values(text: str) -> list[str]:
    """`a,b` and `range(2,5)`."""
    if numbers := re.fullmatch(r"range\((.*)\)", text):
        return [str(i) for i in range(*map(int, numbers[1].split(",")))]
    return [part.strip() for part in text.split(",")]


def words(recipe: str, dataset: str, model: str) -> list[str] | None:
    """Of `aswa-train`, for the runs of a recipe on one dataset and model; None if it has none."""
    swept = axes(recipe)
    if dataset not in swept["dataset"] or model not in swept["model"]:
        return None
    narrowed = [f"{key}={value}" for key, value in (("dataset", dataset), ("model", model))
                if len(swept[key]) > 1]  # fmt: skip
    return [f"experiment={recipe}", *narrowed]


def commands(recipe: str, dataset: str, model: str) -> Iterator[list[str]]:
    """The words of every single run of such a command."""
    swept = {**axes(recipe), "dataset": [dataset], "model": [model]}
    for values in itertools.product(*swept.values()):
        pairs = zip(swept, values, strict=True)
        yield [f"experiment={recipe}", *(f"{key}={value}" for key, value in pairs)]


def table(name: str) -> str:
    """One row a dataset × model."""
    runs = pd.read_parquet(ROOT / "results" / name / "runs.parquet")
    shown = SHOWN[name]
    up = "../" * shown.page.count("/")
    rows = []
    for (dataset, model), found in runs.groupby(UNIT, sort=True):
        plain = dataset.partition(" (")[0]
        made = [words(recipe, plain, model) for recipe in shown.recipes]
        command = "<br>".join(f"`aswa-train {' '.join(each)}`" for each in made if each)
        packed = ROOT / "results" / name / "runs" / plain / model
        place = packed if packed.is_dir() else ROOT / "results" / name / "runs.parquet"
        link = f"[{place.name}]({up}{place.relative_to(ROOT).as_posix()})"
        rows.append((
            dataset, model, _number(len(found), found["seed"].nunique()), command,
            _commits(name, found), _hardware(found), f"{found['seconds_total'].sum():.0f}", link,
        ))  # fmt: skip
    lines = [HEADER, tuple("---" for _ in HEADER), *rows]
    text = "\n".join("| " + " | ".join(row) + " |" for row in lines)
    then = "" if shown.same_ids else (
        " Configurations were described in other words at that commit: give the command there, or "
        "expect other run ids."
    )  # fmt: skip
    if (runs["device"] != "cpu").any():
        then += " Runs on a GPU had `device=cuda` beside."
    return (
        "What stands behind a row: its runs, the command that makes them (at all rates and "
        f"settings of the recipe), what made them, the time they took in all.{then}\n\n{text}"
    )


def _number(runs: int, seeds: int) -> str:
    counts = ((runs, "run"), (seeds, "seed"))
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)


def _commits(name: str, runs: pd.DataFrame) -> str:
    """Of the runs, or where the records are older than this column, of the page's own words."""
    if "commit" in runs:
        return ", ".join(sorted(set(runs["commit"])))
    text = (ROOT / SHOWN[name].page).read_text("utf-8")
    said = re.findall(r"minutes in all, torch [^,]*, commit ([0-9a-f or]+)\.", text)[-1]
    return said.replace(" or ", ", ")


def _hardware(runs: pd.DataFrame) -> str:
    """The GPU, or else the processor where the records name it."""
    devices = runs["device"]
    if "cpu" in runs:
        devices = devices.where((devices != "cpu") | runs["cpu"].isna(), runs["cpu"])
    return f"{', '.join(sorted(set(devices)))}; torch {', '.join(sorted(set(runs['torch'])))}"


def write(name: str) -> None:
    """Fill the block of a folder of results/ in its page."""
    fill(SHOWN[name].page, SHOWN[name].block, table(name))


def main() -> int:
    before = {shown.page: (ROOT / shown.page).read_text("utf-8") for shown in SHOWN.values()}
    for name in SHOWN:
        write(name)
    after = {page: (ROOT / page).read_text("utf-8") for page in before}
    if "--check" in sys.argv:
        for page, text in before.items():
            (ROOT / page).write_text(text, "utf-8")
        return int(before != after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
