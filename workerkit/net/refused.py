"""Connections that are turned away before their first conversation, and how to say so without filling the log."""

from __future__ import annotations

from collections.abc import Callable

from workerkit.net.protocol import Connection, Job, Next

_EVERY = 10.0


class Refused(Connection):
    """A connection that is over before it has begun: the worker closes it like any other that ends."""

    __slots__ = ()

    def advance(self, now: float) -> Next:  # noqa: ARG002  it has nothing to wait for
        """End."""
        return Next.CLOSE

    def take(self) -> Job:
        """Never asked for."""
        raise AssertionError("no job was announced")


class Tally:
    """Counts what may happen ten thousand times a second, so that a line each 10 s tells of it.

    Args:
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_count", "_next")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._next = 0.0

    def due(self) -> int:
        """Count one; return how many there were since the last line if it is time for one, otherwise 0."""
        self._count += 1
        now = self._clock()
        if now < self._next:
            return 0
        self._next = now + _EVERY
        count, self._count = self._count, 0
        return count
