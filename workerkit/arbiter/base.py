"""The arbiter contract: what starts, keeps and ends the processes of a server.

An arbiter reads no command line, never exits the process, and installs no signal handler unless asked to
(``signals=True``): it can be embedded. Implementations register in the entry-point group ``workerkit.arbiters``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerkit.net.listener import Listener, ListenerOptions
from workerkit.net.protocol import Protocol
from workerkit.process.attachment import Attachment, Done, PoolStatus, WorkerStatus
from workerkit.process.hooks import NO_HOOKS, Hooks
from workerkit.process.privileges import UNCHANGED, Privileges
from workerkit.records import Record
from workerkit.telemetry.logs import Logs
from workerkit.workers.base import Lifespan, Worker, WorkerOptions

if TYPE_CHECKING:
    from workerkit.net.certificates import PoolCertificates


@dataclass(frozen=True, eq=False, repr=False)
class ArbiterOptions:
    """The arbiter."""

    graceful_timeout: float = field(
        default=30.0,
        metadata={
            "unit": "seconds",
            "help": "How long a worker that was told to leave may finish what it has; then it is killed.",
        },
    )
    boot_timeout: float = field(
        default=120.0,
        metadata={"unit": "seconds", "help": "Within which a worker must be ready; then it is killed. 0: no limit."},
    )
    reload_batch: int = field(
        default=1,
        metadata={"metavar": "N", "help": "How many workers a reload boots at a time, after the first one is ready."},
    )
    pidfile: str | None = field(
        default=None,
        metadata={"flags": ("-p", "--pid"), "metavar": "FILE", "help": "Where the arbiter writes its process id."},
    )


class Pool(Record):
    """Workers of one class that serve one thing."""

    name: str
    worker_class: type[Worker]
    worker_options: WorkerOptions
    class_options: object
    workers: int
    """How many; the fewest, if there may be more."""
    listen: ListenerOptions | None
    """Where it listens; None: its workers need no socket."""
    serve: Callable[[], Protocol] | None
    lifespan: Lifespan | None = None
    preload: bool = False
    scheme: str = "http"
    """How the addresses begin that it listens at: for the log."""
    class_name: str = ""
    """What people call the worker class: for messages."""
    hooks: Hooks = NO_HOOKS
    """Those of the release that this is part of; all its pools have the same."""
    privileges: Privileges = UNCHANGED
    """Who its processes are when they load what is served."""
    title: str = ""
    """What ``ps`` shows in brackets."""
    tls: PoolCertificates | None = None
    """What its workers speak TLS with; None: they do not."""
    most_workers: int | None = None
    """Up to how many there may be when there is more to do; None: always ``workers``."""


class Renewed(Record):
    """What a reload has read again."""

    pools: Sequence[Pool]
    options: ArbiterOptions


Renew = Callable[[], Renewed]


class Arbiter(ABC):
    """The base of all arbiters."""

    def __init__(
        self,
        pools: Sequence[Pool],
        options: ArbiterOptions,
        logs: Logs,
        *,
        signals: bool = False,
        renew: Renew | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Take what assembly has made; nothing is opened yet.

        Args:
            pools: What to keep running.
            options: How.
            logs: Of this process and of the workers.
            signals: Take this process's signals while it runs.
            renew: Reads all settings again for a reload, in the loop's thread. It raises ``WorkerkitError`` when they
                cannot be used. None: a reload starts the same pools anew.
            attachments: What else lives in the loop.
        """
        self.pools = {pool.name: pool for pool in pools}
        self.options = options
        self.logs = logs
        self.log = logs.error
        self.signals = signals
        self.renew = renew
        self.attachments = tuple(attachments)
        self.listeners: dict[str, tuple[Listener, ...]] = {}

    @property
    def pid(self) -> int:
        """The process that this is; see ``Supervised``."""
        return os.getpid()

    @property
    def reloading(self) -> bool:
        """Whether a new generation is being brought up."""
        return False

    @abstractmethod
    def start(self) -> None:
        """Open the listeners and whatever else can fail for a person's mistake. Returns at once.

        Raises:
            WorkerkitError: It cannot; nothing is left behind.
        """

    @abstractmethod
    def run(self) -> int:
        """Start if need be, serve until stopped, and return the exit code.

        Call it in the main thread with ``signals=True``. Without, any one thread will do; it is the one that forks.
        """

    @abstractmethod
    def stop(self, *, graceful: bool = True) -> None:
        """Make ``run`` return; finish what is under way first, unless told otherwise. From any thread."""

    @abstractmethod
    def reload(self, done: Done | None = None) -> None:
        """Read all settings again and replace every worker by a new one, without losing a request. From any thread.

        Args:
            done: Called once, in the loop's thread: with None when the new generation serves, otherwise with the
                reason for which it was given up; then everything is as before.
        """

    @abstractmethod
    def reopen_logs(self) -> None:
        """Open the log files anew, here and in the workers: they were moved. From any thread."""

    @abstractmethod
    def status(self) -> list[WorkerStatus]:
        """Return the workers. In the thread of ``run``, or before and after it."""

    @abstractmethod
    def pool_status(self) -> list[PoolStatus]:
        """Return the pools. In the thread of ``run``, or before and after it."""
