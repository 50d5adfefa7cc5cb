"""What to do next: a pure function from what is and what is wanted to actions and the next deadline.

The rules, in the order in which ``plan`` applies them:

1.  A process past its deadline is killed: one that does not boot, one whose heart stopped, one that does not leave.
2.  A worker is *current* when it is of the wanted generation and has not asked to retire. Current ones are spawned
    until there are as many as wanted: all at once when nothing serves; when others serve, one first as a canary,
    then ``batch`` at a time, so that a bad release meets one process and memory does not double.
3.  An outgoing worker is told to stop only when enough others are ready: a client never pays for the operator.
4.  With preload, workers are forked from a mold of their generation. Molds that are no longer wanted leave, but the
    one to fall back on stays until a reload has come to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

from workerkit.arbiter.table import Role, WorkerHandle
from workerkit.process.states import State
from workerkit.records import Record


class Spawn(Record):
    """Make a worker with this number."""

    number: int


class SpawnMold(Record):
    """Make a mold."""


class Stop(Record):
    """Tell a process to leave."""

    slot: int


class Kill(Record):
    """End a process by force, a worker that hangs after a moment to tell what it does; the reason is for the log."""

    slot: int
    reason: str


Action = Spawn | SpawnMold | Stop | Kill


class Wanted(Record):
    """What one pool should be."""

    workers: int
    generation: int
    preload: bool = False
    batch: int = 1
    fallback: int = 0
    """The generation that comes back if this one is given up; its mold is kept for that."""
    first_alone: bool = False
    """Whether no worker has been ready of this generation, and the first one has to be before others are made."""


class Plan(Record):
    """What to do now, and when to look again at the latest (None: when something happens)."""

    actions: tuple[Action, ...]
    next_look: float | None


@dataclass(repr=False)
class RestartBudget:
    """How soon a dead worker may be replaced.

    A token bucket: ``burst`` deaths are replaced at once, and one more for every ``refill`` seconds that pass. When
    it is empty, each further death doubles the delay, from ``first_delay`` up to ``longest_delay``, until a worker
    has lived for long enough to refill the bucket.
    """

    burst: float = 8.0
    refill: float = 2.0
    first_delay: float = 0.1
    longest_delay: float = 30.0
    spawn_at: float = 0.0
    """No worker is spawned before this time."""
    _tokens: float = field(init=False, default=0.0)
    _counted_at: float | None = None
    _streak: int = 0

    def death(self, now: float) -> None:
        """Take note of a worker that ended without having been told to."""
        if self._counted_at is None:
            self._tokens = self.burst
        else:
            self._tokens = min(self.burst, self._tokens + (now - self._counted_at) / self.refill)
        self._counted_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            self._streak = 0
            return
        self.spawn_at = now + min(self.longest_delay, self.first_delay * 2.0**self._streak)
        self._streak += 1


@dataclass(repr=False)
class ForkRetry:
    """When to fork again after the system had no process to give (EAGAIN, ENOMEM).

    That says nothing about the application, so these delays are short, and apart from the restart budget's.
    """

    first_delay: float = 0.05
    longest_delay: float = 0.5
    fork_at: float = 0.0
    """Nothing is forked before this time."""
    failures: int = 0
    """How many attempts have failed since the last one that succeeded."""

    def failed(self, now: float) -> None:
        """Take note of a fork that failed."""
        self.fork_at = now + min(self.longest_delay, self.first_delay * 2.0**self.failures)
        self.failures += 1

    def succeeded(self) -> None:
        """Take note of one that did not."""
        self.fork_at, self.failures = 0.0, 0


def plan(handles: Sequence[WorkerHandle], wanted: Wanted, spawn_at: float, awake_since: float, now: float) -> Plan:
    """Return what to do about one pool.

    Args:
        handles: The pool's living processes, oldest first.
        wanted: What it should be.
        spawn_at: Nothing is spawned before this time: the word of the restart budget and of the fork retries.
        awake_since: Since when the arbiter has been able to look. After it was stopped itself (SIGSTOP, a suspended
            machine), old heartbeats prove nothing.
        now: The time; monotonic, as are all the others.
    """
    actions: list[Action] = []
    deadlines: list[float] = []
    for handle in handles:
        deadline, reason = _deadline(handle, awake_since)
        if deadline is None:
            continue
        if deadline <= now:
            actions.append(Kill(handle.slot, reason))
        else:
            deadlines.append(deadline)
    workers = [handle for handle in handles if handle.role is Role.WORKER]
    current = [handle for handle in workers if _is_current(handle, wanted)]
    missing = wanted.workers - len(current)
    if missing > 0:
        if spawn_at > now:
            deadlines.append(spawn_at)
        else:
            actions += _spawn(handles, workers, current, wanted, missing)
    actions += _stop(handles, workers, current, wanted)
    return Plan(tuple(actions), min(deadlines, default=None))


def divide(handles: Sequence[WorkerHandle], shares: int) -> dict[int, list[int]]:
    """Return which shares of the listeners each ready worker accepts from, by slot.

    A worker keeps the share of its number, so little changes hands. A share whose worker is gone, or is not ready
    yet, goes to those that are there.
    """
    ready = [handle for handle in handles if handle.role is Role.WORKER and handle.state is State.READY]
    divided = {handle.slot: [handle.number % shares] for handle in ready}
    orphans = sorted(set(range(shares)).difference(*divided.values()))
    for handle, share in zip(cycle(ready), orphans, strict=False):
        divided[handle.slot].append(share)
    return divided


def _deadline(handle: WorkerHandle, awake_since: float) -> tuple[float | None, str]:
    """Return when a process is overdue, and for what."""
    if handle.stop_deadline is not None:
        return handle.stop_deadline, "it did not leave in time"
    if handle.state is State.BOOTING and handle.boot_timeout:
        return handle.spawned_at + handle.boot_timeout, f"it was not ready within {handle.boot_timeout:g} s"
    if handle.state is State.READY and handle.role is Role.WORKER and handle.timeout:
        seen = max(handle.beat, handle.ready_at or 0.0, awake_since)
        return seen + handle.timeout, f"its heart has not beaten for {handle.timeout:g} s"
    return None, ""


def _is_current(handle: WorkerHandle, wanted: Wanted) -> bool:
    return (
        handle.generation == wanted.generation
        and handle.retiring is None
        and handle.state in (State.BOOTING, State.READY)
    )


def _spawn(
    handles: Sequence[WorkerHandle],
    workers: Sequence[WorkerHandle],
    current: Sequence[WorkerHandle],
    wanted: Wanted,
    missing: int,
) -> list[Action]:
    if wanted.preload:
        mold = next((handle for handle in handles if _is_mold_of(handle, wanted)), None)
        if mold is None:
            return [SpawnMold()]
        if mold.state is not State.READY:
            return []
    ready = sum(handle.state is State.READY for handle in current)
    others_serve = any(handle.state is State.READY and not _is_current(handle, wanted) for handle in workers)
    if others_serve or wanted.first_alone:
        booting = len(current) - ready
        allowed = wanted.batch if ready else 1
        missing = min(missing, max(0, allowed - booting))
    taken = {handle.number for handle in current}
    free = [number for number in range(wanted.workers) if number not in taken]
    return [Spawn(number) for number in free[:missing]]


def _stop(
    handles: Sequence[WorkerHandle], workers: Sequence[WorkerHandle], current: Sequence[WorkerHandle], wanted: Wanted
) -> list[Action]:
    surplus = sorted(current, key=lambda handle: handle.number)[max(0, wanted.workers) :]
    outgoing = [
        handle
        for handle in workers
        if handle.state in (State.BOOTING, State.READY) and not _is_current(handle, wanted)
    ]
    ready = sum(handle.state is State.READY for handle in current)
    serving = [handle for handle in outgoing if handle.state is State.READY]
    needed = max(0, wanted.workers - ready)
    leaving = [handle for handle in outgoing if handle.state is State.BOOTING]
    leaving += serving[: max(0, len(serving) - needed)]
    molds = [
        handle
        for handle in handles
        if handle.role is Role.MOLD
        and handle.stop_deadline is None
        and not (wanted.workers and wanted.preload and _is_mold_of(handle, wanted))
        # Until the new generation has proved itself, the old one may have to be restored from its mold.
        and not (wanted.workers and handle.generation == wanted.fallback != wanted.generation)
    ]
    return [Stop(handle.slot) for handle in [*surplus, *leaving, *molds]]


def _is_mold_of(handle: WorkerHandle, wanted: Wanted) -> bool:
    return handle.role is Role.MOLD and handle.generation == wanted.generation and handle.stop_deadline is None
