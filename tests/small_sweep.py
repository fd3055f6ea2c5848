"""Runs of a second on UMLS, and `aswa-train` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TRAIN = (sys.executable, "-m", "aswa.train")
SMALL = ("dataset=umls", "model=distmult", "model.dim=8", "epochs=20", "lr=0.01")


def train(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    command = [*TRAIN, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
