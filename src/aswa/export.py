"""`aswa-export`: the weights of finished runs as safetensors, each with a model card.

    aswa-export results/runs/umls/keci/3f0c5d2a9b11             # one run: ASWA's weights
    aswa-export results --method swa --to models                # every run that kept weights of SWA

A run's files go to export/METHOD in its folder, or to DIR; those of several to
DIR/DATASET/MODEL/RUN_ID. `aswa.load` reads them again. Exit codes: 0 written, 2 not, and a line
says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from aswa.results.store import has_result, result_paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Console entry; see the module."""
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("safetensors") is None:
        return _say("safetensors is not installed; pip install 'aswa[export]'")
    from aswa.config import ConfigError
    from aswa.training.exported import has_weights

    place: Path = options.place
    if has_result(place):
        chosen = {place: options.to or place / "export" / options.method}
    else:
        runs = [path.parent for path in result_paths(place)]
        if not runs:
            return _say(
                f"{place}: neither the folder of a finished run nor one of results; give "
                "RESULTS_DIR/runs/DATASET/MODEL/RUN_ID of a run that aswa-status counts as done, "
                "or RESULTS_DIR"
            )
        kept = [run for run in runs if has_weights(run, options.method)]
        if not kept:
            return _say(
                f"{place}: none of its {len(runs)} runs kept weights of {options.method}; remove "
                "the folder of a run and give its command again with save_weights=true, or name "
                "another method with --method"
            )
        chosen = {run: _target(run, place, options) for run in kept}
        if left := len(runs) - len(kept):
            _say(f"left out ({left}): no weights of {options.method}")
    try:
        _export(chosen, options)
    except (ConfigError, FileNotFoundError, ValueError) as error:
        return _say(str(error))
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}; write elsewhere with --to DIR")
    return 0


def _export(chosen: dict[Path, Path], options: argparse.Namespace) -> None:
    from aswa.training.exported import export
    from aswa.training.loaded import load

    for run, target in chosen.items():
        changes = {"device": "cpu"} | ({"data_dir": options.data_dir} if options.data_dir else {})
        export(load(run, options.method, **changes), options.method, run, target)
        print(target, flush=True)


def _target(run: Path, place: Path, options: argparse.Namespace) -> Path:
    inside: Path = run.relative_to(place / "runs")
    return options.to / inside if options.to else run / "export" / options.method


def _say(text: str) -> int:
    print(f"aswa-export: {text}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-export", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("place", type=Path, metavar="FOLDER", help="of a run, or of results")
    parser.add_argument("--method", default="aswa", help="of the run; aswa if not given")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the files go")
    parser.add_argument("--data-dir", help="the folder of dataset folders, if it is another now")
    return parser


if __name__ == "__main__":
    sys.exit(main())
