"""The mold: a process that has loaded the application and forks workers from it (--preload).

Workers share the loaded application's memory until they write to it. The arbiter itself never imports user code, so
what a reload has to replace is this process, and nothing that the code does (threads, patches, leaks) can reach the
arbiter.

A worker is forked twice over: its parent is gone when it begins, and the arbiter, as the subreaper, adopts it. So the
arbiter is the parent of every worker, however it was made, and the kernel's parent death signal means the same.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from workerkit.arbiter.base import Pool
from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import die_with_parent, fork_for_adoption
from workerkit.process.messages import Adopted, BootFailed, Channel, ForkWorker, Quit, Ready
from workerkit.process.signals import deliver
from workerkit.workers.base import WorkerContext, describe_failure, live

MakeContext = Callable[[Channel, int, int], WorkerContext]


def be_mold(pool: Pool, channel: Channel, parent: int, make_context: MakeContext) -> int:
    """Load the application, then fork workers until told to leave; return the exit code. In the child."""
    signal.set_wakeup_fd(-1)
    # The arbiter decides who leaves when a terminal's Ctrl-C reaches the whole group.
    deliver((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1), lambda _number: None)
    for ignored in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    if os.getppid() != parent:
        return 0
    try:
        pool.worker_class.prepare(pool.class_options)
        if pool.serve is not None:
            pool.serve()
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it was, it is reported once
        failure = describe_failure("the application", error)
        channel.send(failure)
        return failure.exit_code
    # A collection writes to each object that it looks at: those of the workers would copy what they share with us.
    gc.collect()
    gc.freeze()
    channel.send(Ready())
    while True:
        wait_for(channel.fileno(), READ, None)
        for message in channel.receive():
            match message:
                case ForkWorker(slot, number):
                    _fork_worker(pool, channel, parent, make_context, slot, number)
                case Quit():
                    return 0
                case _:
                    continue
        if channel.ended:
            return 0


def _fork_worker(
    pool: Pool, channel: Channel, parent: int, make_context: MakeContext, slot: int, number: int
) -> None:
    theirs = Channel.of(channel.take_fd())

    def child() -> int:
        channel.close()
        theirs.send(Adopted(os.getpid()))
        return live(pool.worker_class, make_context(theirs, slot, number), parent, prepared=True)

    try:
        fork_for_adoption(child)
    except OSError as error:
        theirs.send(BootFailed(f"the mold could not fork: {error}", "", 1))
    finally:
        theirs.close()
