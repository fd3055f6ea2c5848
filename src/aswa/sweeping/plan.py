"""What a run is planned with, kept in its folder, so that a later edit does not reach the run.

`plan.json` holds the composed configuration, the commit, the changes that were not committed (once
each, in RESULTS_DIR/.sweep/diffs/) and the versions of the packages.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aswa.config import ConfigError, RunConfig, resolve
from aswa.files import write_bytes
from aswa.registry import load, mixings
from aswa.results.provenance import git_diff, git_state, versions
from aswa.results.store import CorruptRecord, read_record, write_record

PLAN = "plan.json"


def write_plan(composed: DictConfig, config: RunConfig, overrides: Sequence[str]) -> None:
    """Write `plan.json` of a run that is about to be launched or computed."""
    plan = {
        "run_id": config.run_id,
        "planned": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "overrides": list(overrides),
        "composed": OmegaConf.to_container(composed, resolve=True),
        "config": config.resolved,
        "code": _code(Path(config.results_dir)),
    }
    write_record(config.folder / PLAN, plan)


def check_run(config: RunConfig) -> None:
    """Raise a ConfigError for missing data, or what cannot be built of the run. Imports torch."""
    from aswa.training.population import build_mixing

    if check := config.kind.tasks[config.task.name].check_run:
        try:
            load(check)(config)
        except FileNotFoundError as error:
            raise ConfigError(f"dataset={config.dataset.name}: {error}") from None
    build_mixing(mixings()[config.population.name], config)


def _code(results_dir: Path) -> dict[str, Any]:
    """Commit, name of the file that holds the uncommitted changes, and versions."""
    name = None
    if diff := git_diff():
        name = f"{hashlib.sha256(diff).hexdigest()[:12]}.diff"
        path = results_dir / ".sweep" / "diffs" / name
        if not path.exists():
            write_bytes(path, diff)
    return {"sha": git_state()["sha"], "diff": name, "versions": versions()}


def load_plan(folder: Path) -> tuple[RunConfig, list[str]]:
    """The configuration that a run was planned with, and a warning if the code is another now.

    Raises:
        ConfigError: there is no such plan, or what it names is no longer the same run: files of the
            dataset, or the meaning of its configuration, changed.
    """
    try:
        plan = read_record(folder / PLAN)
    except (FileNotFoundError, CorruptRecord) as error:
        raise ConfigError(
            f"{folder}: no whole {PLAN} in it ({error}); start the sweep again"
        ) from None
    config = resolve(OmegaConf.create(plan["composed"]), plan["overrides"])
    if config.run_id != plan["run_id"]:
        raise ConfigError(
            f"{folder}: planned as {plan['run_id']}, but the same configuration now means "
            f"{config.run_id}: the dataset's files or the code changed while the run was queued; "
            "start the sweep again"
        )
    now = _code(Path(config.results_dir))
    changed = [key for key, value in now.items() if plan["code"].get(key) != value]
    if not changed:
        return config, []
    return config, [
        f"{config.title}: planned with another state of the code than it is computed with "
        f"({', '.join(changed)}; {folder / PLAN})"
    ]
