"""Hydra's way to our sweeper: it finds plugins in this namespace only, and imports them always."""

# No postponed annotations here: Hydra runs this file before Python knows it as a module, and then
# `dataclass` could not read them.
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser


@dataclass
class GridConf:
    """`hydra.sweeper`, the group's member `grid`.

    Attributes:
        max_batch_size: runs launched at a time; null for all that are left.
        params: a recipe's own axes, such as {seed: range(5)}.
        retries: how often a run that failed is launched again in the same sweep.
    """

    _target_: str = "hydra_plugins.aswa_grid_sweeper.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None
    retries: int = 1


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridConf, provider="aswa")


class GridSweeper(BasicSweeper):
    """Hydra's grid of overrides, but planned and launched by `aswa.sweeping.grid`.

    Finished runs are not launched; combinations of a dataset with a model that is not for it are
    left out, and said. For the arguments see `GridConf`.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        retries: int = 1,
    ) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.retries = retries

    def sweep(self, arguments: list[str]) -> Any:
        """Called by Hydra with the overrides of the command line."""
        from aswa.sweeping.grid import Grid

        assert self.hydra_context is not None and self.config is not None
        loader = self.hydra_context.config_loader
        words = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
        (combinations,) = self.split_arguments(overrides, None)
        grid = Grid(self.config, loader, self.launcher, self.retries, self.max_batch_size)
        return grid.run(combinations)
