"""What a sweep costs besides its runs: planning, collecting, and the time between two runs.

    python -m benchmarks.sweeps.overhead                       # ten minutes, nothing else running

- **Throughput**: 80 short runs on UMLS (four models, 20 seeds, the recipe's size) side by side on
  all cores, from `aswa-train` to its end, over the sum of the runs' own seconds / cores. Aim: 1.15.
- **Planning**: the same command for 5,000 runs that are finished, seconds until it says so. The
  first plan, which has to compose 5,000 configurations, is given beside it. Aim: 20 s.
- **Collecting**: `aswa-analyze` of 10,000 results. Aim: 10 s. The results of these two are copies
  of one under other names and seeds: they time, and mean nothing.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aswa.results.store import read_result, result_paths, write_record
from benchmarks import side_by_side as sbs

THROUGHPUT, PLANNING, COLLECTING = 1.15, 20.0, 10.0
SHORT = ("dataset=umls", "model=distmult,complex,qmult,keci", "seed=range(20)")


def train(*words: str) -> tuple[float, str]:
    """Seconds of an `aswa-train`, and what it said."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "aswa.train", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return time.perf_counter() - start, done.stdout


def throughput(folder: Path) -> dict[str, Any]:
    seconds, _ = train("-m", "hydra/launcher=joblib", "device=cpu", *SHORT, f"results_dir={folder}")
    own = [read_result(path)["seconds"]["total"] for path in result_paths(folder)]
    cores = len(os.sched_getaffinity(0))
    return {"runs": len(own), "seconds": seconds, "own": sum(own), "cores": cores,
            "ratio": seconds / (sum(own) / cores)}  # fmt: skip


def planning(folder: Path, n: int) -> dict[str, Any]:
    """A sweep whose runs get their results between its first plan and its second."""
    words = ["-m", "dataset=umls", "model=distmult", "model.dim=8", "epochs=1", "lr=0.01"]
    train(*words, "seed=0", f"results_dir={folder}")
    (path,) = result_paths(folder)
    template = read_result(path)
    # Launched one by one it would compute them: give each plan its result as soon as it is there.
    code = (
        "import sys, time\n"
        "from aswa.sweeping.grid import Grid\n"
        "Grid._round = lambda self, jobs: ([], [])\n"
        "from aswa.train import main\n"
        "main()\n"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", code, *words, f"seed=range({n})", f"results_dir={folder}"]
    subprocess.run(command, check=True, capture_output=True)
    first = time.perf_counter() - start
    for plan in folder.glob("runs/*/*/*/plan.json"):
        config = json.loads(plan.read_text())["config"]
        _write(plan.parent, template, config, config["seed"])
    again, said = train(*words, f"seed=range({n})", f"results_dir={folder}")
    if said.strip() != f"{n} runs, {n} of them already done":
        raise SystemExit(f"not what was expected: {said}")
    return {"runs": n, "first": first, "finished": again}


def _write(folder: Path, template: dict[str, Any], config: dict[str, Any], seed: int) -> None:
    record = copy.deepcopy(template)
    record |= {"run_id": folder.name, "seed": seed, "config": config}
    record.pop("sha256", None)
    write_record(folder / "result.json", record)


def collecting(folder: Path, n: int) -> dict[str, Any]:
    """The results of `planning` and as many under other seeds."""
    results = list(result_paths(folder))
    for i, path in enumerate(results[: n - len(results)]):
        template = read_result(path)
        other = path.parent.with_name(f"{i:012x}")
        _write(other, template, template["config"] | {"seed": 10**6 + i}, 10**6 + i)
    start = time.perf_counter()
    command = [sys.executable, "-m", "aswa.analyze", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return {"files": len(list(result_paths(folder))), "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--name", default="sweep_overhead")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    options = parser.parse_args()
    machine = sbs.machine(threads=1)
    with tempfile.TemporaryDirectory() as folder:
        a = throughput(Path(folder, "throughput"))
        b = planning(Path(folder, "many"), options.runs)
        c = collecting(Path(folder, "many"), 2 * options.runs)
    rows = [
        (f"{a['runs']} short runs on {a['cores']} cores", f"{a['seconds']:.0f} s; their own "
         f"seconds / cores {a['own'] / a['cores']:.0f} s: {a['ratio']:.2f}", f"{THROUGHPUT}"),
        (f"planning {b['runs']:,} finished runs", f"{b['finished']:.1f} s", f"{PLANNING:.0f} s"),
        (f"the first plan of {b['runs']:,} runs", f"{b['first']:.0f} s", ""),
        (f"aswa-analyze of {c['files']:,} results", f"{c['seconds']:.1f} s", f"{COLLECTING:.0f} s"),
    ]  # fmt: skip
    text = (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, "
        f"{machine['date']}, load before {machine['load_before']:.2f}; n = 1.\n\n"
        + sbs.markdown(("what", "measured", "aim"), rows)
    )
    record = {"machine": machine, "throughput": a, "planning": b, "collecting": c}
    sbs.save(options.name, record, text, options.results)


if __name__ == "__main__":
    main()
