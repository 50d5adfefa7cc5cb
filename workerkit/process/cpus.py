"""How many processors this process may use: its affinity, and the quota of its control group (containers)."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cpus(root: str = "/") -> int:
    """Return the number of processors worth a worker each, at least 1.

    Args:
        root: Where /proc and /sys are looked for; for tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path(root))
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Return the smallest quota, in processors, on the way from our control group to the root."""
    quotas: list[float] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += _v2_quotas(root / "sys/fs/cgroup", path)
        elif "cpu" in controllers.split(","):
            quotas += _v1_quotas(root / "sys/fs/cgroup" / "cpu", path)
    return min(quotas, default=None)


def _v2_quotas(mount: Path, path: str) -> list[float]:
    """Read ``cpu.max``: ``<quota> <period>`` in microseconds, or ``max <period>`` (cgroup-v2, CPU interface files)."""
    limits = [_read(folder / "cpu.max").split() for folder in _up_to(mount, path)]
    return [int(limit[0]) / int(limit[1]) for limit in limits if len(limit) == 2 and limit[0] != "max"]


def _v1_quotas(mount: Path, path: str) -> list[float]:
    quotas = []
    for folder in _up_to(mount, path):
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            quotas.append(int(quota) / int(period))
    return quotas


def _up_to(mount: Path, path: str) -> list[Path]:
    own = mount / path.strip().lstrip("/")
    return [folder for folder in (own, *own.parents) if folder == mount or mount in folder.parents]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
