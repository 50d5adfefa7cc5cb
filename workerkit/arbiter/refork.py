"""Renews the workers of a pool from one that is warm (--refork-after), so that they share what it has loaded.

It is a reload with neither new settings nor new code: a generation whose mold is the process of a worker. That worker
is replaced and drained like any that retires; only then does its process become a mold. So no client notices, no
capacity is missing, and what goes wrong at any step costs one worker that was replaced already. The mold before stays
until the workers of the new one serve, and is what the pool goes back to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workerkit.arbiter.children import Children
from workerkit.arbiter.crew import Crew
from workerkit.arbiter.table import Role, WorkerHandle
from workerkit.process.loop import EventLoop, Timer
from workerkit.process.scoreboard import Column
from workerkit.process.states import State

_LOOK_EVERY = 0.25
_MEBIBYTE = 1 << 20


@dataclass(eq=False, repr=False)
class _Attempt:
    """What is under way in one pool."""

    crew: Crew
    chosen: WorkerHandle
    """The worker; then the mold that it has become."""
    memory_before: int | None

    @property
    def has_mold(self) -> bool:
        return self.chosen.role is Role.MOLD

    @property
    def is_proven(self) -> bool:
        """Whether its workers have come to serve."""
        return self.has_mold and self.crew.proven is self.crew.release


class Reforks:
    """All that are under way, at most one in a pool, and once for each release.

    Args:
        loop: Wakes it.
        children: Whose scoreboard says who is warm.
        crews: Those that there are.
        log: Where each is told.
        next_generation: Returns the number of a generation that is about to be made.
    """

    def __init__(
        self,
        loop: EventLoop,
        children: Children,
        crews: Mapping[str, Crew],
        log: logging.Logger,
        next_generation: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._children = children
        self._crews = crews
        self._log = log
        self._next_generation = next_generation
        self._attempts: dict[str, _Attempt] = {}
        self._over: set[int] = set()
        """The generations that are warm already, or cannot be."""
        self._timer: Timer | None = None

    # -- who is warm -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look from now on, while there is anything to look for; called again after a reload."""
        if self._timer is None and any(self._may_refork(crew) for crew in self._crews.values()):
            self._timer = self._loop.call_at(self._loop.clock() + _LOOK_EVERY, self._look)

    def _may_refork(self, crew: Crew) -> bool:
        pool = crew.release.pool
        return pool.preload and pool.worker_options.refork_after > 0 and crew.release.generation not in self._over

    def _look(self) -> None:
        self._timer = None
        for crew in self._crews.values():
            if self._may_refork(crew):
                self._look_at(crew)
        self.begin()

    def _look_at(self, crew: Crew) -> None:
        pool, generation = crew.release.pool, crew.release.generation
        if not pool.worker_class.reforks:
            self._over.add(generation)
            self._log.warning("No refork%s: a %s worker cannot be forked from", crew, pool.class_name)
            return
        handles = self._children.of(crew)
        # Not while a reload is under way, or a worker is missing.
        if crew.release is not crew.proven or crew.name in self._attempts or not crew.is_complete(handles):
            return
        for handle in handles:
            if handle.role is Role.WORKER and handle.state is State.READY and handle.retiring is None:
                requests = self._children.scoreboard.row(handle.slot)[Column.REQUESTS]
                if requests >= pool.worker_options.refork_after:
                    self._over.add(generation)
                    self._choose(crew, handle, requests)
                    return

    def _choose(self, crew: Crew, handle: WorkerHandle, requests: int) -> None:
        self._attempts[crew.name] = _Attempt(crew, handle, self._children.memory(crew))
        self._log.info("Reforking%s: %s is warm after %d requests, and becomes the mold", crew, handle, requests)
        self._children.retire(handle, "it is to be a mold")

    # -- how it goes on ----------------------------------------------------------------------------------------------

    def is_chosen(self, handle: WorkerHandle) -> bool:
        """Tell whether a worker is the one that is to be a mold."""
        attempt = self._attempts.get(handle.pool)
        return attempt is not None and attempt.chosen is handle

    def begin_with(self, handle: WorkerHandle) -> None:
        """Renew the workers: the chosen one is a mold now."""
        attempt = self._attempts[handle.pool]
        generation = self._next_generation()
        self._over.add(generation)
        attempt.chosen = self._children.worker_became_mold(handle, generation)
        attempt.crew.begin_refork(generation)

    def go_on(self) -> None:
        """See whether one has come to its end; called before each plan."""
        for attempt in list(self._attempts.values()):
            crew = attempt.crew
            handles = self._children.of(crew)
            if attempt.has_mold and not attempt.is_proven and crew.is_complete(handles):
                crew.settle()
            elif attempt.is_proven and all(handle.generation == crew.release.generation for handle in handles):
                del self._attempts[crew.name]
                self._report(attempt)

    def _report(self, attempt: _Attempt) -> None:
        crew, before, after = attempt.crew, attempt.memory_before, self._children.memory(attempt.crew)
        if before is None or after is None:
            self._log.info("Reforked%s", crew)
            return
        self._log.info(
            "Reforked%s: its workers and their mold take %d MiB of memory (PSS), and took %d MiB before",
            crew,
            after // _MEBIBYTE,
            before // _MEBIBYTE,
        )

    # -- how it fails ------------------------------------------------------------------------------------------------

    def refused(self, handle: WorkerHandle, reason: str) -> None:
        """Take note that the chosen worker says why it cannot be a mold; it ends."""
        if self.is_chosen(handle):
            self._give_up(self._attempts[handle.pool], f"{handle} cannot be forked from: {reason}")

    def gone(self, handle: WorkerHandle, how: str) -> None:
        """Take note of a process's end, in case that something depended on it."""
        attempt = self._attempts.get(handle.pool)
        if attempt is not None and attempt.chosen is handle and not attempt.is_proven:
            self._give_up(attempt, f"{handle} {how}")

    def failed(self, crew: Crew, why: str) -> bool:
        """Take note that new workers do not boot; return whether they were a refork's."""
        attempt = self._attempts.get(crew.name)
        if attempt is None or not attempt.has_mold or attempt.is_proven:
            return False
        self._give_up(attempt, why)
        return True

    def abandon(self) -> None:
        """Leave off: a reload begins, or everybody is to leave."""
        for attempt in list(self._attempts.values()):
            self._drop(attempt)

    def _give_up(self, attempt: _Attempt, why: str) -> None:
        self._drop(attempt)
        self._log.warning("Refork given up%s: %s; the workers stay as they are", attempt.crew, why)

    def _drop(self, attempt: _Attempt) -> None:
        del self._attempts[attempt.crew.name]
        if attempt.has_mold and not attempt.is_proven:
            attempt.crew.give_up_refork()
