"""A control group with little memory, so that the kernel's out-of-memory killer can be met in a small way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOTS = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
"""Where groups are made, and the file of their limit: in the first version of the interface, and in the second."""


@contextmanager
def memory_group(size: int) -> Iterator[Path | None]:
    """Yield a group that may use ``size`` bytes; None where we may not make one."""
    group = _made(size)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


def _made(size: int) -> Path | None:
    for root, limit in _ROOTS.items():
        group = root / f"workerkit-soak-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        with contextlib.suppress(OSError):
            (group / limit).write_text(str(size))
            return group
        group.rmdir()
    return None


def joining(group: Path) -> list[str]:
    """Return the words of a command that joins a group, and then becomes the command that follows."""
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]


def kills_in(group: Path) -> int:
    """Return how many of a group's processes the kernel has killed because its memory was out."""
    counters = [path for path in (group / "memory.oom_control", group / "memory.events") if path.exists()]
    words = "".join(path.read_text() for path in counters).split()
    return int(words[words.index("oom_kill") + 1])
