"""Readiness polling over the best primitive that the platform has.

The primitives are taken when this module is first imported: monkey-patching libraries remove ``select.epoll``, and a
worker patches after its server code is loaded.
"""

from __future__ import annotations

import select
from typing import Final, Protocol

from workerkit.errors import ConfigError

READ: Final = select.POLLIN
WRITE: Final = select.POLLOUT


class Poller(Protocol):
    """What a loop needs; ``select.epoll`` has it as it is."""

    def register(self, fd: int, mask: int, /) -> None:
        """Watch a descriptor."""

    def modify(self, fd: int, mask: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching it; call before it is closed."""

    def poll(self, timeout: float, at_most: int = -1, /) -> list[tuple[int, int]]:
        """Return (descriptor, events) pairs; wait up to ``timeout`` seconds for the first.

        Of more than ``at_most`` the others come first the next time, where the platform can do that; -1: all.
        """

    def fileno(self) -> int:
        """Return a descriptor that can be read when something watched is ready: for a loop around this one.

        Raises:
            ConfigError: This system has no such thing.
        """

    def close(self) -> None:
        """Let go of the kernel's side."""


class _PollPoller:
    """poll(2), for systems without epoll: serves for development there."""

    def __init__(self) -> None:
        self._poll = _poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float, _at_most: int = -1, /) -> list[tuple[int, int]]:
        return self._poll.poll(timeout * 1000)

    def fileno(self) -> int:
        raise ConfigError("this worker class needs epoll, which this system does not have; choose sync or threaded")

    def close(self) -> None:
        """Nothing to let go of: poll(2) keeps no state in the kernel."""


_epoll = getattr(select, "epoll", None)
_poll = select.poll

# Wake one waiting process for a new connection, not all of them (Linux 4.5).
EXCLUSIVE: Final[int] = getattr(select, "EPOLLEXCLUSIVE", 0)
# Tell of a change, not of a state.
EDGE: Final[int] = getattr(select, "EPOLLET", 0)


def make_poller() -> Poller:
    """Return a new poller; make it in the process that will use it."""
    if _epoll is not None:
        poller: Poller = _epoll()
        return poller
    return _PollPoller()


def wait_for(fd: int, mask: int, timeout: float | None) -> bool:
    """Block this thread until the descriptor is ready; False when ``timeout`` seconds were over first."""
    waiting = _poll()
    waiting.register(fd, mask)
    return bool(waiting.poll(None if timeout is None else max(0.0, timeout) * 1000))
