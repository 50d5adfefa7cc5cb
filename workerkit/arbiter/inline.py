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

from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool, WorkerStatus
from workerkit.arbiter.pidfile import PidFile
from workerkit.errors import ConfigError
from workerkit.net.listener import open_listeners
from workerkit.process.messages import Channel, Drain, Quit, ReopenLogs
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import Column, Scoreboard
from workerkit.telemetry.logs import Logs
from workerkit.workers.base import WorkerContext

_ABOUT_OTHERS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2)


class InlineArbiter(Arbiter):
    """Serves without forking."""

    def __init__(
        self, pools: Sequence[Pool], options: ArbiterOptions, logs: Logs, *, signals: bool = False
    ) -> None:
        super().__init__(pools, options, logs, signals=signals)
        if len(self.pools) != 1:
            raise ConfigError("serving without workers takes exactly one pool; run several with --workers 1 or more")
        (self._pool,) = self.pools.values()
        self._ours, self._theirs = Channel.pair()
        self._scoreboard = Scoreboard(rows=1)
        self._started = False
        self._handlers_before: dict[int, signal._HANDLER] = {}
        self._pidfile = PidFile(options.pidfile) if options.pidfile else None

    def start(self) -> None:
        """Open the listeners; see ``Arbiter.start``."""
        pool = self._pool
        try:
            if self._pidfile is not None:
                self._pidfile.write()
            self.listeners[pool.name] = open_listeners(pool.listen, pool.scheme) if pool.listen is not None else ()
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
        try:
            pool.worker_class.prepare(pool.class_options)
            worker = pool.worker_class(self._context())
            worker.boot()
            for listener in self.listeners[pool.name]:
                self.log.info("Listening at: %s (pid: %d, in this process)", listener.url, os.getpid())
            with pool.lifespan() if pool.lifespan is not None else contextlib.nullcontext():
                self.log.info("Worker ready (pid: %d, slot: 0)", os.getpid())
                worker.run()
        finally:
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
        )

    def stop(self, *, graceful: bool = True) -> None:
        """Make ``run`` return; see ``Arbiter.stop``."""
        self._ours.send(Drain(last=True) if graceful else Quit())

    def reload(self) -> None:
        """Say why not: the code runs in this process."""
        self.log.info("Cannot reload without workers; stop and start again, or run with --workers 1 or more")

    def status(self) -> list[WorkerStatus]:
        """Return the one worker; see ``Arbiter.status``."""
        row = self._scoreboard.row(0)
        return [
            WorkerStatus(
                self._pool.name, 0, 0, os.getpid(), 1, "ready", row[Column.REQUESTS], row[Column.CONNECTIONS]
            )
        ]

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
