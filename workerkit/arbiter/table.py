"""The processes of a server, as the arbiter knows them. No fork, no signal, no log, no clock in here.

What happens to a process is an event; ``ProcessTable.apply`` is the only thing that changes the table. What should
be done about it is ``workerkit.arbiter.policy``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from workerkit.process.scoreboard import ROWS
from workerkit.process.states import TRANSITIONS, Change, State
from workerkit.records import Record


class Role(enum.Enum):
    """What a process is for."""

    WORKER = "worker"
    MOLD = "mold"
    """Holds the loaded application of one pool and generation, and forks workers from it (--preload)."""


@dataclass(eq=False, repr=False)
class WorkerHandle:
    """The parent's view of one process; never the same object as the child's ``Worker``."""

    role: Role
    pool: str
    slot: int
    number: int
    generation: int
    spawned_at: float
    timeout: float = 0.0
    """Within which its heart must beat again; 0: no limit. The settings that it was made with are its own."""
    boot_timeout: float = 0.0
    """Within which it must be ready; 0: no limit."""
    pid: int | None = None
    """None until a mold's worker has told it."""
    state: State = State.BOOTING
    ready_at: float | None = None
    stop_deadline: float | None = None
    """When it must be gone; set once it was ordered to stop."""
    retiring: str | None = None
    """Why it asked to be replaced."""
    beat: float = 0.0
    """Its last heartbeat, copied from the scoreboard before each plan."""

    def __str__(self) -> str:
        name = "mold" if self.role is Role.MOLD else f"worker {self.number}"
        pool = "" if self.pool == DEFAULT_POOL else f" of {self.pool}"
        return f"{name}{pool} (pid: {self.pid})"


DEFAULT_POOL = "default"


class Spawned(Record):
    """A process was forked, or a mold was told to fork it."""

    handle: WorkerHandle


class Identified(Record):
    """A process that a mold forked has told its pid."""

    slot: int
    pid: int


class Booted(Record):
    """It is ready."""

    slot: int
    at: float


class AskedToRetire(Record):
    """It wants to be replaced."""

    slot: int
    reason: str


class StopOrdered(Record):
    """It was told to leave until ``deadline``."""

    slot: int
    deadline: float


class Exited(Record):
    """It is gone."""

    slot: int


Event = Spawned | Identified | Booted | AskedToRetire | StopOrdered | Exited


class ProcessTable:
    """All living processes by slot."""

    def __init__(self) -> None:
        self._handles: dict[int, WorkerHandle] = {}

    def __iter__(self) -> Iterator[WorkerHandle]:
        return iter(list(self._handles.values()))

    def __len__(self) -> int:
        return len(self._handles)

    def __getitem__(self, slot: int) -> WorkerHandle:
        return self._handles[slot]

    def get(self, slot: int) -> WorkerHandle | None:
        """Return the process that holds a slot."""
        return self._handles.get(slot)

    def of_pool(self, pool: str) -> list[WorkerHandle]:
        """Return a pool's processes, oldest first."""
        return [handle for handle in self._handles.values() if handle.pool == pool]

    def free_slot(self) -> int:
        """Return the lowest slot that no living process holds."""
        return next(slot for slot in range(ROWS) if slot not in self._handles)

    def apply(self, event: Event) -> None:
        """Take note of an event.

        Raises:
            KeyError: It cannot happen to a process in that state; a bug.
        """
        if isinstance(event, Spawned):
            self._handles[event.handle.slot] = event.handle
            return
        handle = self._handles[event.slot]
        match event:
            case Identified():
                handle.pid = event.pid
            case Booted():
                self._change(handle, Change.BOOTED)
                handle.ready_at = event.at
            case AskedToRetire():
                handle.retiring = event.reason
            case StopOrdered():
                self._change(handle, Change.STOP_ORDERED)
                handle.stop_deadline = event.deadline
            case Exited():
                self._change(handle, Change.EXITED)
                del self._handles[event.slot]

    @staticmethod
    def _change(handle: WorkerHandle, change: Change) -> None:
        handle.state = TRANSITIONS[handle.state][change]
