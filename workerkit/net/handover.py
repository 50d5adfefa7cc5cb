"""Idle connections on their way from a worker that leaves to one that stays.

A client that keeps its connection open between requests need not notice that the process behind it is replaced. What
stays open is the kernel's; what is sent along is the descriptor, and the little that a successor has to know.

The queue is a pair of sockets for each pool. The arbiter makes it before the first fork and keeps it for as long as
the pool lives, so that nothing in it is lost with a worker; to a worker it is one more place to accept from.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from workerkit.net.address import Address, TCPAddress, UnixAddress

_LIMIT = 16384
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})

# Taken unpatched: gevent and eventlet replace it, and workers hand over after that.
_Socket = socket.socket


class HandedOver(NamedTuple):
    """A connection between two messages, and what is known of it."""

    socket: _Socket
    peer: Any
    """As ``Stream.peer``."""
    local: Address
    """The address of the listener that it came by."""
    protocol: str
    """Who has made ``state`` and can read it."""
    state: bytes
    """What ``Connection.export`` returned."""
    deadline: float | None
    """Of the connection, in monotonic seconds, which all processes of a machine count alike."""


class Handover:
    """The queue of one pool. Made in the arbiter, before the first fork; used in the workers.

    Args:
        fds: Both ends of a queue that another arbiter has made; they are this object's from then on.
    """

    share = None
    """It is everybody's; as ``Listener.share``."""

    def __init__(self, fds: Sequence[int] | None = None) -> None:
        if fds is None:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._fds = pair[0].detach(), pair[1].detach()
        else:
            self._fds = fds[0], fds[1]
        self._outgoing, self._incoming = (_Socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd) for fd in self._fds)
        for end in (self._outgoing, self._incoming):
            end.setblocking(False)
            end.set_inheritable(False)

    @classmethod
    def make(cls) -> Handover | None:
        """Return a new queue; None where the system has no such thing."""
        return cls() if sys.platform == "linux" else None

    @classmethod
    def from_fds(cls, fds: Sequence[int]) -> Handover | None:
        """Return the queue of the arbiter whose place this one takes; a new one if that had none."""
        return cls(fds) if fds else cls.make()

    def fds(self) -> tuple[int, ...]:
        """Return both ends, for an arbiter that takes this one's place."""
        return self._fds

    def fileno(self) -> int:
        """Return what to poll for connections that wait to be taken."""
        return self._incoming.fileno()

    def send(self, connection: HandedOver) -> bool:
        """Put a copy of a connection into the queue, without blocking; False: there is no room, or it does not fit.

        The caller closes its own descriptor after that, and does not poll it any more before.
        """
        if isinstance(connection.peer, bytes):
            return False  # an abstract name: JSON has no such thing
        facts = [
            connection.peer,
            connection.local,
            connection.protocol,
            connection.state.decode("latin-1"),
            connection.deadline,
        ]
        packet = json.dumps(facts).encode()
        if len(packet) > _LIMIT:
            return False
        try:
            socket.send_fds(self._outgoing, [packet], [connection.socket.fileno()])
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        return True

    def receive(self) -> HandedOver:
        """Take the connection that has waited for longest.

        Raises:
            OSError: As accept(2); BlockingIOError when none waits, and EMFILE before one is lost for that.
        """
        # The kernel drops a descriptor for which there is no room: find out first.
        os.close(os.dup(self._incoming.fileno()))
        packet, fds, _, _ = socket.recv_fds(self._incoming, _LIMIT, 1)
        if not fds:
            raise OSError(errno.EMFILE, "a connection was lost for want of a descriptor")
        peer, local, protocol, state, deadline = json.loads(packet)
        taken = _Socket(fileno=fds[0])
        taken.setblocking(False)
        taken.set_inheritable(False)
        return HandedOver(
            taken,
            tuple(peer) if isinstance(peer, list) else peer,
            UnixAddress(*local) if len(local) == 1 else TCPAddress(*local),
            protocol,
            state.encode("latin-1"),
            deadline,
        )

    def close(self) -> None:
        """Close this process's copies of both ends; connections that nobody took are closed with the last ones."""
        self._outgoing.close()
        self._incoming.close()
