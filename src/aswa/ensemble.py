"""`aswa-ensemble`: finished runs with kept weights, evaluated together.

    aswa-ensemble results/runs/umls/keci/*                    # ASWA's models of several runs
    aswa-ensemble RUN RUN --method swa --json ensemble.json
    aswa-ensemble RUN --snapshots --last 5                    # a snapshot ensemble of one run

Runs keep the weights of their methods with save_weights=true, and those of the running model every
K epochs with save_snapshots=K. Printed are the mean model, the best one by validation, the mean of
the weights, and the ensemble, whose predictions are averaged. Exit codes: 0, or 2 and a line that
says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aswa.files import canonical_json, write_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Console entry; see the module."""
    options = _parser().parse_args(arguments)
    from aswa.config import ConfigError
    from aswa.training.kept import SNAPSHOT

    method = SNAPSHOT if options.snapshots else options.method
    try:
        found = _ensemble(options, method)
        if options.json is not None:
            write_bytes(options.json, canonical_json(found).encode() + b"\n")
    except (ConfigError, FileNotFoundError, ValueError) as error:
        print(f"aswa-ensemble: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"aswa-ensemble: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _ensemble(options: argparse.Namespace, method: str) -> dict[str, Any]:
    """Load, evaluate and print."""
    from aswa.training.ensembled import ensemble_rows, load_members

    changes = {"device": options.device}
    changes |= {"data_dir": options.data_dir} if options.data_dir else {}
    first, members, who = load_members(options.runs, method, options.last, **changes)
    rows = ensemble_rows(first.task, members, first.config)
    config = first.config
    print(f"{config.dataset.name}, {len(members)} models of {method}")
    values = {(row["optimizer"], row["split"], row["metric"]): row["value"] for row in rows}
    for name in dict.fromkeys(row["optimizer"] for row in rows):
        told = ", ".join(f"test {m} {values[name, 'test', m]:.3f}" for m in config.headline)
        selected = first.task.selection_metric
        print(f"  {name:12} valid {selected} {values[name, 'valid', selected]:.3f}, {told}")
    return {
        "dataset": config.dataset.name,
        "model": config.model.name,
        "method": method,
        "members": who,
        "rows": rows,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-ensemble", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--method", default="aswa", help="of the runs; aswa if not given")
    parser.add_argument("--snapshots", action="store_true", help="the running model on the way")
    parser.add_argument("--last", type=int, metavar="K", help="only the last K models of a run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--data-dir", help="the folder of dataset folders, if it is another now")
    return parser


if __name__ == "__main__":
    sys.exit(main())
