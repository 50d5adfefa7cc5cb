"""Wakes one idle worker of a pool, whichever it is.

With EPOLLEXCLUSIVE the kernel wakes one waiting process for a new connection. If that one does not take it after
all (it is leaving, it died, it has a request to run first), nobody else is woken: the connection would wait until
the next one comes. So whoever does not take what it was woken for nudges: one of those that wait looks again.
"""

from __future__ import annotations

import os


class Nudge:
    """Shared by the arbiter and the workers of one pool; made before they are forked."""

    def __init__(self, fd: int | None = None) -> None:
        """Make one, or be the same as another arbiter's, whose workers wait at the same listeners (``fd``)."""
        if fd is not None:
            self._fd = fd
            return
        # Without eventfd there is no EPOLLEXCLUSIVE either: then all are woken, and nobody needs a nudge.
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if hasattr(os, "eventfd") else -1

    def fileno(self) -> int:
        """Return what to poll, edge-triggered and exclusively; -1 where there is nothing to poll."""
        return self._fd

    def give(self) -> None:
        """Wake one of those that wait."""
        if self._fd < 0:
            return
        try:
            os.eventfd_write(self._fd, 1)
        except BlockingIOError:
            # The counter is full after 2**64 nudges. Emptying it does no harm: only the edge counts.
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Close it; in the arbiter."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
