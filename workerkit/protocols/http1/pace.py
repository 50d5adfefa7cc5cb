"""How slow a client may be.

A deadline that starts anew with every byte ends nobody who sends one byte each time that it is about to pass. So a
deadline is put off by what the bytes are worth at the least rate that is accepted, and never further than a whole
timeout away. At that rate and above a client has all the time in the world; below it, what it has left dwindles, and
what it sent quickly earlier does not help it for longer than one timeout.
"""

from __future__ import annotations

import fcntl
import sys
from math import inf
from typing import Final, NamedTuple

from workerkit.net.outbox import Outbox
from workerkit.net.stream import Stream

_TCP_INFO: Final = 11
# struct tcp_info of linux/tcp.h: its first 56 bytes, of which the last four are tcpi_last_data_recv, in milliseconds.
_TO_LAST_DATA_RECEIVED: Final = 56
_IPPROTO_TCP: Final = 6


class Pace(NamedTuple):
    """The least that one direction of a connection must get on."""

    timeout: float
    """Seconds that may pass without any byte."""
    worth: float
    """Seconds by which a byte puts the deadline off."""

    @classmethod
    def of(cls, timeout: float, rate: int) -> Pace:
        """Return the pace of a timeout and of a rate in bytes a second; 0: any rate will do."""
        return cls(timeout, 1.0 / rate if rate > 0 else inf)

    def begin(self, now: float) -> float:
        """Return the first deadline."""
        return now + self.timeout

    def go_on(self, deadline: float, size: int, now: float) -> float:
        """Return the deadline after ``size`` more bytes, at least one of which there must be."""
        return min(now + self.timeout, deadline + size * self.worth)


class Draught:
    """How quickly a client drinks: watches an outbox, and what the kernel has taken from it, dwindle.

    The kernel takes much more than a client does, and tells of room for more only when a third of it is gone. To go by
    that would be too kind to who reads nothing, and too hard on who reads slowly; so it is asked what it still holds.
    """

    __slots__ = ("_deadline", "_left", "_outbox", "_pace", "_patience", "_stream")

    def __init__(self, stream: Stream, outbox: Outbox, pace: Pace) -> None:
        self._stream = stream
        self._outbox = outbox
        self._pace = pace
        self._patience = pace.timeout
        self._deadline = 0.0
        self._left = 0

    def begin(self, now: float) -> float:
        """Return by when the client must have taken something; what the application needed until now is not counted."""
        self._left = self._waiting()
        self._deadline = now + self._patience
        return self._deadline

    def go_on(self, now: float) -> float:
        """Look at what has been taken, and return by when there must be more."""
        taken = self._left - self._waiting()
        if taken > 0:
            self._left -= taken
            self._deadline = self._pace.go_on(self._deadline, taken, now)
        self._patience = self._deadline - now
        return self._deadline

    def _waiting(self) -> int:
        return self._outbox.size + unsent(self._stream)


def unsent(stream: Stream) -> int:
    """Return how many bytes the kernel has been handed that the peer has not taken (SIOCOUTQ, see tcp(7))."""
    import termios  # noqa: PLC0415  only those who wait for a slow client pay for it

    try:
        count = fcntl.ioctl(stream.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)


def arrived_for(stream: Stream) -> float:
    """Return for how many seconds everything that has arrived has been here at least; 0.0 where nobody knows.

    Over TCP the kernel knows, and counts the time before the connection was accepted.
    """
    if not isinstance(stream.peer, tuple):
        return 0.0
    try:
        info = stream.socket.getsockopt(_IPPROTO_TCP, _TCP_INFO, _TO_LAST_DATA_RECEIVED)
    except OSError:
        return 0.0
    return int.from_bytes(info[-4:], sys.byteorder) / 1000.0 if len(info) == _TO_LAST_DATA_RECEIVED else 0.0
