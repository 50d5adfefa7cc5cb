"""The mold: a process that has loaded the application and forks workers from it (--preload).

Workers share the loaded application's memory until they write to it. The arbiter itself never imports user code, so
what a reload has to replace is this process, and nothing that the code does (threads, patches, leaks) can reach the
arbiter.

A worker is forked twice over: its parent is gone when it begins, and the arbiter, as the subreaper, adopts it. So the
arbiter is the parent of every worker, however it was made, and hears of its end in the same way.

With --refork-after, a worker that has served becomes a mold itself. It is no copy of one that serves: it has left
before, so its connections are closed or in other hands, its lifespan has ended, and nothing of it runs.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from workerkit.arbiter.base import Pool
from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork_for_adoption
from workerkit.process.forkable import obstacle, open_sockets
from workerkit.process.messages import Adopted, Channel, ForkFailed, ForkWorker, Quit, Ready, Unfit
from workerkit.process.oom import be_killed_first
from workerkit.process.signals import deliver
from workerkit.process.title import show_title
from workerkit.workers.base import WorkerContext, describe_failure, live

MakeContext = Callable[[Channel, int, int, int, bool], WorkerContext]


class Mold:
    """One of a pool's; made in the process that it is.

    Args:
        pool: What it holds.
        channel: Our end of the line to the arbiter.
        make_context: Returns what a worker is given, by its channel, slot, number, generation, and whether it is the
            first.
    """

    def __init__(self, pool: Pool, channel: Channel, make_context: MakeContext) -> None:
        self._pool = pool
        self._channel = channel
        self._make_context = make_context

    def begin(self) -> int:
        """Load the application, then fork workers until told to leave; return the exit code."""
        pool = self._pool
        self._take_over()
        try:
            if not self._channel.die_with_peer():
                return 0
            pool.worker_class.prepare(pool.class_options)
            # The application is imported without privileges here as in a worker, and its workers never have any.
            pool.privileges.drop()
            be_killed_first()
            if pool.serve is not None:
                pool.serve()
        except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it was, it is reported once
            failure = describe_failure("the application", error)
            self._channel.send(failure)
            return failure.exit_code
        return self._serve()

    def _go_on(self, sockets: frozenset[str]) -> int:
        """Be one in the process of a worker that has left, if it can be forked from.

        Args:
            sockets: Those that it had before it was a worker.
        """
        self._take_over()
        self._pool.hooks.worker = None
        gc.collect()
        if (reason := obstacle(sockets)) is not None:
            self._channel.send(Unfit(reason))
            return 0
        return self._serve()

    def _take_over(self) -> None:
        """Be what the signals and the title are about."""
        signal.set_wakeup_fd(-1)
        # The arbiter decides who leaves when a terminal's Ctrl-C reaches the whole group.
        deliver((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1), lambda _number: None)
        for ignored in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
            signal.signal(ignored, signal.SIG_IGN)
        for usual in (signal.SIGCHLD, signal.SIGABRT):
            signal.signal(usual, signal.SIG_DFL)
        show_title("mold", self._pool.title)

    def _serve(self) -> int:
        # A collection writes to each object that it looks at: those of the workers would copy what they share with us.
        gc.collect()
        gc.freeze()
        channel = self._channel
        channel.send(Ready())
        while True:
            wait_for(channel.fileno(), READ, None)
            for message in channel.receive():
                match message:
                    case ForkWorker(slot, number, generation, first):
                        self._fork_worker(slot, number, generation, first)
                    case Quit():
                        return 0
                    case _:
                        continue
            if channel.ended:
                return 0

    def _fork_worker(self, slot: int, number: int, generation: int, first: bool) -> None:
        theirs = Channel.of(self._channel.take_fd(), self._channel.take_fd())

        def child() -> int:
            self._channel.close()
            theirs.send(Adopted(os.getpid()))
            return self._be_worker(theirs, slot, number, generation, first)

        try:
            fork_for_adoption(child)
        except OSError as error:
            theirs.send(ForkFailed(str(error)))
        finally:
            theirs.close()

    def _be_worker(self, channel: Channel, slot: int, number: int, generation: int, first: bool) -> int:
        pool = self._pool
        sockets = open_sockets() if pool.worker_options.refork_after else frozenset[str]()
        context = self._make_context(channel, slot, number, generation, first)
        code = live(pool.worker_class, context, prepared=True)
        return code if code is not None else Mold(pool, channel, self._make_context)._go_on(sockets)
