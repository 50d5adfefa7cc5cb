"""How many connections one address may have in one worker."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

from workerkit.net.protocol import Connection
from workerkit.net.refused import Refused, Tally
from workerkit.net.stream import Stream
from workerkit.peers import host_of

_MAPPED = b"\0" * 10 + b"\xff\xff"


class AddressCap:
    """One per worker: stands in front of conversations, and counts who is in one.

    Of IPv6, 64 bits count as one address: a client of one household has all that begin with them. Unix sockets have
    no addresses and no cap.

    Args:
        limit: Connections that an address has at most.
        connect: Returns the conversation of those who may begin one.
        log: For those who may not; a line each 10 s at most.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        limit: int,
        connect: Callable[[Stream], Connection],
        log: logging.Logger,
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self._connect = connect
        self._log = log
        self._tally = Tally(clock)
        # Connections end in whichever thread their job ran.
        self._lock = threading.Lock()
        self._counts: dict[str | bytes, int] = {}
        self._held: dict[int, str | bytes] = {}
        """By descriptor, who is counted for it."""

    def connect(self, stream: Stream) -> Connection:
        """Return the conversation for a connection that was just accepted; one that is over, if it is one too many."""
        if self.hold(stream, self._limit):
            return self._connect(stream)
        count = self._tally.due()
        if count:
            self._log.warning(
                "Closed %d connections of addresses that have %d already (connections-per-address), the last of %s",
                count, self._limit, host_of(stream.peer),
            )  # fmt: skip
        return Refused(stream)

    def hold(self, stream: Stream, limit: float = float("inf")) -> bool:
        """Count a connection; False, and not counted, if its address has ``limit`` of them already."""
        host = host_of(stream.peer)
        if host is None:
            return True
        address = _whole(host)
        with self._lock:
            count = self._counts.get(address, 0)
            if count >= limit:
                return False
            self._counts[address] = count + 1
            self._held[stream.fileno()] = address
        return True

    def release(self, fd: int) -> None:
        """Forget a connection, counted or not; called before its descriptor is closed and may be another's."""
        with self._lock:
            address = self._held.pop(fd, None)
            if address is None:
                return
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


def _whole(host: str) -> str | bytes:
    """Return what stands for all addresses of one client."""
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return socket.inet_ntoa(packed[12:]) if packed.startswith(_MAPPED) else packed[:8]
