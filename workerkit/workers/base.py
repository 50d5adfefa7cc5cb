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
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from workerkit.errors import BootError, WorkerkitError
from workerkit.frames import summary, user_frames
from workerkit.process.clock import Clock, monotonic
from workerkit.process.fork import die_with_parent
from workerkit.process.messages import BootFailed, Channel, Drain, Listen, Quit, Ready, ReopenLogs, Retiring, Signalled
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import Column, Row
from workerkit.process.signals import deliver

if TYPE_CHECKING:
    from workerkit.net.listener import Listener
    from workerkit.net.protocol import Protocol
    from workerkit.net.upgrade import Upgrade
    from workerkit.telemetry.logs import Logs

API_VERSION = 1

_FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
_IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)
_FRAMES_LIMIT = 16 * 1024
_REQUESTS = Column.REQUESTS  # a plain name: an attribute of an enum costs the request path 0.1 µs


class Order(enum.Enum):
    """What the arbiter may want of a running worker."""

    DRAIN = "drain"
    """Finish what is under way, take nothing new, and return from ``run()``. Others serve the backlog."""
    DRAIN_LAST = "drain last"
    """The same on a full stop: nobody serves the backlog afterwards, so empty it first."""
    QUIT = "quit"
    """Return from ``run()`` at once."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class NoOptions:
    """A worker class that has no settings of its own."""


Lifespan = Callable[[], AbstractContextManager[object]]


class WorkerContext(NamedTuple):
    """All that a worker is given: who it is, what to serve, and whom to tell."""

    pool: str
    slot: int
    """Its scoreboard row: unique among living processes."""
    number: int
    """0 to workers-1; a successor has the number of the worker it replaces, and may overlap with it."""
    generation: int
    workers: int
    """How many workers the pool was meant to have when this one was made."""
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
        self._retire_after = _with_jitter(context.options)
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
            self.protocol.leaving = False

    @abstractmethod
    def run(self) -> None:
        """Work; return once an order to leave has been carried out.

        Called once, in the worker's main thread. An implementation without an event loop of its own calls ``tick``
        at least every ``beat_interval`` seconds; others beat by ``beat`` and read ``orders`` when it is readable.
        """

    def tick(self) -> Order | None:
        """Beat the heart and return the next order, if one has arrived. Never blocks."""
        self.beat()
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
                    found = Order.QUIT
                case Drain(last) if found is not Order.QUIT:
                    if self.protocol is not None:
                        self.protocol.leaving = True
                    found = Order.DRAIN_LAST if last else Order.DRAIN
                case ReopenLogs():
                    self.context.logs.reopen()
                case Listen(shares):
                    self.listen_to(shares)
                case _:
                    continue
        if self.context.channel.ended:
            # The arbiter is gone. Where the kernel does not kill us for that (see die_with_parent), we leave.
            return Order.QUIT
        return found

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

    def retire(self, reason: str) -> None:
        """Ask to be replaced. Go on working: the order to leave comes when the successor is ready."""
        if not self.retiring:
            self.retiring = True
            self.context.channel.send(Retiring(reason))


def _with_jitter(options: WorkerOptions) -> int:
    if not options.max_requests:
        return 1 << 62
    import random  # noqa: PLC0415  only those who set max_requests pay for it

    # Spreading load is no secret: the plain generator will do.
    return options.max_requests + random.randint(0, options.max_requests_jitter)  # noqa: S311


def live(worker_class: type[Worker], context: WorkerContext, parent: int, *, prepared: bool = False) -> int:
    """Be a worker, from the fork to the exit code. Called by the arbiter's spawn code, in the child.

    The order matters: ``prepare`` before anything of the application is imported; the death signal after the last
    change of uid, which would clear it; the look at the parent after that, since one that died earlier sends none.
    """
    _take_signals(context.channel)
    os.environ["WORKERKIT_SLOT"] = str(context.slot)
    os.environ["WORKERKIT_NUMBER"] = str(context.number)
    try:
        if not prepared:
            worker_class.prepare(context.class_options)
        die_with_parent()
        if os.getppid() != parent:
            return 0
        worker = worker_class(context)
        worker.boot()
        with context.lifespan() if context.lifespan is not None else contextlib.nullcontext():
            worker.beat()
            context.channel.send(Ready())
            worker.run()
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it was, it is reported once
        failure = describe_failure(f"worker {context.number}", error)
        context.channel.send(failure)
        return failure.exit_code
    finally:
        context.logs.flush()
    return 0


def describe_failure(what: str, error: Exception) -> BootFailed:
    """Return what the arbiter is told when a process cannot go on."""
    if isinstance(error, WorkerkitError):
        return BootFailed(str(error), getattr(error, "frames", "")[-_FRAMES_LIMIT:], error.exit_code)
    return BootFailed(f"{what} failed: {summary(error)}", user_frames(error)[-_FRAMES_LIMIT:], BootError.exit_code)


def _take_signals(channel: Channel) -> None:
    signal.set_wakeup_fd(-1)
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A log or a peer that goes away is an error to handle, not a death.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    deliver(_FORWARDED_SIGNALS, lambda number: channel.send(Signalled(number)))
