"""The member `grid` of Hydra's group `hydra/sweeper`; importing this file makes it known.

A file of its own: Hydra loads plugins in a way that dataclasses cannot be made in.
"""

from __future__ import annotations

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore


@dataclass
class GridConfig:
    """`hydra.sweeper`."""

    _target_: str = "hydra_plugins.aswa_grid_sweeper.GridSweeper"
    max_batch_size: int | None = None  # runs launched at a time; null for all that are left
    params: dict[str, str] | None = None  # a recipe's own axes, such as {seed: range(5)}
    retries: int = 1  # how often a run that failed is launched again in the same sweep


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridConfig, provider="aswa")
