"""`aswa-train`: compute one run, or with -m (or a recipe) a sweep of them.

    aswa-train dataset=umls model=keci optimizer=all seed=0
    aswa-train -m dataset=umls,kinship model=distmult,keci seed=range(5)
    aswa-train experiment=quick --quiet

torch is imported only when a run has to be computed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from aswa.config import ConfigError
from aswa.config.members import add_sources
from aswa.config.messages import explain
from aswa.files import conf_dir
from aswa.sweeping import progress
from aswa.sweeping.command_line import take_own_words
from aswa.sweeping.job import RunFailed, run_job, say

_ended_with: list[Exception] = []  # what the run of this process raised


def main() -> None:
    """Console entry.

    Raises:
        SystemExit: 1 a run failed, 2 the configuration is wrong, 130 Ctrl-C.
    """
    own_tracebacks = "HYDRA_FULL_ERROR" not in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come through, and are explained here
    try:
        sys.argv[1:], text = take_own_words(sys.argv[1:])
        if text is not None:
            print(text)
            return
        with _any_help():
            _hydra_main()
        if _ended_with:
            raise _ended_with.pop()
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError) as error:
        # Of other ValueErrors only Hydra's own, for `group=null`, is about the configuration.
        plain = type(error) is ValueError and "Config group override" not in str(error)
        if plain or not own_tracebacks:
            raise
        say(str(error) if isinstance(error, ConfigError) else explain(error))
        sys.exit(2)
    except RunFailed as error:
        say(str(error))
        sys.exit(1)
    except OSError as error:  # of the results folder, before or between runs
        if error.filename is None or not own_tracebacks:
            raise
        say(f"{error.filename}: {error.strerror}; nothing that was done is lost")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        sys.exit(130)


@contextlib.contextmanager
def _any_help() -> Iterator[None]:
    """Python 3.14 refuses a help that is no str, which Hydra 1.3 has (its issue 3121)."""
    checked = getattr(argparse.ArgumentParser, "_check_help", None)
    if checked is None or not hydra.__version__.startswith("1.3."):
        yield
        return
    argparse.ArgumentParser._check_help = lambda self, action: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        argparse.ArgumentParser._check_help = checked  # type: ignore[attr-defined]


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")
def _hydra_main(composed: DictConfig) -> str:
    add_sources(HydraConfig.get().runtime.config_sources)
    try:
        return run_job(composed, list(HydraConfig.get().overrides.task))
    except (ConfigError, RunFailed) as error:
        if progress.in_sweep():
            raise
        _ended_with.append(error)  # Hydra would print a line of its own before ours
        return "failed"


if __name__ == "__main__":
    main()
