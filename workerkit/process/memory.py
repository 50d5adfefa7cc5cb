"""How much memory a process holds, as the kernel tells it."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int | None:
    """Return the bytes that a process has in memory (RSS), shared ones included; None: it is gone.

    One short read, for whoever looks often.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return None


def proportional(pid: int) -> int | None:
    """Return the bytes that a process has in memory, of shared ones its part (PSS); None: it is gone, or not ours.

    Those of all workers together are what they really take. The kernel walks through the whole address space for
    this: some milliseconds, for a large process.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
