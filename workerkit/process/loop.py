"""The arbiter's loop: descriptors to watch, calls from elsewhere, and deadlines.

A turn waits for whatever comes first. What has become readable is read before what was called for is run, so a
process's last words, which stand in its channel, are heard before its death, which is called for.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from selectors import EVENT_READ, DefaultSelector
from typing import Protocol

from workerkit.process.clock import Clock, monotonic

_OVERSLEPT = 1.0
_when = attrgetter("when")

Callback = Callable[[], object]


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class Timer:
    """One call that is due at a time."""

    __slots__ = ("_callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self._callback: Callback | None = callback

    def cancel(self) -> None:
        """Do not call, if it has not happened yet."""
        self._callback = None

    @property
    def cancelled(self) -> bool:
        """Whether there is nothing left to call."""
        return self._callback is None

    def fire(self) -> None:
        """Call, at most once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class EventLoop:
    """Belongs to one thread; only ``call_soon`` may be called from others, and from signal handlers.

    Args:
        clock: Monotonic seconds; those of ``call_at`` and ``turn``.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        self.clock = clock
        self.awake_since = 0.0
        """Since when this process has been able to look. After it was stopped itself (SIGSTOP, a suspended machine),
        what is overdue by now proves nothing about others."""
        self._calls: deque[Callback] = deque()
        self._timers: list[Timer] = []
        self._is_open = False

    def open(self) -> None:
        """Get what waiting needs; calls that were made before are kept."""
        self._selector = DefaultSelector()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._selector.register(self._reader, EVENT_READ, self._drain_wake_ups)
        self._is_open = True

    def watch(self, fileobj: int | _HasFileno, callback: Callback) -> None:
        """Call back in each turn in which there is something to read."""
        self._selector.register(fileobj, EVENT_READ, callback)

    def unwatch(self, fileobj: int | _HasFileno) -> None:
        """Watch it no longer; before it is closed."""
        self._selector.unregister(fileobj)

    def call_soon(self, callback: Callback) -> None:
        """Call at the end of this turn, or wake the loop for it. From any thread, also before ``open``."""
        self._calls.append(callback)
        if self._is_open:
            with contextlib.suppress(OSError):  # it has just been closed, and with it whatever was wanted of it
                self._writer.send(b"\0")

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Call in the first turn that begins to run at that time or later."""
        timer = Timer(when, callback)
        self._timers.append(timer)
        return timer

    def turn(self, until: float | None = None) -> None:
        """Wait, at most until then (None: for ever), and run what is due."""
        now = self.clock()
        timeout = self._timeout(until, now)
        for key, _ in self._selector.select(timeout):
            if self._selector.get_map().get(key.fd) is key:  # one callback may have unwatched another's descriptor
                key.data()
        woken = self.clock()
        if timeout is not None and woken - now > timeout + _OVERSLEPT:
            self.awake_since = woken
        while (timer := self._next_timer()) is not None and timer.when <= woken:
            timer.fire()
        # Those that are called for meanwhile have their own turn: what they ask for is planned in between.
        for _ in range(len(self._calls)):
            self._calls.popleft()()

    def _timeout(self, until: float | None, now: float) -> float | None:
        if self._calls:
            return 0.0
        timer = self._next_timer()
        if timer is not None and (until is None or timer.when < until):
            until = timer.when
        return None if until is None else max(0.0, until - now)

    def _next_timer(self) -> Timer | None:
        """Return the one that is due first; of several the oldest."""
        # There are a few for each worker that is starting or leaving. A heap of them would be another module to load.
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return min(self._timers, key=_when, default=None)

    def _drain_wake_ups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)

    def close(self) -> None:
        """Give everything back; what was called for and not run is dropped."""
        self.forget()
        self._calls.clear()
        self._timers.clear()

    def forget(self) -> None:
        """Close the descriptors and nothing else: for a child, which inherited them."""
        if self._is_open:
            self._is_open = False
            self._selector.close()
            self._reader.close()
            self._writer.close()
