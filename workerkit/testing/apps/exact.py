"""A protocol of calls that keeps its worker to the contract: each breach is a line in the log.

What is said: a line is answered by its reverse. ``slow PORT`` waits at the gate first, ``close`` ends the
conversation, ``deadline`` sets one that passes soon, ``again`` asks to be called again before it answers.
"""

from __future__ import annotations

import sys
import threading

from workerkit.errors import Disconnected
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.clock import monotonic
from workerkit.testing.gate import pass_gate

SOON = 0.2


def breach(text: str) -> None:
    """Tell the log that the worker broke the contract."""
    print(f"breach: {text}", file=sys.stderr, flush=True)


class ExactConnection(Connection):
    """Checks every call that its worker makes."""

    __slots__ = ("_announced", "_buffer", "_closed", "_driven", "_line", "_running", "_sleepy")

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._buffer = b""
        self._line = b""
        self._announced = False
        self._running = False
        self._closed = False
        self._sleepy = False
        self._driven = threading.Lock()

    def advance(self, now: float) -> Next:
        """Read a line; see ``Connection.advance``."""
        if not self._driven.acquire(blocking=False):
            breach("advance() was called while it was running")
            return Next.CLOSE
        try:
            return self._advance(now)
        finally:
            self._driven.release()

    def _advance(self, now: float) -> Next:
        if self._closed:
            breach("advance() was called after close()")
        if self._running or self._announced:
            breach("advance() was called before the job had ended")
        if abs(monotonic() - now) > 1.0:
            breach("advance() was told a time that is not the monotonic clock's")
        if not self._buffer.count(b"\n"):
            try:
                data = self.stream.recv(4096)
            except Disconnected:
                return Next.CLOSE
            if data is None:
                return Next.READ if self._buffer else Next.IDLE
            if not data:
                return Next.CLOSE
            self._buffer += data
        return self._next_line(now)

    def _next_line(self, now: float) -> Next:
        if b"\n" not in self._buffer:
            return Next.READ
        if self._buffer.startswith(b"again\n"):
            self._buffer = b"niaga\n" + self._buffer[6:]
            return Next.AGAIN
        self._line, _, self._buffer = self._buffer.partition(b"\n")
        if self._line == b"close":
            return Next.CLOSE
        if self._line == b"deadline":
            self.deadline = now + SOON
            return Next.READ
        self._announced = True
        return Next.RUN

    def take(self) -> Job:
        """Return the job that was announced."""
        if not self._announced:
            breach("take() was called without a RUN")
        self._announced, self._running = False, True
        return self._answer

    def _answer(self) -> None:
        word, _, rest = self._line.partition(b" ")
        if word == b"slow":
            pass_gate(int(rest))
        self.stream.write(self._line[::-1] + b"\n")
        self._running = False

    def expire(self, now: float) -> Next:
        """Say good-bye."""
        if self.deadline is None or now < self.deadline:
            breach("expire() was called before the deadline")
        self.stream.send((b"late\n",))
        return Next.CLOSE

    def drain(self, now: float) -> Next:  # noqa: ARG002  the contract's
        """Close unless a job runs or a line has begun."""
        if self._closed:
            breach("drain() was called after close()")
        return Next.READ if self._buffer else Next.CLOSE

    def close(self) -> None:
        """Tell that it was called, and complain if it was called before."""
        if self._closed:
            breach("close() was called twice")
        if self._running:
            breach("close() was called while a job was running")
        self._closed = True
        print("a connection was closed", file=sys.stderr, flush=True)


class Exact(Protocol):
    """Serves such connections."""

    job = "call"

    def connect(self, stream: Stream) -> ExactConnection:
        """Return the conversation."""
        return ExactConnection(stream)


protocol = Exact()
