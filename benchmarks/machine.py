"""What is measured on: the facts that head every report, and who gets which core."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the server and the load may use; the same set twice where there is only one core."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls) -> Self:
        """One core for a server of one worker, all the others for the load."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(server=frozenset({first}), load=frozenset(others or {first}))

    @classmethod
    def shared(cls) -> Self:
        """Every core for everyone: for servers of several workers."""
        every = frozenset(os.sched_getaffinity(0))
        return cls(server=every, load=every)


def facts() -> dict[str, str]:
    """Name the machine, the kernel and the interpreter."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
