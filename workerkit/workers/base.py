"""The worker contract: a process that boots, runs until it is told to leave, and says how it is doing.

Everything here happens in the child, after the fork; the parent's view of a worker is
``workerkit.arbiter.table.WorkerHandle``, which is another class on purpose.

The order of a worker's life, one method each::

    prepare()   classmethod, given its options, before the application is imported (in the mold, with --preload)
    __init__    facts only; nothing is opened
    boot()      load what is served
    run()       work; return when an order to leave has been carried out

An order arrives on the descriptor ``orders``. A signal handler calls nothing in here: a worker that is signalled
directly tells the arbiter, whose order comes back like any other.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from workerkit.errors import BootError, WorkerkitError
from workerkit.frames import summary, user_frames
from workerkit.process.clock import Clock, monotonic
from workerkit.process.hooks import NO_HOOKS, Hooks, Identity
from workerkit.process.messages import (
    BecomeMold,
    BootFailed,
    CertificatesRenewed,
    Channel,
    Drain,
    Listen,
    Quit,
    Ready,
    RenewCertificates,
    ReopenLogs,
    Retiring,
    Signalled,
)
from workerkit.process.nudge import Nudge
from workerkit.process.oom import be_killed_first
from workerkit.process.privileges import UNCHANGED, Privileges
from workerkit.process.scoreboard import Column, Row
from workerkit.process.signals import deliver
from workerkit.process.title import show_title
from workerkit.records import Record
from workerkit.workers.last_words import LastWords
from workerkit.workers.recycling import Recycling, spread

if TYPE_CHECKING:
    from workerkit.net.certificates import TlsSource
    from workerkit.net.handover import Handover
    from workerkit.net.listener import Listener, ListenerOptions
    from workerkit.net.protocol import Protocol
    from workerkit.net.upgrade import Upgrade
    from workerkit.telemetry.logs import Logs

API_VERSION = 1

_FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
_URGENT_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
_IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)
_FRAMES_LIMIT = 16 * 1024
_NEVER = 1 << 62
_REQUESTS = Column.REQUESTS  # a plain name: an attribute of an enum costs the request path 0.1 µs


class Order(enum.Enum):
    """What the arbiter may want of a running worker."""

    DRAIN = "drain"
    """Finish what is under way, take nothing new, and return from ``run()``. Others serve the backlog."""
    DRAIN_LAST = "drain last"
    """The same on a full stop: nobody serves the backlog afterwards, so empty it first."""
    QUIT = "quit"
    """Return from ``run()`` at once."""


@dataclass(frozen=True, eq=False, repr=False)
class WorkerOptions:
    """Worker processes."""

    timeout: float = field(
        default=30.0,
        metadata={
            "flags": ("-t",),
            "unit": "seconds",
            "help": "A worker whose heart has not beaten for this long is killed and replaced; 0 turns this off.",
        },
    )
    max_requests: int = field(
        default=0,
        metadata={"metavar": "N", "help": "Replace a worker after this many requests; 0: never."},
    )
    max_requests_jitter: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "help": "Add a random number up to this to max-requests, so that workers do not leave together.",
        },
    )
    max_age: float = field(
        default=0.0,
        metadata={"unit": "seconds", "help": "Replace a worker that has lived for this long; 0: never."},
    )
    max_age_jitter: float = field(
        default=0.0,
        metadata={
            "unit": "seconds",
            "help": "Add a random time up to this to max-age, so that workers do not leave together.",
        },
    )
    max_memory: int = field(
        default=0,
        metadata={
            "unit": "bytes",
            "help": "Replace a worker whose memory has grown past this; what it shares with others counts by its "
            "share (PSS). 0: never.",
        },
    )
    refork_after: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "help": "With --preload: once a worker has answered this many requests, make the others anew from it, "
            "so that they share what it has loaded and cached. 0: never.",
        },
    )


@dataclass(frozen=True, eq=False, repr=False)
class NoOptions:
    """A worker class that has no settings of its own."""


Lifespan = Callable[[], AbstractContextManager[object]]


class WorkerContext(Record):
    """All that a worker is given: who it is, what to serve, and whom to tell."""

    pool: str
    slot: int
    """Its scoreboard row: unique among living processes."""
    number: int
    """0 to workers-1; a successor has the number of the worker it replaces, and may overlap with it."""
    generation: int
    workers: int
    """How many workers the pool was meant to have when this one was made; at most, if the load decides."""
    options: WorkerOptions
    class_options: object
    """An instance of the worker class's ``Options``."""
    listeners: tuple[Listener, ...]
    serve: Callable[[], Protocol] | None
    """Loads what is served; called in ``boot()``, and with --preload in the mold first. None: nothing is served."""
    lifespan: Lifespan | None
    channel: Channel
    row: Row
    siblings: tuple[Row, ...]
    """The rows that workers of this pool may hold, its own among them, and maybe others' (see Column.POOL); to read."""
    nudge: Nudge
    """Wakes another worker of the pool, for a connection that this one was woken for and does not take."""
    logs: Logs
    clock: Clock = monotonic
    handover: Handover | None = None
    """Where idle connections of workers that leave wait for one that stays; None: the system has no such thing."""
    listening: ListenerOptions | None = None
    """What is asked of its connections; None: nothing."""
    tls: TlsSource | None = None
    """What it speaks TLS with; None: it does not."""
    hooks: Hooks = NO_HOOKS
    privileges: Privileges = UNCHANGED
    title: str = ""
    """What ``ps`` shows in brackets."""
    first: bool = False
    """Whether no worker of its pool and generation has been ready before."""

    @property
    def identity(self) -> Identity:
        """Which worker it is, for hooks."""
        return Identity(self.pool, self.slot, self.number, self.generation)


class Worker(ABC):
    """Subclass it and write ``run()``; a queue consumer needs no more. For sockets, see ``ServerWorker``."""

    api_version: ClassVar[int] = API_VERSION
    """The contract that this class was written for; checked when it is loaded."""
    jobs: ClassVar[frozenset[str]] = frozenset()
    """What it can run, of ``call``, ``dialogue`` and ``coroutine``; a protocol whose job is not here is refused."""
    needs_patching: ClassVar[bool] = False
    """Whether ``prepare()`` changes the standard library for the application."""
    multithread: ClassVar[bool] = False
    """Whether several jobs may run at the same time in one process."""
    hands_over: ClassVar[bool] = False
    """Whether it hands idle connections to other workers when it leaves, and takes theirs (see ``ServerWorker``)."""
    reforks: ClassVar[bool] = False
    """Whether its process may be forked from, once ``run()`` has returned: nothing of it runs on (``refork_after``)."""
    interrupts: ClassVar[bool] = False
    """Whether it can interrupt a job that runs past its deadline."""
    requires: ClassVar[tuple[str, ...]] = ()
    """The modules that it cannot run without; ``workerkit workers`` says when one of them is not installed."""
    Options: ClassVar[type] = NoOptions
    """A frozen dataclass; its fields become settings and flags under this class's own heading."""

    @classmethod
    def stand_in(cls, options: object) -> str | None:  # noqa: ARG003  for classes that have one
        """Return the name of the class that should take this one's place, given its options; usually None.

        Called once, by assembly. The other class's settings must all be settings of this class too.
        """
        return None

    @classmethod
    def at_once(cls, options: Any) -> int:  # noqa: ARG003  for classes that run several
        """Return how many jobs one worker can run at the same time: what its load is measured against.

        Called in the arbiter, where ``--workers MIN..MAX`` leaves the number of workers to the load. ``options`` is
        an instance of ``Options``.
        """
        return 1

    @classmethod
    def upgrade_environ(cls, environ: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:  # noqa: ARG003  for others
        """Return what the WSGI environ has besides the usual, in a request that asks for another protocol (WebSocket).

        Called in the worker, in the job of each such request, with the environ as it will be. The base offers
        ``gunicorn.socket`` where dialogues are run, since the application may keep the connection for as long as it
        likes. A class whose users expect a library's own keys adds those; an empty answer is logged, once.
        """
        return {"gunicorn.socket": upgrade.socket} if "dialogue" in cls.jobs else {}

    def __init__(self, context: WorkerContext) -> None:
        self.context = context
        self.number = context.number
        self.slot = context.slot
        self.row = context.row
        self.clock = context.clock
        self.log = context.logs.error
        self.orders = context.channel.fileno()
        self.protocol: Protocol | None = None
        self.finished_jobs = 0
        self.retiring = False
        """Whether this worker has asked to be replaced."""
        self.becomes_mold = False
        """Whether its process is to go on as a mold, once it has left."""
        self._shed_before = 0
        options = context.options
        requests = options.max_requests
        self._retire_after = round(spread(requests, options.max_requests_jitter)) if requests else _NEVER
        self._recycling = Recycling(options, self.clock()) if options.max_age or options.max_memory else None
        # A third of the timeout leaves two beats to spare; once a second is cheap and keeps figures fresh.
        self.beat_interval = min(1.0, context.options.timeout / 3 or 1.0)
        """Seconds within which ``tick()`` should be called again."""

    @classmethod  # noqa: B027  most have nothing to prepare
    def prepare(cls, options: Any) -> None:
        """Make the process ready for the application; monkey-patching belongs here.

        Called once, before the application is imported, in whichever process imports it: worker or mold.
        ``options`` is an instance of ``Options``.
        """

    def boot(self) -> None:
        """Load what is served. Called once, in the worker.

        Raises:
            BootError: It cannot be loaded; the worker exits with the error's exit code.
        """
        if self.context.serve is not None:
            self.protocol = self.context.serve()
            self.protocol.leaving = self.protocol.hands_over = False
            # With --refork-after, another worker may have used it in this process's past.
            self._shed_before = self.protocol.jobs_shed
            self.protocol.on_late_job = self.note_late_job

    @abstractmethod
    def run(self) -> None:
        """Work; return once an order to leave has been carried out.

        Called once, in the worker's main thread. An implementation without an event loop of its own calls ``tick``
        at least every ``beat_interval`` seconds; others beat by ``beat`` and read ``orders`` when it is readable.
        """

    def tick(self) -> Order | None:
        """Beat the heart and return the next order, if one has arrived. Never blocks."""
        self.beat()
        self.check_up(self.clock())
        return self.receive_order()

    def beat(self) -> None:
        """Tell the arbiter that this worker is alive: its loop turns, its threads can run, its hub switches."""
        self.row.cells[Column.BEAT] = int(self.clock() * 1e9)

    def receive_order(self) -> Order | None:
        """Return the most urgent order that has arrived, or None. Never blocks."""
        found: Order | None = None
        for message in self.context.channel.receive():
            match message:
                case Quit():
                    self.context.hooks.interrupted()
                    self.becomes_mold = False
                    found = Order.QUIT
                case BecomeMold():
                    self.becomes_mold = True
                case Drain(last, hand_over) if found is not Order.QUIT:
                    if self.protocol is not None:
                        self.protocol.leaving = True
                        self.protocol.hands_over = hand_over and self.hands_over
                    found = Order.DRAIN_LAST if last else Order.DRAIN
                case ReopenLogs():
                    self.context.logs.reopen()
                case Listen(shares):
                    self.listen_to(shares)
                case RenewCertificates():
                    self._take_certificates(self.context.channel.take_fd())
                case _:
                    continue
        if self.context.channel.ended:
            # The arbiter is gone. Where the kernel does not kill us for that (see ``Channel.die_with_peer``), we leave.
            return Order.QUIT
        return found

    def _take_certificates(self, memory: int) -> None:
        try:
            self.context.channel.send(CertificatesRenewed(self.renew_certificates(memory)))
        finally:
            os.close(memory)

    def renew_certificates(self, memory: int) -> str:  # noqa: ARG002  for those who have some
        """Use the certificates in this memory (``net.certificates``) for new connections; called by ``receive_order``.

        Return why they cannot be used, in which case nothing has changed; nothing to say if they are used.
        """
        return "it has no use for certificates"

    def listen_to(self, shares: Sequence[int]) -> None:  # noqa: B027  most have nothing to listen to
        """Accept from these shares' listeners from now on, with ``--reuse-port``; called by ``receive_order``."""

    def count(self, failed: bool = False) -> None:
        """Count a finished request or job; after ``max_requests`` of them, ask to be replaced."""
        self.finished_jobs = finished = self.finished_jobs + 1
        self.row.cells[_REQUESTS] = finished
        if failed:
            self.row.cells[Column.FAILURES] += 1
        if finished >= self._retire_after:
            self.retire(f"{finished} requests")

    def record(self, running: int, finished: int, failed: int) -> None:
        """Write the figures of a worker whose threads count for themselves; what ``count`` does for the others."""
        cells = self.row.cells
        cells[Column.BUSY] = running
        cells[Column.REQUESTS] = self.finished_jobs = finished
        cells[Column.FAILURES] = failed
        if finished >= self._retire_after:
            self.retire(f"{finished} requests")

    def note_late_job(self) -> None:
        """Show that a job has begun that had waited for long; called in that job, by the protocol."""
        self.row.cells[Column.LATE_AT] = int(self.clock() * 1e9)

    def check_up(self, now: float) -> None:
        """Ask to be replaced when the worker is old or large enough, and show what its protocol counts.

        For workers with a loop of their own to call, about once a second; ``tick`` does.
        """
        if self.protocol is not None:
            self.row.cells[Column.SHED] = self.protocol.jobs_shed - self._shed_before
        if self._recycling is not None and not self.retiring and (reason := self._recycling.due(now)):
            self.retire(reason)

    def describe_jobs(self) -> list[str]:
        """Return what runs or waits to, a line for each; called when the worker is about to be killed for hanging."""
        return []

    def describe_waiting(self) -> str:
        """Return the stacks of what no thread runs at the moment, greenlets for instance; called at the same time."""
        return ""

    def retire(self, reason: str) -> None:
        """Ask to be replaced. Go on working: the order to leave comes when the successor is ready."""
        if not self.retiring:
            self.retiring = True
            self.context.channel.send(Retiring(reason))


def live(worker_class: type[Worker], context: WorkerContext, *, prepared: bool = False) -> int | None:
    """Be a worker, from the fork to the exit code. Called by the arbiter's spawn code, in the child.

    None instead of an exit code: the worker has left, and was told that its process is to go on as a mold.

    The order matters: ``prepare`` before anything of the application is imported, and before the hooks, which may
    import what it patches; privileges are given up after the hook that may still need them.

    ``prepared``: a mold has done its part of this already, and has no privileges left to give up.
    """
    hooks = context.hooks
    _take_signals(context)
    last_words = LastWords(context)
    os.environ["WORKERKIT_SLOT"] = str(context.slot)
    os.environ["WORKERKIT_NUMBER"] = str(context.number)
    show_title(f"worker {context.number}", context.title)
    try:
        if not context.channel.die_with_peer():
            return 0
        if not prepared:
            be_killed_first()
            worker_class.prepare(context.class_options)
        hooks.become(context.identity, context.row, inherited=not prepared)
        if not prepared:
            context.privileges.drop()
        worker = last_words.worker = worker_class(context)
        worker.boot()
        hooks.loaded(first=context.first)
        with context.lifespan() if context.lifespan is not None else contextlib.nullcontext():
            worker.beat()
            context.channel.send(Ready())
            worker.run()
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it was, it is reported once
        failure = describe_failure(f"worker {context.number}", error)
        context.channel.send(failure)
        return failure.exit_code
    finally:
        hooks.leaving()
        context.logs.flush()
    return None if worker.becomes_mold else 0


def describe_failure(what: str, error: Exception) -> BootFailed:
    """Return what the arbiter is told when a process cannot go on."""
    if isinstance(error, WorkerkitError):
        return BootFailed(str(error), getattr(error, "frames", "")[-_FRAMES_LIMIT:], error.exit_code)
    return BootFailed(f"{what} failed: {summary(error)}", user_frames(error)[-_FRAMES_LIMIT:], BootError.exit_code)


def _take_signals(context: WorkerContext) -> None:
    channel, hooks = context.channel, context.hooks
    signal.set_wakeup_fd(-1)
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A log or a peer that goes away is an error to handle, not a death.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def pass_on(number: int) -> None:
        if number in _URGENT_SIGNALS:
            # At once and not when the order comes back, so that the hook sees what the worker is busy with.
            hooks.interrupted()
        channel.send(Signalled(number))

    deliver(_FORWARDED_SIGNALS, pass_on)
