"""Whether a process that an application has run in can be forked from (--refork-after).

A fork copies memory, and of the threads only the one that calls it. What the others hold locked stays locked, and what
they were to do is never done. Connections are not copied but shared: two processes would talk to a database on one.
"""

from __future__ import annotations

import contextlib
import os
import select

_LOOKS = 20
_LOOK_EVERY = 50  # milliseconds

_prevented: list[str] = []


def prevent_refork(reason: str = "the application has forbidden it") -> None:
    """Have no other workers made from the process that calls this, whatever ``refork_after`` says.

    Called by an application, in a worker or while it is imported, when what it does cannot be copied by fork(2): a
    library's own threads, a device that is open. It cannot be taken back.

    Args:
        reason: What the log says about it.
    """
    _prevented.append(reason)


def open_sockets() -> frozenset[str]:
    """Return the sockets that this process holds, as the kernel names them."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the list itself
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return frozenset(name for name in found if name.startswith("socket:"))


def obstacle(sockets_before: frozenset[str]) -> str | None:
    """Return why this process cannot be forked from; None: it can.

    Args:
        sockets_before: Those that it held before the application ran.
    """
    if _prevented:
        return _prevented[-1]
    threads = _threads()
    if threads > 1:
        return f"it runs {threads} threads, of which a fork would copy one"
    connections = len(open_sockets() - sockets_before)
    if connections:
        return (
            f"the application holds {connections} connection(s) open, a database's perhaps, which processes "
            "cannot share; close them in the hook worker_exit"
        )
    return None


def _threads() -> int:
    """Return how many threads there are, once those have ended that were about to."""
    nothing = select.poll()
    for _ in range(_LOOKS):
        if _count_threads() == 1:
            break
        nothing.poll(_LOOK_EVERY)
    return _count_threads()


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))
