"""Making processes: the thin end of ``policy``. Everything here runs on both sides of a fork, and says which.

A child drops what it has no business keeping: the other workers' channels and pidfds, the arbiter's selector, its
signal queue and wake-up sockets. What it keeps: the listeners, its scoreboard row, its own channel, the logs.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from workerkit.arbiter.base import Pool
from workerkit.net.handover import Handover
from workerkit.net.listener import Listener
from workerkit.process.fork import fork
from workerkit.process.messages import Channel, ForkWorker
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import Scoreboard
from workerkit.records import Record
from workerkit.telemetry.logs import Logs
from workerkit.workers.base import WorkerContext, live

# Rows that a worker looks at beyond twice the workers of its pool: the pool may grow (TTIN), and there are molds.
_SPARE = 32


class Birth(Record):
    """What every process of one pool is born with."""

    pool: Pool
    listeners: tuple[Listener, ...]
    scoreboard: Scoreboard
    nudge: Nudge
    handover: Handover | None
    logs: Logs
    forget: Callable[[], None]
    """Closes, in the child, what is the arbiter's."""

    def context(self, channel: Channel, slot: int, number: int, generation: int, first: bool) -> WorkerContext:
        """Return what a worker is given; in the arbiter or in the mold."""
        pool = self.pool
        most = max(pool.workers, pool.most_workers or 0)
        return WorkerContext(
            pool=pool.name,
            slot=slot,
            number=number,
            generation=generation,
            workers=most,
            options=pool.worker_options,
            class_options=pool.class_options,
            listeners=self.listeners,
            serve=pool.serve,
            lifespan=pool.lifespan,
            channel=channel,
            row=self.scoreboard.row(slot),
            siblings=tuple(self.scoreboard.row(other) for other in range(2 * most + _SPARE)),
            nudge=self.nudge,
            handover=self.handover,
            logs=self.logs,
            listening=pool.listen,
            tls=pool.tls.source if pool.tls is not None else None,
            hooks=pool.hooks,
            privileges=pool.privileges,
            title=pool.title,
            first=first,
        )


def spawn_worker(birth: Birth, slot: int, number: int, generation: int, first: bool) -> tuple[int, Channel]:
    """Fork a worker; return its pid and our end of its channel. In the arbiter.

    Raises:
        OSError: fork failed (EAGAIN, ENOMEM).
    """

    def child(theirs: Channel) -> int:
        context = birth.context(theirs, slot, number, generation, first)
        # Only those that a mold has made become one.
        return live(birth.pool.worker_class, context) or 0

    return _fork_with_channel(birth, child)


def spawn_mold(birth: Birth) -> tuple[int, Channel]:
    """Fork a mold; return its pid and our end of its channel. In the arbiter.

    Raises:
        OSError: fork failed (EAGAIN, ENOMEM).
    """

    def child(theirs: Channel) -> int:
        from workerkit.arbiter.mold import Mold  # noqa: PLC0415  in its own process only

        return Mold(birth.pool, theirs, birth.context).begin()

    return _fork_with_channel(birth, child)


def ask_mold(mold: Channel, slot: int, number: int, generation: int, first: bool) -> Channel:
    """Tell a mold to fork a worker; return our end of its channel.

    Raises:
        OSError: The mold does not listen.
    """
    ours, theirs = Channel.pair()
    sent = mold.send(ForkWorker(slot, number, generation, first), theirs.fds)
    theirs.close()
    if not sent:
        ours.close()
        raise OSError("the process that has loaded the application does not listen")
    return ours


def _fork_with_channel(birth: Birth, child: Callable[[Channel], int]) -> tuple[int, Channel]:
    ours, theirs = Channel.pair()

    def begin() -> int:
        ours.close()
        birth.forget()
        return child(theirs)

    try:
        pid = fork(begin)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return pid, ours


def exit_reason(status: int) -> str:
    """Describe a wait status for the log."""
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
