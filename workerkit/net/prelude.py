"""Conversations that come before the protocol's own."""

from __future__ import annotations

from abc import abstractmethod

from workerkit.net.protocol import Connection, Job, Next
from workerkit.net.stream import Stream

GRACE = 2.0
"""Seconds that a client has for its part of a prelude, once its worker is leaving."""


class Prelude(Connection):
    """A conversation that has something to settle first, and is then nothing but a way through to the next one.

    A worker has one connection from its accepting to its closing. So this one stays, and passes everything on.
    """

    __slots__ = ("_deadline", "_draining", "_next")

    def __init__(self, stream: Stream) -> None:
        self._next: Connection | None = None
        super().__init__(stream)
        self._draining = False

    @abstractmethod
    def begin(self, now: float) -> Next:
        """Go on with what comes first, and end it with ``return self.enter(connection, now)``."""

    def enter(self, connection: Connection, now: float) -> Next:
        """Pass everything on to this connection from now on; return what it waits for."""
        self._next = connection
        self.stream = connection.stream
        if self._draining:
            connection.drain(now)
        return self.advance(now)

    # -- for the worker --------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When what was last asked for must have happened."""
        return self._deadline if self._next is None else self._next.deadline

    @deadline.setter
    def deadline(self, when: float | None) -> None:
        self._deadline = when

    def advance(self, now: float) -> Next:
        """Go on; see ``Connection.advance``."""
        return self.begin(now) if self._next is None else self._next.advance(now)

    def take(self) -> Job:
        """Return the next conversation's job."""
        assert self._next is not None  # noqa: S101  nobody else announces one
        return self._next.take()

    def expire(self, now: float) -> Next:
        """Leave it to the next conversation; a client that takes too long to get there is given up."""
        return Next.CLOSE if self._next is None else self._next.expire(now)

    def drain(self, now: float) -> Next:
        """Leave it to the next conversation; a client on its way there may finish, if it is quick."""
        self._draining = True
        if self._next is not None:
            return self._next.drain(now)
        grace = now + GRACE
        self._deadline = grace if self._deadline is None else min(self._deadline, grace)
        return Next.READ

    def export(self) -> bytes | None:
        """Return what another worker needs to go on where the prelude is over; None before."""
        return None if self._next is None else self._next.export()

    def describe_job(self, now: float) -> str | None:
        """Return what runs, or waits to be run; see ``Connection.describe_job``."""
        return None if self._next is None else self._next.describe_job(now)

    def close(self) -> None:
        """Let go of everything but the stream."""
        if self._next is not None:
            self._next.close()
