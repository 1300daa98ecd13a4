"""Memory that has been freed is used again, in place of being handed to the system and asked back.

glibc gives large blocks, and the end of the heap, back to the kernel. Tensors of some megabytes come and go a thousand times a
second here, and then every page of 4 kB is a fault: four fifths of the time of a table of distances went into
them. With these two numbers the process keeps up to `KEPT` bytes for itself.
Another C library, or a user who has set glibc's own variables, is left alone.
"""

__all__ = ["KEPT", "MAPPED", "keep_freed_memory"]

import ctypes
import os

MAPPED = 64 * 2**20
"""Blocks from which on each is a mapping of its own, handed back when it is freed, bytes."""

KEPT = 256 * 2**20
"""Freed bytes at the end of the heap that the process keeps."""

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Asks the C library to keep what was freed; whether it does."""
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
