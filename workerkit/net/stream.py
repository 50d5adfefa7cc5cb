"""A connection's bytes.

``recv`` and ``send`` never block: protocols drive them from ``Connection.advance``. ``read``, ``read_exactly``,
``lines`` and ``write`` may block and are for jobs only. They are written once, over ``recv``, ``send`` and the one
method that a worker class supplies: ``wait``.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

from workerkit.errors import DeadlineExceeded, Disconnected, ProtocolError
from workerkit.net.address import Address
from workerkit.net.poller import READ, WRITE

# Linux's; elsewhere packets are as they come.
_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)
# struct linger, see socket(7): it is on, and lasts for no time.
_RESET: Final = (1).to_bytes(4, sys.byteorder) + bytes(4)

Wait = Callable[["Stream", int, "float | None"], None]
"""``wait(stream, want, deadline)``: return when the stream is ready for ``want`` (READ or WRITE).

Called in the worker, by a job. Blocks the way its class may block: a thread sleeps, a greenlet yields.
Raises DeadlineExceeded at ``deadline`` (monotonic seconds; None is no deadline).
"""


class Stream:
    """One accepted connection.

    ``peer`` is what accept(2) said: ``(host, port, ...)`` over TCP, a string over a Unix socket. ``want`` says, after
    ``recv`` or ``send`` answered None, which way to wait. ``pending`` counts received bytes that the kernel no
    longer holds, which a poller therefore cannot see (TLS). ``local`` is the address of the listener that it came by.
    """

    __slots__ = ("_unread", "_wait", "deadline", "lent", "local", "peer", "socket", "want")

    pending = 0
    layer: ClassVar[type | None] = None
    """What a socket of the process's class has to do in addition to take the connection over (TLS)."""

    def __init__(self, connected: socket.socket, peer: Any, local: Address, wait: Wait) -> None:
        self.socket = connected
        self.peer = peer
        self.local = local
        self.want = READ
        self.deadline: float | None = None
        """When a job's waiting ends (monotonic seconds); None: never. A job may change it at any time."""
        self.lent = False
        """Whether a job has it: then ``close`` ends both directions, and the descriptor stays the worker's."""
        self._wait = wait
        self._unread = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, to poll; -1 once closed."""
        return self.socket.fileno()

    # -- never blocking: for Connection.advance ------------------------------------------------------------------

    def recv(self, size: int) -> bytes | None:
        """Return what has arrived, at most ``size`` bytes; ``b""`` at the end of input, None when it would block.

        Raises:
            Disconnected: The connection was reset.
        """
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            self.want = READ
            return None
        except OSError as error:
            raise Disconnected("the peer reset the connection") from error

    def send(self, buffers: Sequence[bytes | memoryview], more: bool = False) -> int | None:
        """Hand bytes to the kernel; return how many it took, None when it would block.

        ``more`` says that others follow at once: the kernel may fill its packets, for 200 ms at most (TCP_CORK).

        Raises:
            Disconnected: The peer is gone.
        """
        try:
            if len(buffers) == 1:
                return self.socket.send(buffers[0], _MORE) if more else self.socket.send(buffers[0])
            return self.socket.sendmsg(buffers, (), _MORE if more else 0)
        except BlockingIOError:
            self.want = WRITE
            return None
        except OSError as error:
            raise Disconnected("the peer closed the connection") from error

    def send_file(self, fd: int, start: int, count: int) -> int | None:
        """Hand a part of an open file to the kernel; return how much it took, None when it would block.

        Raises:
            Disconnected: The peer is gone.
        """
        try:
            return os.sendfile(self.socket.fileno(), fd, start, count)
        except BlockingIOError:
            self.want = WRITE
            return None
        except OSError as error:
            raise Disconnected("the peer closed the connection") from error

    def shut_write(self) -> None:
        """Say that nothing more will be sent, and go on receiving."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            # It is gone already, so it needs not be told.
            return

    def shut_read(self) -> None:
        """End the input: whoever reads, or waits to, gets what has arrived already and then the end.

        This is how a worker that is leaving ends a dialogue, whichever thread or greenlet waits in it.
        """
        try:
            self.socket.shutdown(socket.SHUT_RD)
        except OSError:
            # It is gone already, so its input has ended.
            return

    def reset_on_close(self) -> None:
        """Make ``close`` reset the connection, so that the peer sees an error where it would see the end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def close(self) -> None:
        """Close the connection; again is harmless. In a job, it ends both directions: the worker closes it."""
        if self.lent:
            self.shut_write()
            self.shut_read()
        else:
            self.socket.close()

    # -- may block: for jobs -------------------------------------------------------------------------------------

    def wait(self, want: int, deadline: float | None = None) -> None:
        """Return when the stream is ready for ``want``.

        Raises:
            DeadlineExceeded: ``deadline``, or the stream's own, came first.
        """
        self._wait(self, want, self.deadline if deadline is None else deadline)

    def read(self, size: int = 65536) -> bytes:
        """Return at least one byte and at most ``size``; ``b""`` at the end of input.

        Raises:
            DeadlineExceeded: ``deadline`` came first.
            Disconnected: The connection was reset.
        """
        if self._unread:
            data = bytes(self._unread[:size])
            del self._unread[:size]
            return data
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        while (received := self.recv(size)) is None:
            self.wait(self.want)
        return received

    def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            Disconnected: The input ended first.
        """
        pieces: list[bytes] = []
        missing = size
        while missing:
            piece = self.read(missing)
            if not piece:
                raise Disconnected(f"the input ended {missing} bytes before {size} were read")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def lines(self, limit: int = 65536) -> Iterator[bytes]:
        r"""Yield lines with their ``\n``; the last may lack it.

        Raises:
            ProtocolError: A line is longer than ``limit`` bytes.
        """
        # Shared with read(): whoever stops between two lines finds the rest there.
        buffered = self._unread
        searched = 0
        while True:
            end = buffered.find(b"\n", searched)
            if end >= 0 and end < limit:
                line = bytes(buffered[: end + 1])
                del buffered[: end + 1]
                searched = 0
                yield line
                continue
            searched = len(buffered)
            if searched >= limit:
                raise ProtocolError(f"a line is longer than {limit} bytes")
            data = self._receive(65536)
            if not data:
                if buffered:
                    line = bytes(buffered)
                    buffered.clear()
                    yield line
                return
            buffered += data

    def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all of ``data``.

        Raises:
            DeadlineExceeded: ``deadline`` came first.
            Disconnected: The peer is gone.
        """
        rest = memoryview(data)
        while rest:
            sent = self.send((rest,))
            if sent is None:
                self.wait(self.want)
            else:
                rest = rest[sent:]


def raise_deadline(want: int) -> None:
    """Raise what a ``wait`` raises at its deadline; for worker classes."""
    raise DeadlineExceeded("the peer sent nothing in time" if want == READ else "the peer took nothing in time")
