"""One pool's side in the arbiter: which release is wanted, which one is proven, and how it has been doing."""

from __future__ import annotations

from collections.abc import Iterable

from workerkit.arbiter.base import ArbiterOptions, Pool
from workerkit.arbiter.policy import ForkRetry, RestartBudget, Wanted, divide
from workerkit.arbiter.scaling import Bounds, LoadHistory
from workerkit.arbiter.table import DEFAULT_POOL, Role, WorkerHandle
from workerkit.net.handover import Handover
from workerkit.net.listener import Listener
from workerkit.process.attachment import PoolStatus
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import ROWS
from workerkit.process.states import State
from workerkit.records import Record

_MOST_WORKERS = ROWS // 2  # a reload needs as many slots again


def _bounds(pool: Pool) -> Bounds | None:
    return Bounds(pool.workers, pool.most_workers) if pool.most_workers is not None else None


class Release(Record):
    """The settings and the code that workers of one generation are made with; a reload makes a new one."""

    generation: int
    pool: Pool
    listeners: tuple[Listener, ...]
    options: ArbiterOptions


class Crew:
    """The workers of one pool, over its releases.

    Args:
        number: Which pool it is, counted from 1, in the scoreboard.
        release: What its workers are to be made with.
        proven: What to go back to when they do not boot; None: nothing, then the arbiter ends.
        nudge: What wakes them, if there is one already.
        handover: Where those that leave put their idle connections, if there is one already.
    """

    def __init__(
        self,
        number: int,
        release: Release,
        proven: Release | None = None,
        nudge: Nudge | None = None,
        handover: Handover | None = None,
    ) -> None:
        self.number = number
        self.name = release.pool.name
        self.is_dismissed = False
        """Whether the pool is gone from the settings, and lives only until its last worker has left."""
        self.release = release
        """The one that is wanted."""
        self.proven = proven
        """The last one that has come to serve: what a reload that is given up goes back to."""
        self.workers = release.pool.workers
        """How many are wanted."""
        self.bounds = _bounds(release.pool)
        """Between which the load decides how many are wanted; None: it does not."""
        self.load = LoadHistory()
        self.budget = RestartBudget()
        self.fork_retry = ForkRetry()
        self.nudge = nudge or Nudge()
        self.handover = handover or Handover.make()
        self.announced: set[str] = set()
        """The URLs that were logged."""
        self.begun: set[int] = set()
        """The generations of which a worker has been ready."""
        self._releases = {release.generation: release}
        self._workers_before = 0
        self._divided: dict[int, list[int]] = {}

    @classmethod
    def joining(cls, number: int, release: Release) -> Crew:
        """Return the crew of a pool that a reload adds: giving up goes back to no workers at all."""
        nobody = Release(0, release.pool.replace(workers=0, most_workers=None), (), release.options)
        return cls(number, release, nobody)

    def __str__(self) -> str:
        """Return in words in which pool it is, where there are several."""
        return "" if self.name == DEFAULT_POOL else f" in the pool {self.name}"

    def wanted(self) -> Wanted:
        """Return what the pool should be, for the policy."""
        return Wanted(
            workers=self.workers,
            generation=self.release.generation,
            preload=self.release.pool.preload,
            batch=max(1, self.release.options.reload_batch),
            fallback=self.proven.generation if self.proven is not None else 0,
            first_alone=self.release.pool.hooks.once and not self.has_begun,
        )

    @property
    def has_begun(self) -> bool:
        """Whether a worker of the release that is wanted has been ready."""
        return self.release.generation in self.begun

    @property
    def at_once(self) -> int:
        """How many jobs one worker can run at the same time."""
        return max(1, self.release.pool.worker_class.at_once(self.release.pool.class_options))

    @property
    def spawn_at(self) -> float:
        """Nothing is spawned before this time."""
        return max(self.budget.spawn_at, self.fork_retry.fork_at)

    def release_of(self, handle: WorkerHandle) -> Release:
        """Return what a process was made with."""
        return self._releases[handle.generation]

    def begin(self, release: Release) -> None:
        """Want another release from now on."""
        if self.proven is None or self.release is self.proven:
            self._workers_before = self.workers
        self._change(release, release.pool.workers)
        self.is_dismissed = False

    def settle(self) -> None:
        """Take the wanted release for proven: it serves, or nothing else ever did."""
        self.proven = self.release

    def give_up(self) -> None:
        """Go back to the proven release, with as many workers as it had; to none if it has just joined."""
        if self.proven is not None and self.release is not self.proven:
            self._change(self.proven, self._workers_before)
            self.is_dismissed = not self.proven.generation

    def begin_refork(self, generation: int) -> None:
        """Want the same release again, from another mold: all else stays as it is, however it came to be."""
        self.release = self.release.replace(generation=generation)
        self._releases[generation] = self.release
        # What is done once for a release has been done.
        self.begun.add(generation)

    def give_up_refork(self) -> None:
        """Go on with the mold before."""
        if self.proven is not None:
            self.release = self.proven

    def dismiss(self) -> None:
        """Want no workers any more: the pool is gone from the settings."""
        nobody = self.release.pool.replace(workers=0, most_workers=None)
        self._change(self.release.replace(pool=nobody, listeners=()), 0)
        self.settle()
        self.is_dismissed = True

    def _change(self, release: Release, workers: int) -> None:
        self.release = release
        self.bounds = _bounds(release.pool)
        if self.bounds is not None:
            # What the load asks for is no other number because there is new code.
            workers = self.bounds.clamp(max(workers, self.workers))
        self.load.forget()
        self._releases.setdefault(release.generation, release)
        self.workers = workers
        self.budget = RestartBudget()

    def scale(self, step: int) -> None:
        """Want more or fewer workers, one at least; where the load decides, its bounds move."""
        if self.bounds is None:
            self.workers = Bounds(1, _MOST_WORKERS).clamp(self.workers + step)
            return
        self.bounds = self.bounds.moved(step, _MOST_WORKERS)
        self.workers = self.bounds.clamp(self.workers)

    def status(self, handles: Iterable[WorkerHandle]) -> PoolStatus:
        """Return how the pool is, for people and monitors."""
        pool = self.release.pool
        ready = sum(handle.role is Role.WORKER and handle.state is State.READY for handle in handles)
        urls = tuple(listener.url for listener in self.release.listeners if not listener.share)
        return PoolStatus(self.name, pool.class_name, self.workers, ready, self.release.generation, urls)

    def is_complete(self, handles: Iterable[WorkerHandle]) -> bool:
        """Tell whether as many workers of the wanted release are ready as are wanted."""
        generation = self.release.generation
        ready = sum(
            handle.role is Role.WORKER and handle.state is State.READY and handle.generation == generation
            for handle in handles
        )
        return ready >= self.workers

    def divide(self, handles: Iterable[WorkerHandle]) -> dict[int, list[int]]:
        """Return which shares of its listeners each worker is to accept from that was not told so yet, by slot.

        So each listener is somebody's: what waits there must not wait for a worker's successor.
        """
        groups: dict[tuple[Listener, ...], list[WorkerHandle]] = {}
        for handle in handles:
            listeners = self.release_of(handle).listeners
            if any(listener.share for listener in listeners):
                groups.setdefault(listeners, []).append(handle)
        before, self._divided = self._divided, {}
        for listeners, group in groups.items():
            self._divided |= divide(group, 1 + max(listener.share or 0 for listener in listeners))
        return {slot: mine for slot, mine in self._divided.items() if before.get(slot) != mine}

    def accepts_alone(self, handle: WorkerHandle) -> bool:
        """Tell whether a process listens where workers of the wanted release do not: nobody serves that backlog."""
        served = {listener.socket for listener in self.release.listeners}
        return any(listener.socket not in served for listener in self.release_of(handle).listeners)

    def takes_over(self, handle: WorkerHandle) -> bool:
        """Tell whether workers that stay, or will come, go on with the idle connections of a process that leaves."""
        before, after = self.release_of(handle).pool, self.release.pool
        is_possible = self.handover is not None and self.workers > 0 and after.worker_class.hands_over
        return is_possible and before.scheme == after.scheme and before.tls is None and after.tls is None

    def close(self) -> None:
        """Let go of what its processes shared."""
        self.nudge.close()
        if self.handover is not None:
            self.handover.close()

    def listeners_in_use(self, handles: Iterable[WorkerHandle]) -> list[Listener]:
        """Return those that somebody accepts from, or will, or would when a reload is given up.

        Args:
            handles: The processes of this pool that live. Releases of which none does are forgotten here.
        """
        needed = {handle.generation for handle in handles} | {self.release.generation}
        self._releases = {number: release for number, release in self._releases.items() if number in needed}
        used = [self.release, *self._releases.values(), *([self.proven] if self.proven is not None else [])]
        return [listener for release in used for listener in release.listeners]
