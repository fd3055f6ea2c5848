"""Hydra's way to our sweeper and to other packages' conf/.

Hydra finds plugins in this namespace only, and imports them always.
"""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.search_path_plugin import SearchPathPlugin

from aswa.sweeping import grid_config as grid_config  # the member `grid` of hydra/sweeper


class PackagedConf(SearchPathPlugin):
    """Groups of conf/ gain the members of packages with an entry point `aswa.conf`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before anything is composed."""
        from aswa.config.members import packaged_folders

        for folder in packaged_folders():
            search_path.append("aswa.conf", f"file://{folder}")


class GridSweeper(BasicSweeper):
    """Hydra's grid of overrides, but planned and launched by `aswa.sweeping.grid`.

    Finished runs are not launched; combinations of a dataset with a model that is not for it are
    left out, and said. For the arguments see `aswa.sweeping.grid_config.GridConfig`.
    """

    def __init__(self, max_batch_size: int | None, params: Any, retries: int) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.retries = retries

    def sweep(self, arguments: list[str]) -> Any:
        """Called by Hydra with the overrides of the command line."""
        from aswa.config.members import add_sources
        from aswa.sweeping.grid import Grid

        assert self.hydra_context is not None and self.config is not None
        add_sources(self.config.hydra.runtime.config_sources)
        loader = self.hydra_context.config_loader
        words = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
        (combinations,) = self.split_arguments(overrides, None)
        grid = Grid(self.config, loader, self.launcher, self.retries, self.max_batch_size)
        return grid.run(combinations)
