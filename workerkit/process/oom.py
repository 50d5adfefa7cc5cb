"""How many processes of our control group the kernel has killed because memory was out.

A process that was killed for that looks like any other that got SIGKILL; only the group's counter tells them apart.
"""

from __future__ import annotations

import contextlib

_POINTS = 10
_CLAIM_WITHIN = 1.0


class OutOfMemoryKills:
    """The counter, and how many of the kills that it counts are still to be told apart from others.

    A kill that no death is explained by within a second was somebody else's, such as a worker's own child.

    Args:
        root: Where /proc and /sys are looked for; for tests.
    """

    def __init__(self, root: str = "") -> None:
        self._path = _counter_of(root)
        self._seen = self._read()
        self._unclaimed = 0
        self._grown_at = 0.0

    def claim(self, now: float) -> bool | None:
        """Tell whether a process that has just ended by SIGKILL was one of them; None where it cannot be known.

        When the kernel kills several at once, each death is one of the kills.
        """
        before, self._seen = self._seen, self._read()
        if before is None or self._seen is None:
            return None
        if now - self._grown_at > _CLAIM_WITHIN:
            self._unclaimed = 0
        if self._seen > before:
            self._unclaimed += self._seen - before
            self._grown_at = now
        if not self._unclaimed:
            return False
        self._unclaimed -= 1
        return True

    def _read(self) -> int | None:
        """Read the line ``oom_kill <count>`` (cgroup-v2: memory.events; cgroup-v1: memory.oom_control)."""
        for line in _lines(self._path):
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return None


def be_killed_first() -> None:
    """Have the kernel kill this process rather than its arbiter, when memory is out; in a child, once.

    An idle worker is smaller than the arbiter, and would be spared. One point is a thousandth of the memory that there
    is (proc(5), oom_score_adj); raising it needs no privilege.
    """
    path = "/proc/self/oom_score_adj"
    with contextlib.suppress(OSError):
        with open(path, encoding="ascii") as file:
            score = int(file.read())
        with open(path, "w", encoding="ascii") as file:
            file.write(str(min(1000, score + _POINTS)))


def _counter_of(root: str) -> str:
    found = ""
    for line in _lines(f"{root}/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        group = path.strip().rstrip("/")
        if not controllers:
            found = found or f"{root}/sys/fs/cgroup{group}/memory.events"
        elif "memory" in controllers.split(","):
            found = f"{root}/sys/fs/cgroup/memory{group}/memory.oom_control"
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.readlines()
    except OSError:
        return []
