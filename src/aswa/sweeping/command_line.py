"""The words of `aswa-train` that are not Hydra's: --help, --version, --quiet, --dry-run."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from aswa.config import ConfigError
from aswa.config.members import GROUPS, RECIPES, add_folders, member_file, members
from aswa.config.messages import known_keys
from aswa.sweeping import progress

FLAGS = {"--quiet": progress.QUIET, "--dry-run": progress.DRY_RUN}
MULTIRUN = ("-m", "--multirun")
CONFIG_DIR = ("--config-dir", "-cd")
WIDTH = 110
USAGE = """\
aswa-train computes one run, or with -m (or a recipe) a sweep of them.

    aswa-train dataset=umls model=keci optimizer=all seed=0
    aswa-train -m dataset=umls,kinship model=distmult,keci lr=0.01,0.1 seed='range(5)'
    aswa-train dataset.folder=my/graph model=complex lr=0.01
    aswa-train experiment=quick

    KEY=VALUE     a setting, or a member of a group below; conf/config.yaml has every key, commented
    -m            a sweep over all combinations of values with commas
    --dry-run     the runs of a sweep, done or to do, and how long they will take; computes nothing
    --quiet       says nothing while runs go on
    --config-dir  a folder of your own with members of the groups
    --cfg job     prints the composed configuration, of a sweep that of the first run
    --version
"""


def take_own_words(words: Sequence[str]) -> tuple[list[str], str | None]:
    """The words that are left for Hydra, and a text to print instead of running, if any.

    Raises:
        ConfigError: a setting is written with dashes.
    """
    left = [word for word in words if word not in FLAGS]
    left.sort(key=lambda word: word not in MULTIRUN)  # Hydra takes no setting after a late -m
    add_folders(str(Path(folder).absolute()) for folder in _config_dirs(left))
    for word, variable in FLAGS.items():
        if word in words:
            os.environ[variable] = "1"
    if "--version" in left:
        from importlib.metadata import version

        return left, f"aswa {version('aswa')}"
    if {"--help", "-h"} & set(left):
        return left, help_text()
    keys = {key for word in left if word.startswith("--") and (key := _key(word)) in known_keys()}
    if keys:
        key = sorted(keys)[0]
        raise ConfigError(f"--{key}: settings are written without dashes, as in {key}=VALUE")
    if {"--cfg", "-c", "--info", "-i"} & set(left) and set(MULTIRUN) & set(left):
        left = [_first_value(word) for word in left if word not in MULTIRUN]
    given = [word.partition("=")[0] for word in left]
    if "dataset.folder" in given and not {"dataset", *RECIPES} & set(given):
        left.insert(given.index("dataset.folder"), "dataset=own")
    return left, None


def _config_dirs(words: Sequence[str]) -> list[str]:
    """The folders of `--config-dir FOLDER` and `--config-dir=FOLDER`."""
    after = [value for word, value in pairwise(words) if word in CONFIG_DIR]
    return after + [w.partition("=")[2] for w in words if w.partition("=")[0] in CONFIG_DIR[:1]]


def _first_value(word: str) -> str:
    """`seed=0` of `seed=0,1` and of `seed=range(5)`; any other word as it is."""
    if word.startswith("-") or "=" not in word:
        return word
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        override = OverridesParser.create().parse_override(word)
    except OverrideParseException:  # Hydra will complain of it
        return word
    if not override.is_sweep_override():
        return word
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _key(word: str) -> str:
    return word.removeprefix("--").partition("=")[0].replace("-", "_")


def help_text() -> str:
    """Usage, and the members of every group with the first line of their comment."""
    parts = [USAGE]
    for group in GROUPS:
        names = members(group)
        wide = max(map(len, names), default=0)
        room = WIDTH - wide - 6
        lines = [f"    {n:{wide}}  {textwrap.shorten(_about(group, n), room, placeholder=' …')}"
                 for n in names]  # fmt: skip
        parts.append("\n".join([f"{group}=", *lines]))
    return "\n\n".join(part.rstrip() for part in parts)


def _about(group: str, name: str) -> str:
    """The first line of the comment of a member's file."""
    path = member_file(group, name)
    lines = path.read_text("utf-8").splitlines() if path else []
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return next((line for line in comments if line and not line.startswith("@package")), "")
