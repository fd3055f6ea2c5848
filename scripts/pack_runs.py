"""Pack finished runs for the repository: `python scripts/pack_runs.py RESULTS_DIR NAME`.

Every finished run of RESULTS_DIR/runs becomes results/NAME/runs/<dataset>/<model>/<run_id>/ with
`result.json.gz` and `status.json.gz`; of the smallest seed of each dataset × model also
`history.json.gz`, for the curves. aswa-train and aswa-analyze read these as they read unpacked
ones, so that a sweep with results_dir=results/NAME goes on from there on any machine. Runs that are
packed already and lie in RESULTS_DIR no longer are left as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aswa.results.store import pack, read_result, result_paths

ROOT = Path(__file__).resolve().parents[1]


def pack_runs(results: Path, target: Path) -> int:
    """Pack the runs of one results folder for another; returns how many."""
    paths = list(result_paths(results))
    seeds = {path: read_result(path)["seed"] for path in paths}
    first = {
        folder: min(seed for path, seed in seeds.items() if path.parents[1] == folder)
        for folder in {path.parents[1] for path in paths}
    }
    for path, seed in seeds.items():
        folder = target / path.parent.relative_to(results)
        names = ["result.json", "status.json"]
        if seed == first[path.parents[1]]:
            names.append("history.json")
        for file in names:
            pack(path.with_name(file), folder / file)
    return len(paths)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/pack_runs.py RESULTS_DIR NAME")
    print(f"{pack_runs(Path(sys.argv[1]), ROOT / 'results' / sys.argv[2])} runs packed")
