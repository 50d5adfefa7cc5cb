"""The prefork arbiter: one loop over one queue of events.

    wait      for a signal, a worker's message, a death, a caller in another thread, or the next deadline
    apply     each of them to the table
    plan      what is to be done now (``policy``, pure)
    perform   it

Nothing else happens in this process: it imports no application, parses no byte of a client, starts no thread.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from workerkit.arbiter.autoscaler import Autoscaler
from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool, Renew, Renewed
from workerkit.arbiter.crew import Crew, Release
from workerkit.arbiter.deaths import Death
from workerkit.arbiter.keeper import Keeper, Reports
from workerkit.arbiter.listening import ListeningSockets
from workerkit.arbiter.orders import ARBITER_ORDERS, Order, has_terminal
from workerkit.arbiter.reload import Reload
from workerkit.arbiter.table import WorkerHandle
from workerkit.arbiter.upgrade import Succession
from workerkit.errors import WorkerkitError
from workerkit.frames import summary
from workerkit.net.handover import Handover
from workerkit.process.attachment import Attachment, Done, PoolStatus, WorkerStatus
from workerkit.process.clock import Clock, monotonic
from workerkit.process.fork import adopt_orphans
from workerkit.process.hooks import Hooks
from workerkit.process.loop import EventLoop
from workerkit.process.messages import ReopenLogs
from workerkit.process.nudge import Nudge
from workerkit.process.signals import SignalQueue, in_main_thread
from workerkit.process.title import show_title
from workerkit.telemetry.logs import Logs

if TYPE_CHECKING:
    from workerkit.arbiter.certificates import CertificateWatch

_UPGRADE_MARGIN = 10.0  # a new arbiter starts an interpreter before it boots workers
_NUDGE = "nudge/"
_HANDOVER = "handover/"
_BACKLOG_FOR = 1.0
_LOOK_AT_BACKLOG = 0.1


class PreforkArbiter(Arbiter):
    """Forks workers that share the listeners; the default."""

    def __init__(
        self,
        pools: Sequence[Pool],
        options: ArbiterOptions,
        logs: Logs,
        *,
        signals: bool = False,
        renew: Renew | None = None,
        attachments: Sequence[Attachment] = (),
        clock: Clock = monotonic,
    ) -> None:
        super().__init__(pools, options, logs, signals=signals, renew=renew, attachments=attachments)
        self._loop = EventLoop(clock)
        self._sockets = ListeningSockets()
        self._succession = Succession(options.pidfile, self._loop, self.log)
        reports = Reports(
            ready=self._on_ready,
            gone=self._on_gone,
            failed=self._give_up_reload,
            tried=self._on_certificates_tried,
            forget=self._forget_in_child,
            next_generation=self._next_generation,
        )
        self._keeper = Keeper(self._loop, logs, lambda: self._succession.has_successor, reports)
        self._crews, self._children = self._keeper.crews, self._keeper.children
        self._certificates: CertificateWatch | None = None
        self._autoscaler = Autoscaler(self._loop, self._children, self._crews.values, self.log, self._tell_wanted)
        self._signal_queue: SignalQueue | None = None
        self._attached: list[Attachment] = []
        self._generation = 1
        self._reload: Reload | None = None
        self._adopts = os.getpid() == 1
        self._started = False
        self._all_were_ready = False

    # -- the caller's side ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the listeners and the pid file; see ``Arbiter.start``."""
        self._hooks.starting(sum(pool.workers for pool in self.pools.values()))
        inheritance = self._succession.begin(os.environ)
        try:
            self._sockets.inherited = inheritance.sockets
            self.pools = {pool.name: pool for pool in self._with_certificates(tuple(self.pools.values()))}
            self.listeners = self._sockets.of(self.pools.values())
            for number, pool in enumerate(self.pools.values(), 1):
                release = Release(self._generation, pool, self.listeners[pool.name], self.options)
                nudge = Nudge(*inheritance.take(_NUDGE + pool.name))
                handover = Handover.from_fds(inheritance.take(_HANDOVER + pool.name))
                self._crews[pool.name] = Crew(number, release, nudge=nudge, handover=handover)
            inheritance.close_rest()
            if unserved := inheritance.sockets.unserved:
                self.log.warning("No --bind names what systemd has passed: %s; clients wait there in vain", unserved)
            self._loop.open()
            if self.signals:
                self._signal_queue = SignalQueue(ARBITER_ORDERS)
                self._loop.watch(self._signal_queue, self._read_signals)
            self._adopt_orphans(self.pools.values())
            if self._certificates is not None:
                self._certificates.begin()
            self._autoscaler.begin()
            self._keeper.reforks.begin()
            for attachment in self.attachments:
                attachment.attach(self, self._loop)
                self._attached.append(attachment)
            self._hooks.listening(self._urls())
        except BaseException:
            self._close()
            raise
        if self.signals:
            # The process is ours to name; a program that embeds us keeps its own.
            show_title("arbiter", ", ".join(dict.fromkeys(pool.title for pool in self.pools.values())))
        self._started = True

    def run(self) -> int:
        """Serve until stopped; see ``Arbiter.run``."""
        if not self._started:
            self.start()
        self.log.debug("Starting workerkit (pid: %d)", self.pid)
        if self._signal_queue is None and in_main_thread():
            # The caller's handlers stay; but one that is due when the selector has just begun to wait must wake it.
            self._signal_queue = SignalQueue(())
            self._loop.watch(self._signal_queue, self._signal_queue.receive)
        interrupted: KeyboardInterrupt | None = None
        try:
            while not (self._keeper.stopping and not len(self._children)):
                try:
                    self._turn()
                except KeyboardInterrupt as error:
                    # Without signal handlers of ours, Ctrl-C arrives like this.
                    interrupted = error
                    self._begin_stop(quick=True, why="interrupted")
        finally:
            self._hooks.exiting()
            self._close()
        if self._keeper.fatal is not None:
            raise self._keeper.fatal
        self.log.info("Stopped")
        if interrupted is not None:
            raise interrupted
        return 0

    def stop(self, *, graceful: bool = True) -> None:
        """Make ``run`` return; see ``Arbiter.stop``."""
        self._loop.call_soon(lambda: self._begin_stop(quick=not graceful, why="asked to stop"))

    def reload(self, done: Done | None = None) -> None:
        """Replace every worker; see ``Arbiter.reload``."""
        self._loop.call_soon(lambda: self._begin_reload(done))

    def reopen_logs(self) -> None:
        """Open the log files anew; see ``Arbiter.reopen_logs``."""
        self._loop.call_soon(self._reopen_logs)

    @property
    def reloading(self) -> bool:
        """Whether a new generation is being brought up."""
        return self._reload is not None

    def status(self) -> list[WorkerStatus]:
        """Return the workers; see ``Arbiter.status``."""
        return self._children.status()

    def pool_status(self) -> list[PoolStatus]:
        """Return the pools; see ``Arbiter.pool_status``."""
        return [crew.status(self._children.of(crew)) for crew in self._crews.values()]

    def _turn(self) -> None:
        """Do what is to be done now, then wait for what comes next."""
        look = self._keeper.act()
        if not self._succession.entered and not self._keeper.stopping and self._keeper.is_complete(self._crews):
            # At full strength, and not before: whoever leaves to us leaves no client waiting.
            self._succession.enter()
            self._tell_ready()
        if self._reload is not None and self._keeper.is_complete(pool.name for pool in self._reload.renewed.pools):
            self._end_reload(None)
            look = self._loop.clock()
        if not (self._keeper.stopping and not len(self._children)):
            self._loop.turn(look)

    # -- signals -------------------------------------------------------------------------------------------------

    def _read_signals(self) -> None:
        assert self._signal_queue is not None  # noqa: S101  it is what became readable
        for number in self._signal_queue.receive():
            if number in ARBITER_ORDERS:
                self._loop.call_soon(lambda number=number: self._on_signal(number))  # type: ignore[misc]  # a bound default

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        match ARBITER_ORDERS[number]:
            case Order.REAP:
                if self._adopts:
                    self._children.reap_strangers(self._succession.reaped)
            case Order.STOP:
                self._begin_stop(quick=False, why=name)
            case Order.QUIT:
                self._begin_stop(quick=True, why=name)
            case Order.RELOAD:
                self._begin_reload(None)
            case Order.MORE_WORKERS:
                self._scale(+1, name)
            case Order.FEWER_WORKERS:
                self._scale(-1, name)
            case Order.REOPEN_LOGS:
                self._reopen_logs()
            case Order.STOP_WORKERS:
                self._stop_workers()
            case Order.UPGRADE:
                self._begin_upgrade()

    def _scale(self, step: int, why: str) -> None:
        for crew in self._crews.values():
            before = crew.workers
            crew.scale(step)
            self.log.info("%s: %d workers instead of %d%s", why, crew.workers, before, crew)
        self._tell_wanted()

    def _stop_workers(self) -> None:
        """WINCH: a daemon's way to stop the workers and keep the arbiter. A resized terminal means nothing."""
        if has_terminal():
            self.log.debug("SIGWINCH ignored: there is a terminal")
            return
        self.log.info("SIGWINCH: stopping the workers; SIGHUP brings them back")
        for crew in self._crews.values():
            crew.workers = 0
        self._hooks.wants(0)

    def _reopen_logs(self) -> None:
        self.logs.reopen()
        self._children.tell_all(ReopenLogs())
        self.log.info("Logs reopened")

    # -- what the keeper reports ---------------------------------------------------------------------------------

    def _on_ready(self, crew: Crew, handle: WorkerHandle) -> None:
        self._hooks.booted(handle.slot)
        if self._certificates is not None:
            self._certificates.ready(crew, handle)
        self._tell_ready()

    def _tell_ready(self) -> None:
        """Tell the attachments, once, that every pool serves; in an upgrade, when there is no way back any more."""
        for_good = self._succession.entered or not self._succession.has_predecessor
        if not self._all_were_ready and for_good and all(crew.proven is not None for crew in self._crews.values()):
            self._all_were_ready = True
            for attachment in self._attached:
                attachment.on_ready()

    def _on_certificates_tried(self, handle: WorkerHandle, error: str) -> None:
        if self._certificates is not None:
            self._certificates.answered(self._crews[handle.pool], handle, error)

    def _on_gone(self, handle: WorkerHandle) -> None:
        self._hooks.exited(handle.slot)
        self._loop.call_soon(self._after_departures)

    def _after_departures(self) -> None:
        """Drop pools that are gone from the settings, and listeners that nobody needs any more."""
        for crew in list(self._crews.values()):
            if crew.is_dismissed and not self._children.of(crew):
                crew.close()
                del self._crews[crew.name]
        used = [crew.listeners_in_use(self._children.of(crew)) for crew in self._crews.values()]
        needed = (listener for listeners in used for listener in listeners)
        self._sockets.keep(needed, self._succession.shared_files)

    # -- reloading -----------------------------------------------------------------------------------------------

    def _begin_reload(self, done: Done | None) -> None:
        if self._keeper.stopping:
            if done is not None:
                done("the server stops")
            return
        for attachment in self._attached:
            attachment.on_reloading()
        try:
            renewed = self.renew() if self.renew is not None else Renewed(tuple(self.pools.values()), self.options)
            renewed = renewed.replace(pools=self._with_certificates(renewed.pools))
            listeners = self._sockets.of(renewed.pools)
        except Exception as error:  # noqa: BLE001  whatever is wrong with the new settings, the old ones serve
            reason = str(error) if isinstance(error, WorkerkitError) else summary(error)
            self.log.error("Reload refused, everything stays as it is: %s", reason)
            self._tell_reloaded(done, reason)
            return
        if self._reload is not None:
            self._tell_reloaded(self._reload.done, "superseded by another reload")
        hooks = self._hooks
        self._keeper.reforks.abandon()
        self._reload = Reload.begin(self._crews, renewed, listeners, self._next_generation(), done)
        self._hooks.succeed(hooks, self._keeper.wanted_workers(), self._urls())
        self._adopt_orphans(renewed.pools)
        if self._certificates is not None:
            self._certificates.begin()
        self._autoscaler.begin()
        self._keeper.reforks.begin()
        self.log.info("Reloading: new workers replace the old ones as they become ready")

    def _next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def _give_up_reload(self, crew: Crew, death: Death) -> None:
        self.log.error("Reload given up%s: the new workers do not boot; the old ones go on serving", crew)
        self._end_reload(death.failure.reason if death.failure is not None else f"{death.handle} {death.how}")

    def _end_reload(self, error: str | None) -> None:
        reload, self._reload = self._reload, None
        assert reload is not None  # noqa: S101  it is what ends
        if error is None:
            reload.commit()
            self.pools = {pool.name: pool for pool in reload.renewed.pools}
            self.options = reload.renewed.options
            self.listeners = {crew.name: crew.release.listeners for crew in self._crews.values()}
            self.log.info("Reloaded: the new workers serve")
        else:
            reload.give_up()
        self._tell_wanted()
        self._after_departures()
        self._tell_reloaded(reload.done, error)

    def _tell_reloaded(self, done: Done | None, error: str | None) -> None:
        if done is not None:
            done(error)
        for attachment in self._attached:
            attachment.on_reloaded(error)

    # -- upgrading -----------------------------------------------------------------------------------------------

    def _begin_upgrade(self) -> None:
        if self._keeper.stopping:
            self.log.info("No upgrade: this arbiter stops")
            return
        boot = self.options.boot_timeout
        self._succession.start_successor(
            self.listeners,
            self._shared_fds(),
            boot + _UPGRADE_MARGIN if boot else None,
            self._leave_to_successor,
            self._hooks.before_exec,
        )

    def _shared_fds(self) -> dict[str, Sequence[int]]:
        """Return what the workers of two arbiters share besides listeners, under the names that ``start`` takes."""
        crews = self._crews.values()
        nudges = {_NUDGE + crew.name: (crew.nudge.fileno(),) for crew in crews}
        return nudges | {_HANDOVER + crew.name: crew.handover.fds() for crew in crews if crew.handover is not None}

    def _leave_to_successor(self, pid: int) -> None:
        self.log.info("The new arbiter is ready (pid: %d), and this one leaves", pid)
        for attachment in self._attached:
            attachment.on_succeeded(pid)
        self._begin_stop(quick=False, why="upgraded")

    # -- hooks ---------------------------------------------------------------------------------------------------

    @property
    def _hooks(self) -> Hooks:
        """Those of the release that is wanted."""
        pools = self.pools.values() if self._reload is None else self._reload.renewed.pools
        return next(iter(pools)).hooks

    def _tell_wanted(self) -> None:
        self._hooks.wants(self._keeper.wanted_workers())

    def _urls(self) -> list[str]:
        listeners = [listener for crew in self._crews.values() for listener in crew.release.listeners]
        return [listener.url for listener in listeners if not listener.share]

    # -- the end -------------------------------------------------------------------------------------------------

    def _begin_stop(self, *, quick: bool, why: str) -> None:
        if self._keeper.stopping and (self._keeper.quick or not quick):
            return
        again = self._keeper.stopping
        self._succession.cancel()
        self._keeper.quick = self._keeper.quick or quick
        if not again:
            self._keeper.stop()
        self.log.info("Stopping %s (%s)", "quickly" if quick else "gracefully", why)
        if again:
            # The plan has ordered everybody to stop already; now it is urgent.
            self._keeper.hurry()
            return
        if not quick and self._succession.is_alone:
            self._sockets.shut_out()
            self._loop.call_at(self._loop.clock() + _BACKLOG_FOR, self._refuse)
        for attachment in self._attached:
            attachment.on_stopping()
        if self._reload is not None:
            self._end_reload("the server stops")

    def _refuse(self) -> None:
        """Refuse whoever comes while the last requests are answered, once nobody waits any more."""
        if not self._sockets.refuse():
            self._loop.call_at(self._loop.clock() + _LOOK_AT_BACKLOG, self._refuse)

    def _forget_in_child(self) -> None:
        """Close, in a child, what is the arbiter's; a written list, so that nothing is kept by accident."""
        self._loop.forget()
        if self._signal_queue is not None:
            self._signal_queue.forget()
        self._succession.forget()
        for attachment in self._attached:
            attachment.forget()

    def _with_certificates(self, pools: Sequence[Pool]) -> Sequence[Pool]:
        """Return the pools with what their certificate files hold now; without TLS nothing is loaded for that."""
        if all(pool.tls is None for pool in pools):
            return pools
        from workerkit.arbiter.certificates import CertificateWatch, read_certificates  # noqa: PLC0415  see above

        if self._certificates is None:
            self._certificates = CertificateWatch(self._loop, self.log, self._crews, self._children)
        return read_certificates(pools)

    def _adopt_orphans(self, pools: Iterable[Pool]) -> None:
        if any(pool.preload for pool in pools) and not self._adopts:
            self._adopts = adopt_orphans()

    def _close(self) -> None:
        self._children.kill_all()
        for attachment in self._attached:
            attachment.detach()
        self._attached.clear()
        self._sockets.close(self._succession.shared_files)
        self._succession.close()
        self._loop.close()
        for crew in self._crews.values():
            crew.close()
        self._started = False
        self.logs.flush()
        # Last: a signal that comes after this does what it did before us.
        if self._signal_queue is not None:
            self._signal_queue.close()
