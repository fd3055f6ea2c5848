"""Hydra's way to our sweeper: it finds plugins in this namespace only, and imports them always."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class GridSweeper(BasicSweeper):
    """Hydra's grid of overrides, but planned and launched by `aswa.sweeping.grid`.

    Finished runs are not launched; combinations of a dataset with a model that is not for it are
    left out, and said. For the arguments see `aswa.sweeping.grid_config.GridConfig`.
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
