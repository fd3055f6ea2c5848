"""The trackers of a configuration: `tracker=wandb`, or several, `tracker=[wandb,csv]`."""

from __future__ import annotations

import importlib.util
from typing import Any

from aswa.config.members import template
from aswa.config.run_config import TrackerConfig
from aswa.config.schema import ConfigError, checked, unknown
from aswa.registry import load, trackers

NONE = "none"


def fill_trackers(plain: dict[str, Any]) -> TrackerConfig:
    """The trackers, checked; `tracker.name` becomes the names of all, in the order of the registry.

    Raises:
        ConfigError: an unknown name, a wrong option, or a package that is not installed.
    """
    group, known = plain["tracker"], trackers()
    name = group["name"]
    for other in group.keys() - {"name"} - known.keys():
        raise unknown(f"tracker.{other}", other, known)
    if name != NONE and name not in group:
        raise ConfigError(f"tracker.name={name}: a tracker is chosen by tracker={name}")
    found = {}
    for name in (name for name in known if name in group):
        tracker, place = load(known[name]), f"tracker.{name}"
        given = {**(template("tracker", name).get(name) or {}), **(group[name] or {})}
        found[name] = checked([tracker.Options], given, place)
        if tracker.package and importlib.util.find_spec(tracker.package) is None:
            extra = f"aswa[{tracker.extra}]" if tracker.extra else tracker.package
            raise ConfigError(
                f"tracker={name}: {tracker.package} is not installed; pip install '{extra}'"
            )
        tracker.check(found[name], plain)
    group["name"] = "+".join(found) or NONE
    return TrackerConfig(group["name"], found)
