"""`aswa-train`: compute one run, or with -m (or a recipe) a sweep of them.

    aswa-train dataset=umls model=keci optimizer=all seed=0
    aswa-train -m dataset=umls,kinship model=distmult,keci seed=range(5)
    aswa-train experiment=quick

torch is imported only when a run has to be computed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from aswa.config import ConfigError, RunConfig, resolve, tuned_elsewhere
from aswa.config.messages import explain
from aswa.files import conf_dir
from aswa.results.folder import Busy, RunFolder
from aswa.sweeping import grid_config as grid_config  # makes the sweeper known to Hydra
from aswa.sweeping import progress
from aswa.sweeping.gpus import take_gpu
from aswa.sweeping.outcome import BUSY, RunFailed, RunHopeless, SweepFailed
from aswa.sweeping.plan import freeze, thaw


def main() -> None:
    """Console entry. Exit codes: 0 done, 1 a run failed, 2 wrong configuration, 130 Ctrl-C."""
    own_tracebacks = "HYDRA_FULL_ERROR" not in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through, to be said better here
    try:
        _hydra_main()
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError) as error:
        # Of other ValueErrors only Hydra's own, for `group=null`, is about the configuration.
        plain = type(error) is ValueError and "Config group override" not in str(error)
        if plain or not own_tracebacks:
            raise
        _say(str(error) if isinstance(error, ConfigError) else explain(error))
        sys.exit(2)
    except (RunFailed, SweepFailed) as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:  # of the results folder, before or between runs
        if error.filename is None or not own_tracebacks:
            raise
        _say(f"{error.filename}: {error.strerror}; nothing that was done is lost")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        sys.exit(130)


def _say(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # under torchrun the first process speaks
        print(f"aswa-train: {text}", file=sys.stderr)


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")
def _hydra_main(composed: DictConfig) -> str:
    planned = composed.get("frozen")
    if planned is None:
        config = resolve(composed)
        note = tuned_elsewhere(config) if composed.lr is None else ""
    else:
        config, note = thaw(Path(planned))
    if note:
        _say(note)
    if config.rebuilt_split:
        _say(
            f"{config.dataset.name}: only a rebuilt train file is there, not the published one; "
            "every row is marked `split: rebuilt`"
        )
    began = time.perf_counter()
    record = RunFolder(config.folder, report=lambda _: None).result()  # execute() will say it
    took = "already done"
    if record is None:
        if planned is None and os.environ.get("RANK", "0") == "0":
            freeze(composed, config, list(HydraConfig.get().overrides.task))
        try:
            record, computed = _compute(config, wait=planned is None)
        except Busy:
            return BUSY
        if computed:
            took = f"{time.perf_counter() - began:.1f} s"
    if os.environ.get("RANK", "0") == "0":  # under torchrun the first process speaks
        place = progress.note_end(time.perf_counter() - began)
        print(f"{place}{config.title}: {_headline(record)} ({took})", flush=True)
    return str(record["status"])


def _compute(config: RunConfig, wait: bool) -> tuple[dict[str, Any], bool]:
    """The run's record, and whether it was computed here."""
    from aswa.training.bar import epoch_bar
    from aswa.training.session import find_or_compute
    from aswa.training.trajectory import Diverged

    _die_with_parent()
    if progress.launcher() is not None and config.device in ("auto", "cuda"):
        take_gpu()
    try:
        with epoch_bar(config) as on_epoch:
            return find_or_compute(config, _say, on_epoch, wait)
    except (ConfigError, Busy):
        raise
    except SystemExit as end:  # the run is saved; a signal wants the process to end
        if progress.launcher() is not None:
            # joblib would send the exception home as an answer, and keep its worker for ever.
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        raise
    except Exception as error:
        kind = RunHopeless if isinstance(error, Diverged) else RunFailed
        place = config.folder / "status.json"
        raise kind(f"{config.title}: {type(error).__name__}: {error}\n  {place}") from error


def _die_with_parent() -> None:
    """A worker of a killed sweep stops too, so that no run is computed behind one's back.

    It is asked to, so that it saves its run first; a launcher that died before is seen here.
    """
    launcher = progress.launcher()
    if sys.platform != "linux" or launcher is None:
        return
    import ctypes
    import signal

    PR_SET_PDEATHSIG = 1
    if os.getppid() == launcher:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if not Path(f"/proc/{launcher}").exists():  # it died before this job began
        os.kill(os.getpid(), signal.SIGKILL)


def _headline(record: dict[str, Any]) -> str:
    """Test values of each method: of the first metric, and of queries where they were answered."""
    test = [row for row in record["rows"] if row["split"] == "test"]
    parts = []
    for metric in (test[0]["metric"], "mrr_epfo"):
        values = [f"{r['optimizer']} {r['value']:.3f}" for r in test if r["metric"] == metric]
        if values:
            parts.append(f"test {metric} {', '.join(values)}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
