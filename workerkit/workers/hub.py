"""What a greenlet library's event loop does for a worker, whichever library it is.

The hub is a greenlet itself. It waits for events and timers and calls back; a callback must not block, so all that it
does is to switch to a greenlet that may.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

Callback = Callable[..., object]


class Hub(ABC):
    """One per worker, made in the worker's own process: what a hub polls with does not survive a fork."""

    def __init__(self, own: Any, switch: Callable[[], Any]) -> None:
        from greenlet import getcurrent, greenlet  # noqa: PLC0415  it comes with gevent and with eventlet

        self.switch = switch
        """Waits: returns what somebody switches back to this greenlet with. Not to be called in the hub."""
        self.current: Callable[[], Any] = getcurrent
        """Returns the greenlet that runs."""
        self._greenlet = greenlet
        self._own = own

    def spawn(self, function: Callable[..., object]) -> Any:
        """Return a new greenlet, to be switched to from the hub; where it ends, the hub goes on."""
        return self._greenlet(function, self._own)

    @abstractmethod
    def watch(self, fd: int, ready: Callback) -> Any:
        """Call ``ready(fd)`` again and again while the descriptor can be read; return what to unwatch."""

    @abstractmethod
    def unwatch(self, watch: Any) -> None:
        """End what ``watch`` began. To be called before the descriptor is closed."""

    def soon(self, callback: Callback, *arguments: object) -> None:
        """Call back once, after what is ready now has had its turn.

        So it is a timer: gevent's own callbacks run before anything is polled for, those that they make included.
        """
        self.later(0.0, callback, *arguments)

    @abstractmethod
    def later(self, seconds: float, callback: Callback, *arguments: object) -> Any:
        """Call back once, after so many seconds; return what to cancel."""

    @abstractmethod
    def cancel(self, timer: Any) -> None:
        """Forget what ``later`` was asked for; harmless when it has happened."""
