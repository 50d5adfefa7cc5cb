"""Notices that a hub stands still, and says who holds it up.

While one greenlet computes, or calls what does not yield, no other runs: not those that wait for their turn, and not
the one that beats the heart. So a thread of the system's own looks at the heart, and logs what every greenlet does
before the arbiter kills the worker for it.
"""

from __future__ import annotations

import logging
import sys

# Taken unpatched, when the worker class is loaded: this must go on while the hub does not.
from _thread import allocate_lock, get_ident, start_new_thread
from types import FrameType
from typing import Any

from workerkit.process.clock import Clock
from workerkit.process.scoreboard import Row

_MACHINERY = frozenset({"workerkit", "gevent", "eventlet", "greenlet", "threading"})
_STACKS_AT_MOST = 20


class Watchdog:
    """Watches the thread that enters it, until that thread leaves it."""

    def __init__(self, row: Row, clock: Clock, log: logging.Logger, patience: float) -> None:
        self._row = row
        self._clock = clock
        self._log = log
        self._patience = patience
        self._leave = allocate_lock()

    def __enter__(self) -> None:
        self._leave.acquire()
        if self._patience:
            start_new_thread(self._watch, (get_ident(),))

    def __exit__(self, *_: object) -> None:
        self._leave.release()

    def _watch(self, watched: int) -> None:
        """Look when the next heartbeat is overdue; report each standstill once."""
        reported = 0.0
        pause = self._patience
        while not self._leave.acquire(timeout=pause):
            beat = self._row.beat
            late = self._clock() - beat
            pause = self._patience if late >= self._patience else self._patience - late
            if late >= self._patience and beat != reported:
                reported = beat
                self._log.warning(
                    "The hub has not turned for %.1f s: nothing else runs in this worker until this returns:\n%s",
                    late,
                    _describe(sys._current_frames()[watched]),
                )
        self._leave.release()


def _describe(blocking: FrameType) -> str:
    """Return the stack that holds the hub up, and what waits for it."""
    import traceback  # noqa: PLC0415  only a worker in trouble pays for it

    return f"{''.join(traceback.format_stack(blocking))}\n{describe_suspended()}".rstrip()


def describe_suspended() -> str:
    """Return the stacks of the greenlets that wait, each stack once."""
    import traceback  # noqa: PLC0415  as above

    parts: list[str] = []
    waiting: dict[str, int] = {}
    for frame in _suspended():
        stack = "".join(traceback.format_stack(frame))
        waiting[stack] = waiting.get(stack, 0) + 1
    for stack, count in list(waiting.items())[:_STACKS_AT_MOST]:
        parts.append(f"{count} waiting here:\n{stack}")
    if len(waiting) > _STACKS_AT_MOST:
        parts.append(f"and {len(waiting) - _STACKS_AT_MOST} more places")
    return "\n".join(parts).rstrip()


def _suspended() -> list[FrameType]:
    """Return the innermost frame of each greenlet that waits in somebody's code, not just in a library's or ours."""
    import gc  # noqa: PLC0415

    from greenlet import greenlet  # noqa: PLC0415  it is there, or nobody would watch

    # Its type is asked, not isinstance(): an object in the heap may be a proxy that runs code when it is looked at.
    found: list[Any] = [each for each in gc.get_objects() if issubclass(type(each), greenlet)]
    frames = [each.gr_frame for each in found]
    return [frame for frame in frames if frame is not None and _is_somebodys(frame)]


def _is_somebodys(innermost: FrameType) -> bool:
    frame: FrameType | None = innermost
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _MACHINERY:
            return True
        frame = frame.f_back
    return False
