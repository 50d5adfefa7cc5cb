"""Connections that come by a proxy, which says in a header of the PROXY protocol whose they are.

A worker and a protocol know nothing of it: between them stands a connection that reads the header, gives the stream
the client's address, and then passes everything on to the next conversation: TLS's, or the protocol's own.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Final

from workerkit.errors import ProtocolError
from workerkit.memo import Memo
from workerkit.net.address import TCPAddress
from workerkit.net.listener import ListenerOptions
from workerkit.net.prelude import Prelude
from workerkit.net.protocol import Connection, Next
from workerkit.net.proxy_header import LONGEST, ProxyHeader, parse_proxy_header
from workerkit.net.refused import Refused, Tally
from workerkit.net.stream import Stream
from workerkit.peers import Peers, host_of

HEADER_WITHIN: Final = 10.0
"""Seconds for a proxy's header, which it sends first of all; the specification wants 3 at least."""


class ProxyGate:
    """One per worker: takes connections of proxies that are allowed to speak for others, and of nobody else.

    Args:
        options: Which version is spoken, and by whom.
        connect: Returns the conversation that follows the header.
        log: For connections that are refused.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        options: ListenerOptions,
        connect: Callable[[Stream], Connection],
        log: logging.Logger,
        clock: Callable[[], float],
    ) -> None:
        self.version = options.proxy_protocol
        self.next = connect
        self.log = log
        self._allowed: Memo[str | None, bool] = Memo(Peers(options.proxy_allow_ips).__contains__, 1024)
        self._tally = Tally(clock)
        # Where clients connect to a proxy is one of few places, and others compare them by identity.
        self._locals: Memo[TCPAddress, TCPAddress] = Memo(lambda address: address, 64)

    def connect(self, stream: Stream) -> Connection:
        """Return the conversation for a connection that was just accepted."""
        host = host_of(stream.peer)
        if self._allowed[host]:
            return ProxiedConnection(stream, self)
        count = self._tally.due()
        if count:
            self.log.warning(
                "Closed %d connections of peers that are not in proxy-allow-ips, the last of %s", count, host
            )
        return Refused(stream)

    def introduce(self, stream: Stream, header: ProxyHeader) -> Connection:
        """Return the conversation that follows a header, with the client that it names."""
        if header.peer is not None and header.local is not None:
            stream.peer = header.peer
            stream.local = self._locals[header.local]
        return self.next(stream)


class ProxiedConnection(Prelude):
    """A connection that begins with a header. What another worker takes over needs none: the client is known."""

    __slots__ = ("_gate", "_received")

    def __init__(self, stream: Stream, gate: ProxyGate) -> None:
        super().__init__(stream)
        self._gate = gate
        self._received = b""

    def begin(self, now: float) -> Next:
        """Read the header."""
        if self.deadline is None:
            self.deadline = now + HEADER_WITHIN
        try:
            header = self._receive()
        except BlockingIOError:
            return Next.READ
        except OSError:
            return Next.CLOSE
        except ProtocolError as error:
            self._gate.log.info("Refused a connection of %s: %s", self._proxy(), error)
            return Next.CLOSE
        if header is None:
            return Next.READ
        self._received = b""
        return self.enter(self._gate.introduce(self.stream, header), now)

    def expire(self, now: float) -> Next:
        """Give up a proxy that sends no header; see ``Connection.expire``."""
        if self._next is None:
            self._gate.log.info("Closed a connection of %s: no PROXY header came in time", self._proxy())
        return super().expire(now)

    def _receive(self) -> ProxyHeader | None:
        """Take what has arrived of the header and nothing of what follows it, which belongs to somebody else.

        Raises:
            OSError: Nothing has arrived, or the proxy is gone.
            ProtocolError: What has arrived is no header.
        """
        arrived = self.stream.socket.recv(LONGEST - len(self._received), socket.MSG_PEEK)
        if not arrived:
            raise ConnectionResetError
        header = parse_proxy_header(self._received + arrived, self._gate.version)
        ours = len(arrived) if header is None else header.size - len(self._received)
        self._received += self.stream.socket.recv(ours)
        return header

    def _proxy(self) -> str:
        return host_of(self.stream.peer) or "a local proxy"
