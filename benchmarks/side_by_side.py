"""Runs contestants in processes of their own and says on what machine.

Every contestant is a script that writes one JSON object to `--out`. All get the same environment:
the same number of threads for OpenMP and MKL. Wall time of the process is taken here, so it counts
interpreter start and imports.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / "peers"
RESULTS = HERE / "results"
DATA = ROOT / "src" / "aswa" / "data" / "embedded"
DATASETS = ("umls", "kinship")
# Config name → the peers' class name.
MODELS = {"distmult": "DistMult", "complex": "ComplEx", "qmult": "QMult", "keci": "Keci"}


def peers_python(given: str | None) -> str:
    """The interpreter of the peers venv: `--peers-python`, or else ASWA_PEERS_PYTHON."""
    python = given or os.environ.get("ASWA_PEERS_PYTHON", "")
    if not Path(python).is_file():
        raise SystemExit(
            f"no such python: {python!r}. Which has dicee and pykeen? Give --peers-python or set "
            "ASWA_PEERS_PYTHON; benchmarks/README.md says how to make that venv"
        )
    return python


def run(python: str, script: Path, arguments: Iterable[object], threads: int) -> dict[str, Any]:
    """The script's record, with `process_seconds` added.

    Raises:
        RuntimeError: it failed; the message has the end of what it wrote to standard error.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONWARNINGS": "ignore",
    }
    if python == sys.executable:
        paths = [str(ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    else:
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix="side-by-side-") as folder:
        out, errors = Path(folder) / "out.json", Path(folder) / "stderr"
        command = [python, str(script), *map(str, arguments), "--out", str(out)]
        start = time.perf_counter()
        with errors.open("w") as stream:
            code = subprocess.run(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=stream, cwd=folder
            ).returncode
        seconds = time.perf_counter() - start
        if code or not out.exists():
            tail = errors.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{' '.join(command)}\nended with status {code}:\n{tail}")
        record: dict[str, Any] = json.loads(out.read_text())
        return record | {"process_seconds": seconds}


def ours(overrides: Sequence[str], threads: int) -> dict[str, Any]:
    """One run of aswa in a process of its own."""
    signature = ["model.p=0", "model.q=1"] if "model=keci" in overrides else []  # dicee's default
    words = [*overrides, *signature, f"threads={threads}"]
    return run(sys.executable, HERE / "graphs" / "ours_run.py", words, threads)


def machine(threads: int) -> dict[str, Any]:
    """What a reader needs to judge a timing."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "load_before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def span(spread: dict[str, float], digits: int = 1) -> str:
    """Median and range, or one figure where both ends are the median."""
    median, least, greatest = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return median if least == greatest else f"{median} ({least}–{greatest})"


def save(name: str, record: dict[str, Any], text: str, folder: Path) -> None:
    """Write `<name>.json` and `<name>.md`, and show the text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text + "\n")
    print(text)
