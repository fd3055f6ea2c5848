"""Which run a list of overrides means, remembered, so that a second look costs no composing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from aswa.config import RunConfig, resolve
from aswa.config_checks import Misfit
from aswa.config_files import conf_dir
from aswa.data.sources import data_folders
from aswa.results.store import canonical_json, write_bytes

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

    Composing a configuration takes 30 ms, a look into the file nothing. An entry counts only while
    the files of conf/, the code that resolves them and the datasets' folders are as they were.
    """

    def __init__(self, master: DictConfig, loader: Any, results_dir: Path) -> None:
        self._master, self._loader = master, loader
        self._path = results_dir / ".sweep" / "meanings.json"
        self._known: dict[str, Any] = {}
        self._composed: dict[str, tuple[DictConfig, RunConfig]] = {}
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
            composed = self._loader.load_sweep_config(self._master, list(overrides))
            with open_dict(composed):
                del composed["hydra"]
            self._composed[key] = (composed, resolve(composed))
        return self._composed[key]

    def remember(self) -> None:
        """Write the file."""
        stored = {"state": self._state, "meanings": self._known}
        write_bytes(self._path, json.dumps(stored).encode())


def _state(data_dir: str | None) -> str:
    """A hash of all that a meaning depends on besides the overrides."""
    found = hashlib.sha256()
    code = [*CODE.glob("*.py"), *CODE.glob("data/*.py")]
    for path in sorted([*conf_dir().rglob("*.yaml"), *code]):
        found.update(path.name.encode())
        found.update(path.read_bytes())
    for folder in data_folders(data_dir):
        found.update(f"{folder}{folder.stat().st_mtime_ns}".encode())
    return found.hexdigest()
