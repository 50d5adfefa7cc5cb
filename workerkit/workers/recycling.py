"""When a worker has lived for long enough.

A worker that leaks, or whose heap has become a sieve, is replaced before anybody notices; it goes on working until its
successor is ready. Chance spreads the ends of workers that began together.

What counts as its memory is its proportional set size (PSS): pages that it shares with others, as workers do that were
forked from a mold, count by their share, so that the limits of all workers add up to what they take together. For PSS
the kernel walks through the address space, some milliseconds of a large process. RSS is never less and costs a short
read, so PSS is asked for only when RSS is over the limit, and then not each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from workerkit.process.memory import proportional, resident

if TYPE_CHECKING:
    from workerkit.workers.base import WorkerOptions

_LOOK_EVERY: Final = 1.0
_PSS_EVERY: Final = 10.0
_MEBIBYTE: Final = 1 << 20

Measure = Callable[[int], "int | None"]
"""Returns the bytes that a process has; None: nobody knows."""


class Recycling:
    """Of one worker; asked at each of its heartbeats.

    Args:
        options: The limits.
        began: When the worker began (monotonic seconds).
    """

    def __init__(
        self, options: WorkerOptions, began: float, *, rss: Measure = resident, pss: Measure = proportional
    ) -> None:
        self._began = began
        self._until = began + spread(options.max_age, options.max_age_jitter) if options.max_age > 0 else inf
        self._memory = options.max_memory
        self._rss = rss
        self._pss = pss
        self._next_look = 0.0
        self._next_pss = 0.0

    def due(self, now: float) -> str | None:
        """Return why the worker should be replaced, None if it should not; most calls only compare the time."""
        if now < self._next_look:
            return None
        self._next_look = now + _LOOK_EVERY
        if now >= self._until:
            return f"{now - self._began:.0f} s"
        if self._memory > 0 and (used := self._used(now)) > self._memory:
            return f"its memory has grown to {used / _MEBIBYTE:.0f} MiB"
        return None

    def _used(self, now: float) -> int:
        """Return the bytes that count, or less than that, if that is within the limit already."""
        rss = self._rss(os.getpid()) or 0
        if rss <= self._memory or now < self._next_pss:
            return 0
        self._next_pss = now + _PSS_EVERY
        pss = self._pss(os.getpid())
        return rss if pss is None else pss


def spread(limit: float, jitter: float) -> float:
    """Return the limit and a random part of the jitter, so that workers do not reach it together."""
    if not jitter:
        return limit
    import random  # noqa: PLC0415  only those who set limits pay for it

    # Spreading load is no secret: the plain generator will do.
    return limit + random.uniform(0.0, jitter)  # noqa: S311
