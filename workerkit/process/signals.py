"""Signals as bytes on a descriptor.

A handler that did something could run in the middle of anything. Ours do nothing: the interpreter's C handler writes
the signal's number to the wake-up descriptor, the loop that waits on it reads the number, and acts when it is ready.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_AND_CONTROL = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""What an administrator sends to a server."""


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Exist: a signal needs a Python handler for its number to be written to the wake-up descriptor."""


def in_main_thread() -> bool:
    """Tell whether this thread is the one in which Python runs signal handlers."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def held_back(signals: Iterable[int]) -> Iterator[None]:
    """Let signals wait for the end of the block: whatever is then to be done about them is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SignalQueue:
    """The signals that arrived, oldest first. Made and closed in the main thread.

    Those in ``signals`` are only queued. Any other for which the program has a handler is queued too, and handled.
    """

    def __init__(self, signals: Iterable[int]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, _ignore) for number in signals}

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal has arrived."""
        return self._reader.fileno()

    def receive(self) -> list[int]:
        """Return the numbers that have arrived, without blocking."""
        try:
            return list(self._reader.recv(65536))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def forget(self) -> None:
        """Close the descriptors and nothing else: for a child, which inherited them."""
        self._reader.close()
        self._writer.close()


def deliver(signals: Iterable[int], receiver: Callable[[int], object]) -> None:
    """In a worker: call ``receiver(number)`` between two instructions of the main thread.

    The receiver only passes the number on to the arbiter; orders come back by the channel like any other.
    """
    for number in signals:
        signal.signal(number, lambda signum, _frame: receiver(signum))
