"""The arbiter's end of the control socket: it lives in the arbiter's loop, and never makes it wait.

A client sends one request and gets one answer, after which the connection ends. What a client can cost is bounded: so
many of them at a time, so many bytes, so many seconds. Only a reload that is waited for has no deadline here: the
client, which may end it at any time, has one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from workerkit.control import commands
from workerkit.control.options import ControlOptions
from workerkit.control.wire import LONGEST_REQUEST, Message, decode, encode, failed
from workerkit.errors import BindError, ConfigError, WorkerkitError
from workerkit.net.listener import Listener, ListenerOptions, open_listeners
from workerkit.process.attachment import Attachment, Supervised
from workerkit.process.clock import Clock, monotonic
from workerkit.process.loop import EventLoop, Timer

_MOST_CLIENTS = 16
_BACKLOG = 64
_PATIENCE = 10.0  # seconds for a client's request, and again for taking the answer
_ACCEPT_AGAIN = 1.0
_EXAMPLE = '{"command": "status"}'

Perform = Callable[["_Client", Message], None]


class ControlServer(Attachment):
    """Answers on the control socket.

    Args:
        options: Where; ``control_socket`` is set.
        log: The server's own log, which is told who made the server do something.
        version: What status tells.
        clock: Monotonic seconds, the same as the loop's.
    """

    title = "the control socket"

    def __init__(
        self, options: ControlOptions, log: logging.Logger, version: str = "", clock: Clock = monotonic
    ) -> None:
        assert options.control_socket is not None  # noqa: S101  otherwise there is nothing to make one for
        self._path = options.control_socket
        self._mode = options.control_socket_mode
        self._log = log
        self._version = version
        self._clock = clock
        self._listener: Listener | None = None
        self._clients: set[_Client] = set()
        self._accept_again: Timer | None = None

    def attach(self, server: Supervised, loop: EventLoop) -> None:
        """Listen at the path; see ``Attachment.attach``.

        Raises:
            BindError: A living server answers there, or it cannot be made.
            ConfigError: Something that is no socket is there.
        """
        self._loop = loop
        started = self._clock()
        self._target = commands.Target(server, self._version, lambda: self._clock() - started)
        try:
            self._listen()
        except BindError:
            # After an upgrade of the running server it is our parent that answers, for as long as we may still fail.
            if _listening_process(self._path) != os.getppid():
                raise

    def on_ready(self) -> None:
        """Take the path over from a parent that this process was made to replace."""
        if self._listener is not None:
            return
        try:
            if _listening_process(self._path) == os.getppid():
                with contextlib.suppress(FileNotFoundError):  # it may be leaving just now
                    os.unlink(self._path)
            self._listen()
        except (OSError, BindError, ConfigError) as error:
            self._log.error("No control socket: %s", error)

    def forget(self) -> None:
        """Close the descriptors in a child."""
        if self._listener is not None:
            self._listener.socket.close()
        for client in self._clients:
            client.forget()

    def detach(self) -> None:
        """Tell those who still wait, and remove the socket if it is still ours."""
        for client in list(self._clients):
            client.answer(failed("the server has stopped"))
            client.close()
        if self._accept_again is not None:
            self._accept_again.cancel()
        elif self._listener is not None:
            self._loop.unwatch(self._listener)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _listen(self) -> None:
        # The permissions are there from the first instant on: a mode that is set afterwards comes too late.
        options = ListenerOptions((f"unix://{self._path}",), _BACKLOG, socket_umask=0o777 & ~self._mode)
        try:
            (self._listener,) = open_listeners(options)
        except (BindError, ConfigError) as error:
            raise type(error)(f"control socket: {error}") from error
        self._loop.watch(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101  it is what became readable
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # No descriptor is free. It would go on being readable, and the loop would do nothing else.
            self._log.error("Control socket: cannot accept: %s", error)
            self._loop.unwatch(self._listener)
            self._accept_again = self._loop.call_at(self._clock() + _ACCEPT_AGAIN, self._resume)
            return
        client = _Client(accepted, self._loop, self._clock, self._perform, self._clients.discard)
        self._clients.add(client)
        if len(self._clients) > _MOST_CLIENTS:
            client.answer(failed(f"{_MOST_CLIENTS} others are being answered; try again"))

    def _resume(self) -> None:
        assert self._listener is not None  # noqa: S101  detach() would have cancelled this
        self._accept_again = None
        self._loop.watch(self._listener, self._accept)

    def _perform(self, client: _Client, request: Message) -> None:
        try:
            name, command, arguments = commands.find(request)
        except ValueError as error:
            client.answer(failed(str(error)))
            return
        if command.commands:
            peer = _peer_of(client.connection)
            self._log.info("Control socket: %s, asked by pid %d of user %d", name, peer.pid, peer.user)
        try:
            command.run(self._target, arguments, client.answer)
        except WorkerkitError as error:
            client.answer(failed(str(error)))
        except Exception as error:  # noqa: BLE001  a mistake in a command ends nobody's service
            self._log.exception("Control socket: %s failed", name)
            client.answer(failed(f"{name} failed: {error!r}; the server's log says where"))


class _Client:
    """One connection: a request, its answer, the end."""

    def __init__(
        self,
        connection: socket.socket,
        loop: EventLoop,
        clock: Clock,
        perform: Perform,
        ended: Callable[[_Client], object],
    ) -> None:
        self.connection = connection
        self._loop = loop
        self._clock = clock
        self._perform = perform
        self._ended = ended
        self._received = b""
        self._unsent = b""
        self._writable: select.epoll | None = None
        self._is_asking = True
        self._half_closed = False
        self._is_open = True
        self._loop.watch(connection, self._read)
        self._deadline = self._expect_within(_PATIENCE)

    def answer(self, message: Message) -> None:
        """Send the answer, then close; nothing happens if the client did not wait for it."""
        if not self._is_open:
            return
        self._is_asking = False
        self._deadline.cancel()
        self._unsent = encode(message)
        self._send()
        if self._is_open:
            # More than the kernel takes at once. The loop watches for reading only; an epoll descriptor can be read
            # from when what it watches is ready, for writing as well.
            self._deadline = self._expect_within(_PATIENCE)
            self._writable = select.epoll(1)
            self._writable.register(self.connection, select.EPOLLOUT)
            self._loop.watch(self._writable, self._send)

    def close(self) -> None:
        """End the connection."""
        if not self._is_open:
            return
        self._is_open = False
        self._deadline.cancel()
        if not self._half_closed:
            self._loop.unwatch(self.connection)
        if self._writable is not None:
            self._loop.unwatch(self._writable)
        self.forget()
        self._ended(self)

    def forget(self) -> None:
        """Close the descriptors and nothing else."""
        self.connection.close()
        if self._writable is not None:
            self._writable.close()

    def _expect_within(self, seconds: float) -> Timer:
        return self._loop.call_at(self._clock() + seconds, self.close)

    def _read(self) -> None:
        try:
            data = self.connection.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._is_asking:
            if not data:
                self._on_end_of_stream()
            return  # what follows a request is nothing that we know
        self._received += data
        line, end, _ = self._received.partition(b"\n")
        if len(line) > LONGEST_REQUEST:
            self.answer(failed(f"a request is at most {LONGEST_REQUEST} bytes long"))
        elif end:
            self._take(line)
        elif not data:
            self.close()

    def _take(self, line: bytes) -> None:
        self._is_asking = False
        self._received = b""
        self._deadline.cancel()
        try:
            request = decode(line)
        except ValueError:
            self.answer(failed(f"a request is one line with a JSON object, such as {_EXAMPLE}"))
        else:
            self._perform(self, request)

    def _on_end_of_stream(self) -> None:
        """Tell a client that is gone from one that has only said that it will ask no more, as socat does."""
        poller = select.poll()
        poller.register(self.connection, 0)  # a hang-up is told in any case
        if poller.poll(0):
            self.close()
        else:
            self._half_closed = True
            self._loop.unwatch(self.connection)

    def _send(self) -> None:
        try:
            sent = self.connection.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self.close()


class _Peer(NamedTuple):
    pid: int
    user: int


def _peer_of(connection: socket.socket) -> _Peer:
    """Return who is at the other end; of a connected client's, who listens there."""
    credentials = struct.Struct("iII")  # struct ucred: pid, uid, gid
    pid, user, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return _Peer(pid, user)


def _listening_process(path: str) -> int | None:
    """Return the pid of the process that listens at a path; None: none does, or it cannot be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        with contextlib.suppress(OSError):
            probe.connect(path)
            return _peer_of(probe).pid
    return None
