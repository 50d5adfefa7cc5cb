"""Keeps every pool as its crew wants it: plans, performs, hears what the processes say, judges their deaths.

What concerns the whole server (a worker is ready, a new release does not boot) is handed to the arbiter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from workerkit.arbiter.children import Children
from workerkit.arbiter.crew import Crew
from workerkit.arbiter.deaths import Death, Meaning, meaning
from workerkit.arbiter.orders import WORKER_ORDERS, Order
from workerkit.arbiter.policy import Action, Kill, Spawn, SpawnMold, Stop, plan
from workerkit.arbiter.refork import Reforks
from workerkit.arbiter.table import DEFAULT_POOL, Role, WorkerHandle
from workerkit.errors import BootError
from workerkit.process.loop import EventLoop
from workerkit.process.messages import (
    BecomeMold,
    BootFailed,
    CertificatesRenewed,
    Drain,
    Listen,
    Message,
    Quit,
    Ready,
    ReopenLogs,
    Retiring,
    Signalled,
    Unfit,
)
from workerkit.process.states import State
from workerkit.records import Record
from workerkit.telemetry.logs import Logs

_QUICK = 1.0


class Reports(Record):
    """What the arbiter is called with, in the loop's thread."""

    ready: Callable[[Crew, WorkerHandle], object]
    """A worker has become ready."""
    gone: Callable[[WorkerHandle], object]
    """A process has ended; what that means is told next."""
    failed: Callable[[Crew, Death], object]
    """The wanted release does not boot, and there is one to go back to."""
    tried: Callable[[WorkerHandle, str], object]
    """A worker has tried new certificates."""
    forget: Callable[[], object]
    """This is a child: close what is the arbiter's."""
    next_generation: Callable[[], int]
    """Another generation is to be made; returns its number."""


class Keeper:
    """The engine of an arbiter.

    Args:
        loop: The arbiter's.
        logs: The arbiter's, and what children inherit.
        has_successor: Whether another arbiter serves what waits to be accepted.
        reports: Whom to tell.
    """

    def __init__(self, loop: EventLoop, logs: Logs, has_successor: Callable[[], bool], reports: Reports) -> None:
        self.crews: dict[str, Crew] = {}
        self.children = Children(loop, logs, self._on_message, self._on_gone, reports.forget)
        self.reforks = Reforks(loop, self.children, self.crews, logs.error, reports.next_generation)
        self.stopping = False
        """Whether everybody is to leave."""
        self.quick = False
        """Whether nobody is waited for."""
        self.fatal: BootError | None = None
        """Why everything ends: nothing has ever booted, and nothing will."""
        self._loop = loop
        self._logs = logs
        self._log = logs.error
        self._has_successor = has_successor
        self._reports = reports

    def is_complete(self, pools: Iterable[str]) -> bool:
        """Tell whether as many workers of the wanted releases are ready as are wanted."""
        crews = [self.crews[name] for name in pools]
        return all(crew.is_complete(self.children.of(crew)) for crew in crews)

    def wanted_workers(self) -> int:
        """Return how many workers are wanted in all."""
        return sum(crew.workers for crew in self.crews.values())

    # -- plan and perform ----------------------------------------------------------------------------------------

    def act(self) -> float | None:
        """Do what is to be done now; return when to look again at the latest (None: when something happens)."""
        now = self._loop.clock()
        self.reforks.go_on()
        looks: list[float] = []
        for crew in list(self.crews.values()):
            handles = self.children.of(crew)
            wanted = crew.wanted().replace(workers=0) if self.stopping else crew.wanted()
            made = plan(handles, wanted, crew.spawn_at, self._loop.awake_since, now)
            for action in made.actions:
                self._perform(action, crew, now)
            for slot, shares in crew.divide(self.children.of(crew)).items():
                self.children.tell(slot, Listen(shares))
            if made.next_look is not None:
                looks.append(made.next_look)
            if made.actions:
                # What was done may have deadlines of its own.
                looks.append(now)
        return min(looks, default=None)

    def _perform(self, action: Action, crew: Crew, now: float) -> None:
        match action:
            case Spawn(number):
                self._fork(crew, lambda: self.children.make_worker(crew, number))
            case SpawnMold():
                self._fork(crew, lambda: self.children.make_mold(crew))
            case Stop(slot):
                self._order_stop(self.children.table[slot], now)
            case Kill(slot, reason):
                if not self.quick:
                    self._log.critical("Killing %s: %s", self.children.table[slot], reason)
                self.children.kill(slot, reason, may_speak=not self.quick)

    def _fork(self, crew: Crew, make: Callable[[], None]) -> None:
        if crew.spawn_at > self._loop.clock():
            return  # another one of this plan has failed just now
        try:
            make()
        except OSError as error:
            self._fork_failed(crew, str(error))
        else:
            if not crew.release.pool.preload:
                self._fork_succeeded(crew)

    def _fork_failed(self, crew: Crew, why: str) -> None:
        if not crew.fork_retry.failures:
            self._log.error("Cannot fork%s: %s; trying again, the other workers go on", crew, why)
        crew.fork_retry.failed(self._loop.clock())

    def _fork_succeeded(self, crew: Crew) -> None:
        if crew.fork_retry.failures:
            self._log.info("Forking works again%s, after %d attempts", crew, crew.fork_retry.failures)
        crew.fork_retry.succeeded()

    def _order_stop(self, handle: WorkerHandle, now: float) -> None:
        crew = self.crews[handle.pool]
        quick = self.quick or handle.role is Role.MOLD
        order = Quit() if quick else self._drain_order(crew, handle)
        # One that boots may be ready already, and serve, before we have heard of it: then it has its time after all.
        soon = quick or handle.state is State.BOOTING
        patience = _QUICK if soon else crew.release_of(handle).options.graceful_timeout
        if not quick and self.reforks.is_chosen(handle):
            self.children.tell(handle.slot, BecomeMold())
        self.children.order_stop(handle.slot, order, now + patience)

    def _drain_order(self, crew: Crew, handle: WorkerHandle) -> Drain:
        if self._has_successor():
            return Drain(last=False, hand_over=crew.takes_over(handle))
        last = self.stopping or crew.accepts_alone(handle)
        return Drain(last=last, hand_over=not self.stopping and crew.takes_over(handle))

    def stop(self) -> None:
        """Have everybody leave. Those who do already are told that nobody will serve, or take anything, after them."""
        self.stopping = True
        self.reforks.abandon()
        for handle in self.children:
            if handle.state is State.DRAINING and handle.role is Role.WORKER:
                self.children.tell(handle.slot, self._drain_order(self.crews[handle.pool], handle))

    def hurry(self) -> None:
        """Tell those to leave at once who were told to leave already."""
        for handle in self.children:
            self._order_stop(handle, self._loop.clock())

    # -- messages ------------------------------------------------------------------------------------------------

    def _on_message(self, handle: WorkerHandle, message: Message) -> None:
        match message:
            case Ready():
                self._on_ready(handle)
            case Retiring(reason):
                self._log.info("%s retires after %s", str(handle).capitalize(), reason)
                self.children.retire(handle, reason)
            case CertificatesRenewed(error):
                self._reports.tried(handle, error)
            case Unfit(reason):
                self.reforks.refused(handle, reason)
            case Signalled(number):
                self._on_worker_signalled(handle, number)
            case _:
                self._log.warning("%s sent what only an arbiter sends: %s", handle, message)

    def _on_ready(self, handle: WorkerHandle) -> None:
        crew = self.crews[handle.pool]
        if handle.ready_at is not None:
            self._on_mold_of_worker(handle)
            return
        self._fork_succeeded(crew)
        may_serve = self.children.booted(handle)
        if handle.role is not Role.WORKER:
            return
        if not may_serve:
            if not self.quick:
                self._order_stop(handle, self._loop.clock())
            return
        crew.begun.add(handle.generation)
        if crew.proven is None:
            crew.settle()
        self._announce(crew)
        self._log.info("Worker ready (pid: %d, slot: %d)%s", handle.pid, handle.slot, crew)
        self._reports.ready(crew, handle)

    def _on_mold_of_worker(self, handle: WorkerHandle) -> None:
        """A worker has left and is ready once more, as a mold."""
        if not self.reforks.is_chosen(handle):
            # A reload, or the end, came first.
            self.children.tell(handle.slot, Quit())
            return
        self._reports.gone(handle)
        self.reforks.begin_with(handle)

    def _announce(self, crew: Crew) -> None:
        """Say where a pool listens, once somebody answers there."""
        for listener in crew.release.listeners:
            if not listener.share and listener.url not in crew.announced:
                crew.announced.add(listener.url)
                self._log.info("Listening at: %s (pid: %d)", listener.url, os.getpid())

    def _on_worker_signalled(self, handle: WorkerHandle, number: int) -> None:
        """Somebody signalled a worker directly: what gunicorn's worker would do, by the usual way."""
        now = self._loop.clock()
        match WORKER_ORDERS.get(number):
            case Order.REOPEN_LOGS:
                self.children.tell(handle.slot, ReopenLogs())
            case Order.STOP if handle.state is State.READY:
                self.children.retire(handle, "SIGTERM")
                self._order_stop(handle, now)
            case _:
                if not self.stopping:
                    self.children.order_stop(handle.slot, Quit(), now + _QUICK)

    # -- deaths --------------------------------------------------------------------------------------------------

    def _on_gone(self, death: Death) -> None:
        handle = death.handle
        crew = self.crews[handle.pool]
        # It may have been woken for a connection that it never took.
        crew.nudge.give()
        self._reports.gone(handle)
        self.reforks.gone(handle, death.how)
        others = any(other.pool == handle.pool for other in self.children)
        proven = crew.proven.generation if crew.proven is not None else None
        what = meaning(death, crew.release.generation, proven, others=others)
        if self.stopping and what is not Meaning.LEFT:
            if death.failure is not None and self.fatal is None:
                self._log_death(death)
            return
        match what:
            case Meaning.LEFT:
                self._log.info("%s left", str(handle).capitalize())
            case Meaning.OBSOLETE:
                self._log.info("%s %s", str(handle).capitalize(), death.how)
            case Meaning.NOT_FORKED:
                self._fork_failed(crew, death.how)
            case Meaning.HOPELESS:
                self._halt(crew, death)
            case Meaning.GIVE_UP:
                self._log_death(death)
                if not self.reforks.failed(crew, "a new worker does not boot"):
                    self._reports.failed(crew, death)
            case Meaning.CRASHED:
                self._log_death(death)
                if handle.generation == crew.release.generation or handle.role is Role.MOLD:
                    crew.budget.death(self._loop.clock())

    def _log_death(self, death: Death) -> None:
        who = str(death.handle).capitalize()
        if death.failure is None:
            self._log.error("%s %s", who, death.how)
        else:
            what = "could not boot" if death.handle.ready_at is None else "ended"
            frames = death.failure.frames.rstrip()
            self._log.error("%s %s: %s%s", who, what, death.failure.reason, f"\n{frames}" if frames else "")

    def _halt(self, crew: Crew, death: Death) -> None:
        """End: the same would happen to the next worker. It is told once, by whoever gets the exception."""
        if death.failure is None:
            self._log_death(death)
        failure = death.failure or BootFailed("no worker became ready", "", BootError.exit_code)
        self.stopping = self.quick = True
        reason = failure.reason if crew.name == DEFAULT_POOL else f"pool {crew.name}: {failure.reason}"
        self.fatal = BootError(reason, failure.frames)
        self.fatal.exit_code = failure.exit_code
        if not self._logs.on_stderr:
            # Whoever called us prints the exception; the log file would end without a reason.
            self._log.critical("No worker could boot: %s\n%s", reason, failure.frames)
