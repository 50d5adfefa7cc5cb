"""What a server costs: processor time and memory of its whole process tree, read from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

# Where things are in what _stat returns; the times are utime, stime and the same of the children waited for.
_PARENT, _SESSION, _TIMES = 1, 3, slice(11, 15)
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def process_tree(root: int) -> list[int]:
    """Return `root` and all its descendants that live now, parents first."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, fields in _processes():
        children[int(fields[_PARENT])].append(pid)
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree.extend(children[pid])
    return tree


def session_members(leader: int) -> list[int]:
    """Return the processes of a session, those included that have lost their parents."""
    return [pid for pid, fields in _processes() if int(fields[_SESSION]) == leader]


def cpu_seconds(root: int) -> float:
    """Return the processor time that the tree has used, user and system, with its dead and reaped children.

    Ticks of the kernel (10 ms) are the unit, so a measured interval should hold some hundreds of them.
    """
    ticks = 0
    for pid in process_tree(root):
        if fields := _stat(pid):
            ticks += sum(int(field) for field in fields[_TIMES])
    return ticks * _TICK


def pss_bytes(root: int) -> int:
    """Return the tree's proportional set size: a page that N processes share counts 1/N in each of them."""
    return sum(_pss(pid) for pid in process_tree(root))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed (nearest rank, exact)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def _processes() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), fields


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state, on; none if the process is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return line.rpartition(")")[2].split()  # the second field, the name, may itself hold spaces and parentheses


def _pss(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
