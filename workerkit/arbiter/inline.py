"""The inline arbiter: one worker, in this very process (``--workers 0``), for debuggers and profilers.

Breakpoints stop where they are set and no heartbeat kills anybody. TERM and INT drain; signals that are about other
processes say that there are none.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from types import FrameType

from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool, Renew
from workerkit.arbiter.pidfile import PidFile
from workerkit.errors import ConfigError
from workerkit.net.inherited import InheritedSockets, take_passed
from workerkit.net.listener import open_listeners, with_passed
from workerkit.process.attachment import Attachment, Done, PoolStatus, WorkerStatus
from workerkit.process.messages import Channel, Drain, Quit, ReopenLogs
from workerkit.process.nudge import Nudge
from workerkit.process.privileges import UNCHANGED
from workerkit.process.scoreboard import Column, Scoreboard
from workerkit.telemetry.logs import Logs
from workerkit.workers.base import WorkerContext

_NO_RELOAD = "cannot reload without workers"
_ABOUT_OTHERS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2)


class InlineArbiter(Arbiter):
    """Serves without forking."""

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
        super().__init__(pools, options, logs, signals=signals, renew=renew, attachments=attachments)
        if len(self.pools) != 1:
            raise ConfigError("serving without workers takes exactly one pool; run several with --workers 1 or more")
        (self._pool,) = self.pools.values()
        if self._pool.privileges != UNCHANGED:
            raise ConfigError("user, group and umask are for worker processes, and workers is 0: there are none")
        self._ours, self._theirs = Channel.pair()
        self._scoreboard = Scoreboard(rows=1)
        self._started = False
        self._handlers_before: dict[int, signal._HANDLER] = {}
        self._pidfile = PidFile(options.pidfile) if options.pidfile else None

    def start(self) -> None:
        """Open the listeners; see ``Arbiter.start``."""
        pool = self._pool
        pool.hooks.starting(1)
        try:
            if self._pidfile is not None:
                self._pidfile.write()
            if pool.tls is not None:
                pool.tls.read()
            inherited = InheritedSockets(passed=take_passed(os.environ))
            self.listeners[pool.name] = ()
            if pool.listen is not None:
                options = with_passed(pool.listen, inherited)
                self.listeners[pool.name] = open_listeners(options, pool.scheme, inherited=inherited)
            pool.hooks.listening([listener.url for listener in self.listeners[pool.name]])
            if self.attachments:
                # The worker has a loop of its own, whatever class it is of: there is none of ours to attach to.
                titles = " and ".join(attachment.title for attachment in self.attachments)
                self.log.warning("Without workers there is no effect of %s; run with --workers 1 or more", titles)
        except BaseException:
            self._close()
            raise
        if self.signals:
            self._take_signals()
        self._started = True

    def run(self) -> int:
        """Be the worker; see ``Arbiter.run``."""
        if not self._started:
            self.start()
        pool = self._pool
        context, hooks = self._context(), pool.hooks
        try:
            hooks.before_fork(context.identity, context.row)
            pool.worker_class.prepare(pool.class_options)
            hooks.become(context.identity, context.row, inherited=True)
            worker = pool.worker_class(context)
            worker.boot()
            hooks.loaded(first=True)
            for listener in self.listeners[pool.name]:
                self.log.info("Listening at: %s (pid: %d, in this process)", listener.url, os.getpid())
            with pool.lifespan() if pool.lifespan is not None else contextlib.nullcontext():
                self.log.info("Worker ready (pid: %d, slot: 0)", os.getpid())
                hooks.booted(0)
                worker.run()
        finally:
            hooks.leaving()
            hooks.exited(0)
            hooks.exiting()
            self._close()
        return 0

    def _context(self) -> WorkerContext:
        pool = self._pool
        return WorkerContext(
            pool=pool.name,
            slot=0,
            number=0,
            generation=1,
            workers=1,
            options=pool.worker_options,
            class_options=pool.class_options,
            listeners=self.listeners[pool.name],
            serve=pool.serve,
            lifespan=pool.lifespan,
            channel=self._theirs,
            row=self._scoreboard.row(0),
            siblings=(),
            nudge=Nudge(),
            logs=self.logs,
            listening=pool.listen,
            tls=pool.tls.source if pool.tls is not None else None,
            hooks=pool.hooks,
            first=True,
        )

    def stop(self, *, graceful: bool = True) -> None:
        """Make ``run`` return; see ``Arbiter.stop``."""
        if graceful:
            for listener in self.listeners.get(self._pool.name, ()):
                listener.shut_out()
        self._ours.send(Drain(last=True, hand_over=False) if graceful else Quit())

    def reload(self, done: Done | None = None) -> None:
        """Say why not: the code runs in this process."""
        self.log.info("%s; stop and start again, or run with --workers 1 or more", _NO_RELOAD.capitalize())
        if done is not None:
            done(_NO_RELOAD)

    def reopen_logs(self) -> None:
        """Open the log files anew; see ``Arbiter.reopen_logs``."""
        self._ours.send(ReopenLogs())

    def status(self) -> list[WorkerStatus]:
        """Return the one worker; see ``Arbiter.status``."""
        row = self._scoreboard.row(0)
        return [
            WorkerStatus(
                self._pool.name, 0, 0, os.getpid(), 1, "ready", row[Column.REQUESTS], row[Column.CONNECTIONS]
            )
        ]

    def pool_status(self) -> list[PoolStatus]:
        """Return the one pool; see ``Arbiter.pool_status``."""
        name = self._pool.name
        urls = tuple(listener.url for listener in self.listeners.get(name, ()))
        return [PoolStatus(name, self._pool.class_name, 0, 1, 1, urls)]

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._handlers_before[number] = signal.signal(number, self._on_stop_signal)
        self._handlers_before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._on_reopen_signal)
        for number in _ABOUT_OTHERS:
            self._handlers_before[number] = signal.signal(number, self._on_other_signal)

    def _on_stop_signal(self, number: int, _frame: FrameType | None) -> None:
        # It only enqueues: the worker reads the order when its loop turns.
        self.stop(graceful=number != signal.SIGQUIT)

    def _on_reopen_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._ours.send(ReopenLogs())

    def _on_other_signal(self, number: int, _frame: FrameType | None) -> None:
        self.log.info("%s does nothing without workers", signal.Signals(number).name)

    def _close(self) -> None:
        self.logs.flush()
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()
        for listener in self.listeners.get(self._pool.name, ()):
            listener.close()
        if self._pidfile is not None:
            self._pidfile.remove()
