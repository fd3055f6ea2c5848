"""Pages of tensors that were given back."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_freed_memory_is_reused_on_linux() -> None:
    """Large tensors made again and again: only the first has its pages cleared by the system."""
    code = (
        "import resource, torch\n"
        "from aswa.tasks.host_memory import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10):\n"
        "        torch.zeros(48 * 2**20 // 4).add_(1)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "usual = faults()\n"
        "took = keep_freed_memory()\n"
        "faults()\n"
        "print(took, usual, faults())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    took, usual, kept = done.stdout.split()
    if took != "True":
        pytest.skip("the C library is not glibc")
    assert int(kept) < int(usual) / 5
