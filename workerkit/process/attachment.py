"""What may live in an arbiter's loop beside its workers: a control socket, a service manager's socket.

Neither side imports the other: an arbiter knows attachments by ``Attachment``, an attachment knows its arbiter by
``Supervised``, and assembly introduces them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from workerkit.process.loop import EventLoop
from workerkit.records import Record

Done = Callable[[str | None], object]
"""Told how a reload ended: None when the new generation serves, otherwise why it was given up."""


class WorkerStatus(Record):
    """One worker, for people and monitors."""

    pool: str
    number: int
    slot: int
    pid: int | None
    generation: int
    state: str
    requests: int
    """How many it has finished."""
    connections: int
    """How many are open."""
    failures: int = 0
    """How many of the requests failed: responses of 500 and above, jobs that raised."""
    busy: int = 0
    """How many requests run now."""
    age: float = 0.0
    """Seconds since it was forked."""


class PoolStatus(Record):
    """One pool, for people and monitors."""

    name: str
    worker_class: str
    """What people call it."""
    workers: int
    """How many there should be."""
    ready: int
    """How many are ready, of all generations."""
    generation: int
    """The one that is wanted."""
    addresses: tuple[str, ...]
    """The URLs where it listens."""


class Supervised(Protocol):
    """What an attachment may ask of its arbiter, in the loop's thread."""

    @property
    def pid(self) -> int:
        """The arbiter's process id."""

    @property
    def reloading(self) -> bool:
        """Whether a new generation is being brought up."""

    def status(self) -> Sequence[WorkerStatus]:
        """Return the workers."""

    def pool_status(self) -> Sequence[PoolStatus]:
        """Return the pools."""

    def reload(self, done: Done | None = None) -> None:
        """Begin a reload; see ``Arbiter.reload``."""

    def reopen_logs(self) -> None:
        """Open the log files anew, here and in the workers."""

    def stop(self, *, graceful: bool = True) -> None:
        """Begin to stop."""


class Attachment:
    """The base of all attachments; each method is called in the arbiter, but for ``forget``. None may block."""

    title: ClassVar[str] = "an attachment"
    """What people call it, where it has no effect: an arbiter without a loop has nowhere to attach it."""

    def attach(self, server: Supervised, loop: EventLoop) -> None:
        """Open what is needed and watch it. Called by ``start()``, after the listeners are open.

        Raises:
            WorkerkitError: It cannot; then the arbiter does not start, and what was opened here is closed here.
        """

    def forget(self) -> None:
        """Close the descriptors and nothing else. In each child, right after the fork."""

    def detach(self) -> None:
        """Close everything. Called once after ``attach``, at the end of ``run()`` or when the start has failed."""

    def on_ready(self) -> None:
        """Every pool has had a ready worker. Called once."""

    def on_reloading(self) -> None:
        """A new generation is going to be brought up."""

    def on_reloaded(self, error: str | None) -> None:
        """It serves, or was given up for that reason. Called once for each reload, superseded ones included."""

    def on_stopping(self) -> None:
        """Everybody is going to be told to leave."""

    def on_succeeded(self, pid: int) -> None:
        """A new arbiter, with this pid, has taken over the listeners; this one is going to stop."""
