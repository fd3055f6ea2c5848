"""Memory of this process, read the same way by every contestant (standard library only).

The peak is `VmHWM` of /proc/self/status and not `ru_maxrss`: the latter begins at the size of the
process that started this one. Elsewhere than on Linux it is `ru_maxrss` all the same.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
MIB = 2**20


def _status(key: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def peak_mib() -> float:
    """Most resident memory so far, or since `reset_peak` succeeded."""
    if STATUS.exists():
        return _status("VmHWM:")
    unit = MIB if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def resident_mib() -> float:
    """Resident memory now."""
    return _status("VmRSS:") if STATUS.exists() else peak_mib()


def reset_peak() -> bool:
    """Give back what is freed and let the peak begin at what is resident now; whether it did."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return abs(peak_mib() - resident_mib()) < 64


def cap(gib: float) -> None:
    """Let an allocation beyond this fail, so that a batch that is too big ends in an error."""
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy or torch failed for want of memory."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)
