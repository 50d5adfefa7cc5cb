"""What a worker class and a protocol know of each other: this page, and nothing else.

The worker owns *when*: it accepts, polls, keeps deadlines, and runs jobs wherever its class may block. The protocol
owns *what*: it turns bytes into jobs and jobs' results into bytes. So any protocol runs on any worker class whose
``jobs`` name the protocol's ``job``.
"""

from __future__ import annotations

import enum
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from workerkit.errors import ConfigError
from workerkit.net.job_deadline import JobDeadlines
from workerkit.net.stream import Stream
from workerkit.net.upgrade import Upgrade
from workerkit.records import Record

Job = Callable[[], object]


class Next(enum.IntEnum):
    """What a connection asks its worker for."""

    IDLE = 0
    """Between messages, with no byte of the next one: may be closed or handed over at will."""
    READ = 1
    """Inside a message: call again when there is something to read."""
    WRITE = 2
    """Call again when something can be written."""
    AGAIN = 3
    """More is buffered already: call again, other connections first."""
    RUN = 4
    """A job is ready: ``take()`` it, run it where this class may block, and call again."""
    CLOSE = 5
    """Over: close the stream."""


class Connection(ABC):
    """One conversation. Made, driven and closed in the worker, by one thread or greenlet at a time."""

    __slots__ = ("deadline", "interest", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.deadline: float | None = None
        """When what was last asked for must have happened (monotonic seconds), or None. Read by the worker."""
        self.interest = 0
        """What the worker polls for; the protocol leaves it alone."""

    @abstractmethod
    def advance(self, now: float) -> Next:
        """Go on as far as possible. Called when what was last asked for has happened.

        Never blocks, never runs user code, and raises nothing: a broken peer is ``Next.CLOSE``.
        """

    @abstractmethod
    def take(self) -> Job:
        """Return the job that ``Next.RUN`` announced. Called once for each RUN."""

    def expire(self, now: float) -> Next:  # noqa: ARG002  for those who need the time
        """Go on after ``deadline`` has passed; a protocol with an answer for that (HTTP's 408) sends it here."""
        return Next.CLOSE

    def drain(self, now: float) -> Next:  # noqa: ARG002  for those who need the time
        """Finish this exchange and start no other: the worker is leaving, or busy.

        While the protocol's ``hands_over`` is set, a connection that ``export`` will let go need not end: it goes on,
        and changes hands when it is idle. Otherwise it is drained once more.

        May be called again, and by another thread while a job of this connection runs; what it answers is not
        used then. So it sets a flag, tells the job, or shuts the reading side of the stream, and no more.
        """
        return Next.CLOSE

    def export(self) -> bytes | None:
        """Return what another worker needs to go on with this connection; None: it cannot go now, or never.

        It can while it waits with ``Next.IDLE`` and keeps no byte of either side. ``Protocol.adopt`` gets the answer,
        perhaps in another release of the same protocol.
        """
        return None

    def describe_job(self, now: float) -> str | None:  # noqa: ARG002  for those who have something to say
        """Return what runs, or waits to be run, for the log of a worker in trouble; None: nothing. In any thread."""
        return None

    def close(self) -> None:  # noqa: B027  most have nothing to let go of
        """Let go of everything but the stream, which the worker closes. Called once, whatever the end was."""


class Service(Record):
    """What a protocol is made of: what to serve, and what is known of the worker that will."""

    served: object
    """What to serve, loaded; None: nothing was named."""
    name: str
    """What messages call it, such as ``module:attribute``."""
    worker_class: str
    """The worker class, as the settings name it."""
    workers: int
    multithread: bool
    """Whether several jobs may run at the same time in one process."""
    options: Callable[[type[Any]], Any]
    """Returns an instance of one of the protocol's ``Options``, filled from the settings."""
    log: logging.Logger
    access: Any
    """The access log, None if there is none."""
    upgrade_environ: Callable[[dict[str, Any], Upgrade], dict[str, Any]] | None = None
    """``Worker.upgrade_environ`` of the worker class."""
    tls: bool = False
    """Whether all its connections are TLS."""
    hooks: Any = None
    """The hooks around each request (``process.hooks.Hooks``); None: there are none, and nothing need look for them."""
    autoscaled: bool = False
    """Whether the load decides how many workers there are, and ``Protocol.on_late_job`` is to be called."""


class Protocol(ABC):
    """One per worker, made in the child by the factory that assembly passed on.

    A class that is registered in the entry-point group ``workerkit.protocols``, or named as ``module:Class``, can be
    chosen with ``--protocol``.
    """

    job = "call"
    """What its jobs are: ``call`` (ends by itself), ``dialogue`` (lives as long as its connection), ``coroutine``."""
    scheme = "tcp"
    """How addresses begin that it is served at: for the log."""
    tls_scheme = "tls"
    """The same, when it is served by TLS."""
    alpn: ClassVar[tuple[str, ...]] = ()
    """What TLS calls it, the best first (RFC 7301); empty: it is not negotiated."""
    Options: ClassVar[tuple[type, ...]] = ()
    """Frozen dataclasses; their fields become settings and flags where this protocol is named."""
    leaving = False
    """Whether the worker has been ordered to leave; set by ``Worker.receive_order``, before connections are drained."""
    hands_over = False
    """Whether the worker is about to leave and has others take its idle connections over; set by the worker."""

    job_deadlines: JobDeadlines | None = None
    """When its jobs must have ended; the worker keeps to them. None: they take as long as they take."""
    jobs_shed = 0
    """How many jobs were turned away, since they had waited for too long; the worker shows it on the scoreboard."""
    on_late_job: Callable[[], object] | None = None
    """To be called, in any thread, where a job begins that has waited for long; set by the worker."""

    @classmethod
    def serving(cls, service: Service) -> Self:
        """Return the protocol that serves what was named.

        Called once, in the process that loads what is served: the worker or, with --preload, the mold. This one is
        for protocols that need nothing more to be served; others override it.

        Raises:
            ConfigError: This cannot be served.
        """
        if service.served is not None:
            raise ConfigError(f"the protocol {cls.__name__} takes nothing to serve, got {service.name}")
        return cls()

    @abstractmethod
    def connect(self, stream: Stream) -> Connection:
        """Return the conversation for a stream that was just accepted."""

    def adopt(self, stream: Stream, state: bytes) -> Connection:  # noqa: ARG002  for those who need it
        """Return the conversation for a stream that another worker has handed over.

        Args:
            stream: As that worker had it, with the same ``peer`` and ``local``.
            state: What ``Connection.export`` returned there.
        """
        return self.connect(stream)

    def plaintext_refusal(self) -> bytes:
        """Return what a client is told that does not speak TLS where this is served by TLS; empty: nothing."""
        return b""
