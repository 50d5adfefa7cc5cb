"""Deadlines of jobs: begun by the protocol, put off by the application, kept by the worker.

A job holds a thread, or a greenlet, for as long as its application likes. What can be done about one that takes too
long is the worker class's business: where it can interrupt a job, ``RequestOverdue`` is raised inside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from threading import get_ident
from typing import Any

Clock = Callable[[], float]
"""Returns monotonic seconds."""


class JobDeadline:
    """When a job must have ended. An application has it as ``environ["workerkit.deadline"]``."""

    __slots__ = ("_clock", "at", "begun_at", "describe", "runner", "was_told")

    def __init__(self, seconds: float, clock: Clock, describe: Callable[[], str] = str, runner: object = None) -> None:
        self._clock = clock
        self.begun_at = clock()
        self.at = self.begun_at + seconds
        """Monotonic seconds."""
        self.describe = describe
        """Returns what the job is, for the log."""
        self.runner: Any = runner
        """In what it runs, as ``JobDeadlines.current`` said."""
        self.was_told = False
        """Whether it has been interrupted already."""

    @property
    def remaining(self) -> float:
        """Seconds that are left; negative once it has passed, infinite where there is no deadline."""
        return self.at - self._clock()

    def extend(self, seconds: float) -> None:
        """Put it off by so many seconds. Called by the application, from any thread."""
        self.at += seconds


NO_DEADLINE = JobDeadline(inf, float)
"""What an application finds where jobs have no deadlines, so that it can put it off without asking."""


class JobDeadlines:
    """Those of one worker. Made by the protocol, maybe in a mold, before the worker is forked.

    Args:
        seconds: What each job has.
        clock: Tells the time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self.clock = clock
        self.current: Callable[[], object] = get_ident
        """Called in a job: returns what it runs in, for the worker to find it again; a worker may set another."""
        self.running: set[JobDeadline] = set()

    @property
    def look_every(self) -> float:
        """Seconds within which the worker should look for those that have passed."""
        return min(1.0, max(0.02, self.seconds / 10))

    def begin(self, describe: Callable[[], str]) -> JobDeadline:
        """Return the deadline of the job that calls this."""
        deadline = JobDeadline(self.seconds, self.clock, describe, self.current())
        self.running.add(deadline)
        return deadline

    def end(self, deadline: JobDeadline) -> None:
        """Forget a deadline: the job has ended, or may go on for as long as it likes. Again is harmless."""
        self.running.discard(deadline)

    def overdue(self, now: float) -> list[JobDeadline]:
        """Return those that have passed; called by the worker, in any thread."""
        # list() copies a set in one step, whatever other threads do to it.
        return [deadline for deadline in list(self.running) if deadline.at <= now]
