"""How the C library keeps memory that tensors gave back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
AT_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let tensors on a CPU reuse the pages of earlier ones, in this process from now on.

    glibc gives blocks above 32 MiB back to the system at once, and activations of convolutions are
    that large: every step of training would have the system clear the same pages again. Values do
    not change, nor does peak memory. `mallopt(3)`; benchmarks/image_training.py has the gain.

    Returns:
        whether the C library is glibc and took it.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, AT_MOST) and mallopt(M_TRIM_THRESHOLD, AT_MOST))
