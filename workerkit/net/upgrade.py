"""A connection's socket, for an application that goes on in another protocol (RFC 9110 section 7.8).

WebSocket libraries for WSGI speak on a socket of their own and block on it, so they get one: a second descriptor of
the same connection, of the class that ``socket.socket`` is in this worker, patched or not. It is made when it is first
used. Until then nothing has happened, and the request may be answered like any other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from workerkit.net.stream import Stream

if TYPE_CHECKING:
    from socket import socket as Socket  # noqa: N812  the class, which has its module's name
else:
    # This module is imported before anybody patches: which class it is, is looked up when it is needed.
    Socket = object


class Upgrade:
    """The chance to take over a connection, in the job of a request that asks for it.

    Made by a gateway; handed to ``Worker.upgrade_environ``, which says under which names the application finds it.
    """

    def __init__(self, stream: Stream, application: object, hand_over: Callable[[], bytes]) -> None:
        self.stream = stream
        self.application = application
        """What serves the request."""
        self._hand_over = hand_over
        self._socket: Socket | None = None
        self._at_end: list[Callable[[], object]] = []

    @property
    def taken(self) -> bool:
        """Whether the connection is the application's, so that nothing of HTTP may be sent on it any more."""
        return self._socket is not None

    @property
    def socket(self) -> OnFirstUse:
        """What ``take`` returns, taken on first use."""
        return OnFirstUse(self.take)

    def take(self) -> Socket:
        """Take the connection and return a blocking socket of it, the same each time.

        What had arrived after the request is received first; ``select`` cannot see that. The socket may be closed or
        dropped at any time. The connection ends with the job.

        Raises:
            ApplicationError: The response has begun, or the request's body was not read to its end.
        """
        if self._socket is None:
            early = self._hand_over()
            self._socket = _duplicate(self.stream, early)
        return self._socket

    def at_end(self, callback: Callable[[], object]) -> None:
        """Have something called when the application has ended, in its job; the last comer first."""
        self._at_end.append(callback)

    def end(self) -> None:
        """Take the connection back. Called by the gateway in the same job, once, when the application has ended."""
        while self._at_end:
            self._at_end.pop()()
        if self.taken and (fd := self.stream.fileno()) >= 0:
            # Both descriptors share this flag, and from here on a poller drives the stream.
            os.set_blocking(fd, False)


class OnFirstUse:
    """Stands for an object that is made when one of its attributes is first used.

    Looking at it (``repr``, ``copy``, a debugger's page of the environ) is no use: special names make nothing.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def _duplicate(stream: Stream, early: bytes) -> Socket:
    own = stream.socket
    made = _socket_class(socket.socket, stream.layer)
    taken = made(own.family, own.type, own.proto, os.dup(own.fileno()))
    taken.early = early
    taken.stream = stream
    taken.setblocking(True)
    return taken


class _Taken(Socket):
    """What is added to the process's socket class."""

    early = b""
    stream: Stream

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, what came with the request first."""
        if self.early:
            data = self.early[:bufsize]
            if not flags & socket.MSG_PEEK:
                self.early = self.early[bufsize:]
            return data
        return super().recv(bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer, what came with the request first."""
        if self.early:
            target = memoryview(buffer).cast("B")
            data = self.recv(min(nbytes or len(target), len(target)), flags)
            target[: len(data)] = data
            return len(data)
        return super().recv_into(buffer, nbytes, flags)

    def __del__(self) -> None:
        # For those who leave the connection to the server, as with other servers they had to.
        self.close()


@cache
def _socket_class(base: type[Socket], layer: type | None) -> type[_Taken]:
    return type("UpgradedSocket", (_Taken, base) if layer is None else (_Taken, layer, base), {})
