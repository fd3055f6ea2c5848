"""Overrides → planned run, remembered, so that planning a sweep again composes nothing."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from aswa.config import Misfit, RunConfig, resolve
from aswa.config.members import folders_of_members
from aswa.data.folders import data_folders
from aswa.files import canonical_json, write_bytes

CODE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class PlannedRun:
    """The run that a combination of overrides names, or why there is none."""

    folder: str = ""
    title: str = ""
    misfit: str = ""  # why the combination is left out: it makes no sense
    files: dict[str, str] = field(default_factory=dict)  # that the configuration names → state


class PlanCache:
    """Overrides → `PlannedRun`, kept in a file that may be deleted at any time.

    Composing takes milliseconds a run, a look into the file nothing. The file counts only while
    conf/, the code that resolves it and the datasets' folders are as they were; an entry only while
    the files that it names are.
    """

    def __init__(self, master: DictConfig, loader: Any, results_dir: Path) -> None:
        self._master, self._loader = master, loader
        self._path = results_dir / ".sweep" / "plan_cache.json"
        self._known: dict[str, Any] = {}
        self._composed: dict[str, tuple[DictConfig, RunConfig]] = {}
        self._choices: dict[tuple[str, ...], DictConfig] = {}
        self._file_states: dict[str, str] = {}
        self._state = _state(master.get("data_dir"))
        with suppress(OSError, ValueError, KeyError, TypeError):  # it is only a memory
            stored = json.loads(self._path.read_bytes())
            if stored["state"] == self._state:
                self._known = stored["runs"]

    def of(self, overrides: Sequence[str]) -> PlannedRun:
        """The run of a combination, composed if it is new or its files changed.

        Raises:
            ConfigError: the combination is wrong, not only a misfit.
        """
        key = canonical_json(list(overrides))
        if key in self._known:
            known = PlannedRun(**self._known[key])
            if all(self._file_state(path) == state for path, state in known.files.items()):
                return known
        try:
            config = self.compose(overrides)[1]
            files = {str(path): self._file_state(str(path)) for path in config.files}
            planned = PlannedRun(str(config.folder), config.title, files=files)
        except Misfit as error:
            planned = PlannedRun(misfit=str(error))
        self._known[key] = asdict(planned)
        return planned

    def _file_state(self, path: str) -> str:
        """Size and time of a file; looked up once in a planning."""
        if path not in self._file_states:
            self._file_states[path] = ""
            with suppress(OSError):
                found = Path(path).stat()
                self._file_states[path] = f"{found.st_size} {found.st_mtime_ns}"
        return self._file_states[path]

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, RunConfig]:
        """The configuration of a job, as Hydra gives it to the job, and its typed form."""
        key = canonical_json(list(overrides))
        if key not in self._composed:
            composed = self._compose(overrides)
            self._composed[key] = (composed, resolve(composed, overrides))
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

    def save(self) -> None:
        """Write the file."""
        stored = {"state": self._state, "runs": self._known}
        write_bytes(self._path, json.dumps(stored).encode())


def _state(data_dir: str | None) -> str:
    """A hash of all that every planned run depends on besides its overrides."""
    found = hashlib.sha256()
    files = [path for folder in folders_of_members() for path in folder.rglob("*.yaml")]
    for room in ("config", "kinds", "data", "queries"):
        files += (CODE / room).rglob("*.py")
    for path in sorted([*files, CODE / "registry.py"]):
        found.update(path.name.encode())
        found.update(path.read_bytes())
    for folder in data_folders(data_dir):
        found.update(f"{folder}{folder.stat().st_mtime_ns}".encode())
    return found.hexdigest()
