"""What /proc and the kernel say about processes that are not ours to wait for."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from pathlib import Path

from workerkit.process.clock import monotonic
from workerkit.testing.deadline import DEADLINE


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; one that is dead and not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def processes_of_group(group: int, among: Iterable[int] | None = None) -> list[int]:
    """Return the pids of a process group that run.

    Args:
        group: The group's number.
        among: Which ones to look at, by default all. Numbers are used again: a pid that was noted earlier may be
            somebody else's by now, who is in another group.
    """
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()] if among is None else among
    return [pid for pid in pids if is_alive(pid) and _group_of(pid) == group]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def open_descriptors(pid: int) -> list[str]:
    """Return what each open descriptor of a process refers to, sorted."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # closed while we looked
            continue
    return sorted(found)


def private_memory(pid: int) -> int:
    """Return the bytes of memory that a process has for itself alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def threads_of(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def wait_for_exit(pids: Iterable[int], *, count: int | None = None, timeout: float = DEADLINE) -> list[int]:
    """Wait until ``count`` of the processes (default: all) have ended, and return those that have.

    Raises:
        AssertionError: Fewer ended in time.
    """
    pids = list(pids)
    wanted = len(pids) if count is None else count
    ended: list[int] = []
    watched: dict[int, int] = {}
    poller = select.poll()
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            ended.append(pid)
        else:
            watched[descriptor] = pid
            poller.register(descriptor, select.POLLIN)
    deadline = monotonic() + timeout
    try:
        while len(ended) < wanted and (left := deadline - monotonic()) > 0:
            for descriptor, _ in poller.poll(left * 1000):
                poller.unregister(descriptor)
                ended.append(watched[descriptor])
    finally:
        for descriptor in watched:
            os.close(descriptor)
    if len(ended) < wanted:
        raise AssertionError(f"{ended} of {pids} ended within {timeout} s, not {wanted} of them")
    return ended
