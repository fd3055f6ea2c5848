"""Which run a list of overrides means, remembered, so that a second look costs no composing."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from aswa.config import RunConfig, resolve
from aswa.config.schema import Misfit
from aswa.data.folders import data_folders
from aswa.files import canonical_json, conf_dir, write_bytes

CODE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Meaning:
    """What a combination of overrides is: a run's folder, or why there is none.

    Attributes:
        folder: of the run; empty for a combination that makes no sense.
        title: for people.
        misfit: why the combination is left out.
    """

    folder: str = ""
    title: str = ""
    misfit: str = ""


class Meanings:
    """Overrides → meaning. Kept in a file that may be deleted at any time.

    Composing takes milliseconds a run, a look into the file nothing. An entry counts only while the
    files of conf/, the code that resolves them and the datasets' folders are as they were.
    """

    def __init__(self, master: DictConfig, loader: Any, results_dir: Path) -> None:
        self._master, self._loader = master, loader
        self._path = results_dir / ".sweep" / "meanings.json"
        self._known: dict[str, Any] = {}
        self._composed: dict[str, tuple[DictConfig, RunConfig]] = {}
        self._choices: dict[tuple[str, ...], DictConfig] = {}
        self._state = _state(master.get("data_dir"))
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["state"] == self._state:
                self._known = stored["meanings"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is only a memory

    def of(self, overrides: Sequence[str]) -> Meaning:
        """Composed if it is new.

        Raises:
            ConfigError: the combination is wrong, not only a misfit.
        """
        key = canonical_json(list(overrides))
        if key in self._known:
            return Meaning(**self._known[key])
        try:
            config = self.compose(overrides)[1]
            meaning = Meaning(str(config.folder), config.title)
        except Misfit as error:
            meaning = Meaning(misfit=str(error))
        self._known[key] = asdict(meaning)
        return meaning

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, RunConfig]:
        """The configuration of a job, as Hydra gives it to the job, and what it means."""
        key = canonical_json(list(overrides))
        if key not in self._composed:
            composed = self._compose(overrides)
            self._composed[key] = (composed, resolve(composed))
        return self._composed[key]

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        """As Hydra's loader does, but files of conf/ are read once for each choice among them.

        That takes 30 ms. The overrides of values come last with Hydra, too.
        """
        words = OverridesParser.create(config_loader=self._loader).parse_overrides(list(overrides))
        values = [word for word in words if self._is_value(word)]
        choices = tuple(str(word.input_line) for word in words if not self._is_value(word))
        if choices not in self._choices:
            chosen = self._loader.load_sweep_config(self._master, list(choices))
            with open_dict(chosen):
                del chosen["hydra"]
            self._choices[choices] = chosen
        composed = copy.deepcopy(self._choices[choices])
        ConfigLoaderImpl._apply_overrides_to_config(values, composed)
        return composed

    def _is_value(self, word: Override) -> bool:
        """Not a choice among files, and not for Hydra itself."""
        key = word.key_or_group
        group = word.package is not None or self._loader.repository.group_exists(key)
        return not group and key.split(".")[0] != "hydra"

    def remember(self) -> None:
        """Write the file."""
        stored = {"state": self._state, "meanings": self._known}
        write_bytes(self._path, json.dumps(stored).encode())


def _state(data_dir: str | None) -> str:
    """A hash of all that a meaning depends on besides the overrides."""
    found = hashlib.sha256()
    code = [*CODE.glob("config/*.py"), *CODE.glob("kinds/*.py"), *CODE.glob("data/**/*.py")]
    for path in sorted([*conf_dir().rglob("*.yaml"), *code]):
        found.update(path.name.encode())
        found.update(path.read_bytes())
    for folder in data_folders(data_dir):
        found.update(f"{folder}{folder.stat().st_mtime_ns}".encode())
    return found.hexdigest()
