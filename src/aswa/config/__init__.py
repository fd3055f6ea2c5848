"""The configuration of a run: composed by Hydra from `conf/`, checked, typed. Imports no torch."""

from aswa.config.loading import load, remarks, resolve
from aswa.config.run_config import BaseOptimizerConfig, RunConfig, ScheduleConfig
from aswa.config.schema import ConfigError, Misfit

__all__ = [
    "BaseOptimizerConfig",
    "ConfigError",
    "Misfit",
    "RunConfig",
    "ScheduleConfig",
    "load",
    "remarks",
    "resolve",
]
