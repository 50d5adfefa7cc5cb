"""What the arbiter and a worker say to each other, and the channel that carries it.

One socketpair per process. State changes and orders travel as messages, both ways; numbers do not (they stand in
the scoreboard). A message is one line of JSON, ``["Ready", {}]``, so a stream socket keeps the borders and a person
with strace can read along. The end of the stream is a message too: the other side is gone.

Sending never blocks and never raises: a process that has stopped reading is the business of the deadlines, not of
whoever had something to say to it.

Beside the socketpair runs a pipe that nobody ever writes to: the lifeline. Only the arbiter could, so it is closed when
the arbiter ends, in whatever way, and the kernel can be asked to signal a process for that, by ``fcntl(2)``. The signal
is SIGKILL, which also reaches a process that is stuck in C code and will never look at what has been closed. Unlike a
parent death signal (``prctl(2)``) it needs no foreign function, stays when the process becomes another user, and is
about the arbiter's process, not about its thread that happened to fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket

from workerkit.records import Record

_LIMIT = 256 * 1024

# Taken unpatched: gevent and eventlet replace them, and a mold makes channels after that.
_Socket = socket.socket
_read = os.read


class Message(Record):
    """The base of all messages; each names who sends it to whom."""


class Adopted(Message):
    """Worker to arbiter, when a mold forked it: this is my pid, and you are my parent now."""

    pid: int


class Ready(Message):
    """Worker or mold to arbiter: booted, serving from now on."""


class BootFailed(Message):
    """Worker or mold to arbiter, before it exits: what went wrong, for a person."""

    reason: str
    frames: str
    exit_code: int


class ForkFailed(Message):
    """Mold to arbiter, on the channel that was meant for a worker: the system had no process to give."""

    reason: str


class Retiring(Message):
    """Worker to arbiter: replace me, then tell me to drain. Until then it goes on serving."""

    reason: str


class Signalled(Message):
    """Worker to arbiter: somebody sent this signal to me instead of to you."""

    number: int


class Drain(Message):
    """Arbiter to worker: finish what you have, then leave. A later one says what has changed.

    ``last``: nobody serves the backlog after you. ``hand_over``: others take your idle connections.
    """

    last: bool
    hand_over: bool


class Quit(Message):
    """Arbiter to worker or mold: leave at once."""


class ReopenLogs(Message):
    """Arbiter to worker: the log files were moved, open them again."""


class Listen(Message):
    """Arbiter to worker, with listeners for each worker: accept from these shares, until told otherwise."""

    shares: list[int]


class RenewCertificates(Message):
    """Arbiter to worker, with sealed memory attached: these are the certificates of connections from now on."""


class CertificatesRenewed(Message):
    """Worker to arbiter: they are in use; or they cannot be used, for this reason, and those before stay."""

    error: str


class ForkWorker(Message):
    """Arbiter to mold, with the worker's end of a channel attached: make a worker.

    ``first``: none of its pool and generation has been ready before.
    """

    slot: int
    number: int
    generation: int
    first: bool


class BecomeMold(Message):
    """Arbiter to worker, before ``Drain``: when you have left, stay, and be the mold of others.

    Answered by ``Ready``, or by ``Unfit`` and the end of the process.
    """


class Unfit(Message):
    """Worker to arbiter: I cannot be forked from, and this is why."""

    reason: str


_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        Adopted,
        Ready,
        BootFailed,
        ForkFailed,
        Retiring,
        Signalled,
        Drain,
        Quit,
        ReopenLogs,
        Listen,
        RenewCertificates,
        CertificatesRenewed,
        ForkWorker,
        BecomeMold,
        Unfit,
    )
}


class Channel:
    """One end of the socketpair between the arbiter and one of its processes, and of their lifeline.

    Args:
        end: Of the socketpair; it is the channel's from then on.
        lifeline: The arbiter has the end to write to, the other process the end to read from; None: there is none.
    """

    __slots__ = ("_buffer", "_closed_by_peer", "_fds", "_lifeline", "_socket")

    def __init__(self, end: socket.socket, lifeline: int | None = None) -> None:
        end.setblocking(False)
        self._socket = end
        self._lifeline = lifeline
        self._buffer = b""
        self._fds: list[int] = []
        self._closed_by_peer = False

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return the arbiter's end and the other one; neither survives an exec."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        held_by_us, held_by_them = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)[::-1]
        return cls(ours, held_by_us), cls(theirs, held_by_them)

    @classmethod
    def of(cls, fd: int, lifeline: int) -> Channel:
        """Return the end that these are the ``fds`` of; they are the channel's from then on."""
        return cls(_Socket(fileno=fd), lifeline)

    @property
    def fds(self) -> tuple[int, ...]:
        """What this end consists of, to be sent to whoever shall have it."""
        return (self._socket.fileno(),) if self._lifeline is None else (self._socket.fileno(), self._lifeline)

    def die_with_peer(self) -> bool:
        """Have the kernel kill this process when the arbiter ends; return whether the arbiter is still there.

        Called once, in the process that the arbiter's other end is about. Where the kernel knows no signal for a pipe
        (it is Linux's), a process that can still look at its channel leaves by itself.
        """
        lifeline = self._lifeline
        if lifeline is None:
            return True
        if hasattr(fcntl, "F_SETSIG"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
                fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
                fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        # What was closed before it was asked for has sent no signal.
        try:
            return _read(lifeline, 1) != b""
        except BlockingIOError:
            return True

    def fileno(self) -> int:
        """Return the descriptor to poll for messages."""
        return self._socket.fileno()

    @property
    def ended(self) -> bool:
        """Whether the other side is gone and everything that it said has been received."""
        return self._closed_by_peer

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> bool:
        """Send without blocking; return whether the message went out whole."""
        line = json.dumps([type(message).__name__, vars(message)]).encode() + b"\n"
        try:
            sent = socket.send_fds(self._socket, [line], list(fds)) if fds else self._socket.send(line)
        except OSError:
            return False
        return sent == len(line)

    def receive(self) -> list[Message]:
        """Return what has arrived, oldest first, without blocking."""
        while not self._closed_by_peer:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, _LIMIT, 8)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            for fd in fds:
                os.set_inheritable(fd, False)
            self._fds += fds
            self._buffer += data
            self._closed_by_peer = not data
        *lines, self._buffer = self._buffer.split(b"\n")
        return [_KINDS[name](**facts) for name, facts in map(json.loads, lines)]

    def take_fd(self) -> int:
        """Return the oldest descriptor that came with a message; the caller owns it."""
        return self._fds.pop(0)

    def close(self) -> None:
        """Close this end, and the descriptors that have come by it and that nobody has taken.

        In a worker that a mold has made, those are the ends of the workers that it is about to make.
        """
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        self._socket.close()
