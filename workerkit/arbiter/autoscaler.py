"""Measures the pools that may grow and shrink, and wants as many workers as ``scaling`` says; in the arbiter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from workerkit.arbiter.children import Children
from workerkit.arbiter.crew import Crew
from workerkit.arbiter.scaling import SAMPLE_EVERY, UP_ABOVE, Sample
from workerkit.arbiter.table import Role
from workerkit.process.loop import EventLoop, Timer
from workerkit.process.scoreboard import Column
from workerkit.process.states import State


class Autoscaler:
    """Looks four times a second, if any pool has a range of workers; otherwise it does nothing at all.

    Args:
        loop: Wakes it.
        children: Whose scoreboard is read.
        crews: Returns those that there are.
        log: Where each change is told.
        changed: Called after a change.
    """

    def __init__(
        self,
        loop: EventLoop,
        children: Children,
        crews: Callable[[], Iterable[Crew]],
        log: logging.Logger,
        changed: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._children = children
        self._crews = crews
        self._log = log
        self._changed = changed
        self._timer: Timer | None = None
        self._looked_at = 0.0

    def begin(self) -> None:
        """Look from now on, if there is anything to look at; called again after a reload."""
        if self._timer is None and any(crew.bounds is not None for crew in self._crews()):
            self._looked_at = self._loop.clock()
            self._timer = self._loop.call_at(self._looked_at + SAMPLE_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        for crew in self._crews():
            self._look_at(crew)
        self.begin()

    def _look_at(self, crew: Crew) -> None:
        handles = self._children.of(crew)
        # While some still boot, or leave, the load of the others says nothing; and WINCH means nobody.
        if crew.bounds is None or not crew.workers or not crew.is_complete(handles):
            crew.load.forget()
            return
        ready = [handle for handle in handles if handle.role is Role.WORKER and handle.state is State.READY]
        rows = [self._children.scoreboard.row(handle.slot) for handle in ready]
        running = sum(row[Column.BUSY] for row in rows)
        late = sum(row[Column.LATE_AT] >= self._looked_at * 1e9 for row in rows)
        sample = Sample(self._loop.clock(), running / (len(rows) * crew.at_once), late / len(rows))
        before, after = crew.workers, crew.load.decide(sample, crew.workers, crew.bounds)
        if after != before:
            crew.workers = after
            why = ", but requests wait" if after > before and sample.busy <= UP_ABOVE else ""
            self._log.info("Load %.0f %%%s: %d workers instead of %d%s", 100 * sample.busy, why, after, before, crew)
            self._changed()
