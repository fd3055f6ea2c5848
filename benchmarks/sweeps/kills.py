"""A sweep killed over and over: nothing may be lost, doubled or different.

    python benchmarks/kills.py --kills 200                    # a quarter of an hour

Six runs on UMLS by joblib, saved as often as possible, so that many kills fall into the writing of
a checkpoint, a status or a result. At a random moment (seeded) the launcher, one of its workers or
all of them get SIGKILL, or SIGTERM; then the same command again. Whenever a sweep comes to its end,
its table has to be, byte for byte, that of one that nothing happened to, and a new one begins.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from aswa.analyze import main as analyze
from benchmarks import side_by_side as sbs

WORDS = (
    "-m", "hydra/launcher=joblib", "dataset=umls", "model=distmult,complex", "seed=range(3)",
    "model.dim=16", "epochs=250", "lr=0.01", "checkpoint_seconds=0.01", "device=cpu",
)  # fmt: skip


def start(results: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aswa.train", *WORDS, f"results_dir={results}"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def table(results: Path) -> bytes:
    if analyze([str(results)]):
        raise SystemExit(f"{results}: no table")
    return (results / "analysis" / "results.csv").read_bytes()


def workers(launcher: int) -> list[int]:
    """Processes of its session besides itself."""
    found = subprocess.run(["pgrep", "-s", str(launcher)], capture_output=True, text=True).stdout
    return [pid for pid in map(int, found.split()) if pid != launcher]


def kill(process: subprocess.Popen[bytes], numbers: random.Random) -> str:
    """One of the ways to end a sweep; says which."""
    number = numbers.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    whom = numbers.choice(["launcher", "worker", "all"])
    alive = workers(process.pid)
    victims = {"launcher": [process.pid], "all": [process.pid, *alive]}.get(whom)
    if victims is None:
        victims = [numbers.choice(alive)] if alive else [process.pid]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return f"{whom} {number.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=6.0, help="s until a kill")
    parser.add_argument("--name", default="kills")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    options = parser.parse_args()
    numbers = random.Random(options.seed)
    machine = sbs.machine(threads=1)
    done, sweeps, ways = 0, 0, Counter[str]()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        straight = Path(folder, "straight")
        if start(straight).wait():
            raise SystemExit("the undisturbed sweep failed")
        expected = table(straight)
        while done < options.kills:
            results = Path(folder, f"sweep{sweeps}")
            while True:
                process = start(results)
                try:
                    # Once all kills are dealt, the last sweep may come to its end.
                    more = done < options.kills
                    patience = numbers.uniform(0.5, options.longest) if more else None
                    code = process.wait(patience)
                    if code == 0:
                        break
                    continue  # a worker's death that the sweep could not mend; again
                except subprocess.TimeoutExpired:
                    ways[kill(process, numbers)] += 1
                    done += 1
                    process.wait()
            if table(results) != expected:
                raise SystemExit(f"after {done} kills, {sweeps + 1} sweeps: another table")
            left = [p.name for p in results.glob("runs/*/*/*/*") if p.name.startswith("checkpoint")]
            if left or list(results.glob("runs/*/*/*/.*.tmp")):
                raise SystemExit(f"after {done} kills: files left over: {left}")
            shutil.rmtree(results)
            sweeps += 1
            print(f"{done} kills, {sweeps} sweeps, all tables equal", flush=True)
    record = {
        "machine": machine, "kills": done, "sweeps": sweeps, "ways": ways, "seed": options.seed,
        "minutes": (time.perf_counter() - began) / 60,
    }  # fmt: skip
    text = (
        f"{done} kills in {sweeps} sweeps of 6 runs (seed {options.seed}): every table equal, byte "
        f"for byte, to that of an undisturbed sweep, and no file left over. "
        f"{machine['processor']}, torch {machine['torch']}, {machine['date']}.\n\n"
        + sbs.markdown(("who, by what", "kills"), [(k, str(n)) for k, n in sorted(ways.items())])
    )
    sbs.save(options.name, json.loads(json.dumps(record)), text, options.results)


if __name__ == "__main__":
    main()
