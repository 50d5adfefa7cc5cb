"""What signals mean: to the arbiter, and to a worker that somebody signals directly."""

from __future__ import annotations

import enum
import os
import signal


class Order(enum.Enum):
    """What an administrator may want of an arbiter."""

    REAP = "collect the processes that have ended"
    STOP = "finish what is under way, then leave"
    QUIT = "leave at once"
    RELOAD = "read the settings again and replace every worker"
    UPGRADE = "let a new arbiter take over"
    MORE_WORKERS = "one more worker in each pool"
    FEWER_WORKERS = "one worker less in each pool"
    REOPEN_LOGS = "the log files were moved"
    STOP_WORKERS = "a daemon's workers leave, the arbiter stays"


ARBITER_ORDERS: dict[int, Order] = {
    signal.SIGCHLD: Order.REAP,
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.QUIT,
    signal.SIGQUIT: Order.QUIT,
    signal.SIGHUP: Order.RELOAD,
    signal.SIGUSR2: Order.UPGRADE,
    signal.SIGTTIN: Order.MORE_WORKERS,
    signal.SIGTTOU: Order.FEWER_WORKERS,
    signal.SIGUSR1: Order.REOPEN_LOGS,
    signal.SIGWINCH: Order.STOP_WORKERS,
}
"""The signals that an arbiter takes."""

WORKER_ORDERS: dict[int, Order] = {
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.QUIT,
    signal.SIGQUIT: Order.QUIT,
    signal.SIGUSR1: Order.REOPEN_LOGS,
}
"""Those that a worker passes on to its arbiter, whose order then comes back by the usual way."""


def has_terminal() -> bool:
    """Tell whether a terminal belongs to this process; its SIGWINCH says that it was resized, and no more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
