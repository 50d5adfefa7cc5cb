"""The processes of an arbiter: made, told what to do, listened to, and collected when they have ended.

Only effects are in here. What is to be done comes from ``policy``, what an end means from ``deaths``; what the
processes say, and that one is gone, is handed to the arbiter.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from workerkit.arbiter.crew import Crew
from workerkit.arbiter.deaths import Death
from workerkit.arbiter.spawn import Birth, ask_mold, exit_reason, spawn_mold, spawn_worker
from workerkit.arbiter.table import (
    AskedToRetire,
    Booted,
    Exited,
    Identified,
    ProcessTable,
    Role,
    Spawned,
    StopOrdered,
    WorkerHandle,
)
from workerkit.errors import BootError
from workerkit.process.attachment import WorkerStatus
from workerkit.process.hooks import Identity
from workerkit.process.loop import EventLoop
from workerkit.process.memory import proportional
from workerkit.process.messages import Adopted, BootFailed, Channel, ForkFailed, Message
from workerkit.process.oom import OutOfMemoryKills
from workerkit.process.scoreboard import Column, Scoreboard
from workerkit.process.states import State
from workerkit.telemetry.logs import Logs

_KILL_AGAIN = 5.0
_ABORTING = 1.0
_NEVER_CAME = "ended before it told its pid"


@dataclass(eq=False, repr=False)
class _Line:
    """Our ends of the lines to one process."""

    channel: Channel
    pidfd: int | None = None
    failure: BootFailed | None = None
    killed: str | None = None
    """Why we killed it, when it had not been told to leave."""
    not_forked: str | None = None
    """Why its mold could not make it."""
    aborted: bool = False
    """Whether it has had its chance to tell what it does."""


class Children:
    """All living processes, by slot.

    Args:
        loop: Where their channels and their ends are watched.
        logs: What they inherit.
        heard: Called with each message that is not about the process table alone.
        gone: Called when one has ended; its slot is free again.
        forget: Closes, in a child, what else is the arbiter's.
    """

    def __init__(
        self,
        loop: EventLoop,
        logs: Logs,
        heard: Callable[[WorkerHandle, Message], object],
        gone: Callable[[Death], object],
        forget: Callable[[], object],
    ) -> None:
        self.table = ProcessTable()
        self.scoreboard = Scoreboard()
        self._loop = loop
        self._logs = logs
        self._heard = heard
        self._on_gone = gone
        self._forget_others = forget
        self._lines: dict[int, _Line] = {}
        self._out_of_memory = OutOfMemoryKills()

    def __iter__(self) -> Iterator[WorkerHandle]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def of(self, crew: Crew) -> list[WorkerHandle]:
        """Return the processes of one pool, oldest first, with their last heartbeats."""
        handles = self.table.of_pool(crew.name)
        for handle in handles:
            handle.beat = self.scoreboard.row(handle.slot).beat
        return handles

    def status(self) -> list[WorkerStatus]:
        """Return the workers, for people and monitors."""
        now = self._loop.clock()
        rows = [(handle, self.scoreboard.row(handle.slot)) for handle in self.table if handle.role is Role.WORKER]
        return [
            WorkerStatus(
                handle.pool,
                handle.number,
                handle.slot,
                handle.pid,
                handle.generation,
                handle.state.name.lower(),
                row[Column.REQUESTS],
                row[Column.CONNECTIONS],
                row[Column.FAILURES],
                row[Column.BUSY],
                round(now - handle.spawned_at, 3),
            )
            for handle, row in rows
        ]

    # -- beginnings ----------------------------------------------------------------------------------------------

    def make_worker(self, crew: Crew, number: int) -> None:
        """Make a worker of the release that is wanted: fork it, or have its mold fork it.

        Raises:
            OSError: The system has no process to give (EAGAIN, ENOMEM), or the mold does not listen.
        """
        slot = self.table.free_slot()
        row = self.scoreboard.take(slot)
        row[Column.POOL] = crew.number
        generation, first = crew.release.generation, not crew.has_begun
        crew.release.pool.hooks.before_fork(Identity(crew.name, slot, number, generation), row)
        pid: int | None = None
        if crew.release.pool.preload:
            mold = next(handle for handle in self.table.of_pool(crew.name) if _is_mold(handle, generation))
            channel = ask_mold(self._lines[mold.slot].channel, slot, number, generation, first)
        else:
            pid, channel = spawn_worker(self._birth(crew), slot, number, generation, first)
        self._register(crew, Role.WORKER, slot, number, pid, channel)

    def make_mold(self, crew: Crew) -> None:
        """Make a mold of the release that is wanted.

        Raises:
            OSError: The system has no process to give (EAGAIN, ENOMEM).
        """
        slot = self.table.free_slot()
        self.scoreboard.take(slot)
        pid, channel = spawn_mold(self._birth(crew))
        self._register(crew, Role.MOLD, slot, -1, pid, channel)

    def _birth(self, crew: Crew) -> Birth:
        release = crew.release
        return Birth(
            release.pool.replace(workers=crew.workers),
            release.listeners,
            self.scoreboard,
            crew.nudge,
            crew.handover,
            self._logs,
            self._forget,
        )

    def _register(self, crew: Crew, role: Role, slot: int, number: int, pid: int | None, channel: Channel) -> None:
        release = crew.release
        handle = WorkerHandle(
            role,
            crew.name,
            slot,
            number,
            release.generation,
            self._loop.clock(),
            timeout=release.pool.worker_options.timeout if role is Role.WORKER else 0.0,
            boot_timeout=release.options.boot_timeout,
            pid=pid,
        )
        self._lines[slot] = _Line(channel)
        self.table.apply(Spawned(handle))
        self._loop.watch(channel, lambda: self._read(handle))
        if pid is not None:
            self._await_end(handle, pid)
        self._show(handle)

    def worker_became_mold(self, worker: WorkerHandle, generation: int) -> WorkerHandle:
        """Take note that a worker has left, and that its process goes on as the mold of a generation; return that."""
        slot, now = worker.slot, self._loop.clock()
        mold = WorkerHandle(Role.MOLD, worker.pool, slot, -1, generation, now, pid=worker.pid)
        self.table.apply(Exited(slot))
        self.scoreboard.take(slot)
        self.table.apply(Spawned(mold))
        line = self._lines[slot]
        self._loop.unwatch(line.channel)
        self._loop.watch(line.channel, lambda: self._read(mold))
        if line.pidfd is not None:
            self._loop.unwatch(line.pidfd)
            self._watch_end(mold, line.pidfd)
        self.booted(mold)
        return mold

    def _await_end(self, handle: WorkerHandle, pid: int) -> None:
        try:
            pidfd = self._lines[handle.slot].pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            # It was collected among the strangers, before its mold's word of it had arrived.
            self._loop.call_soon(lambda: self._gone(handle, "ended"))
            return
        self._watch_end(handle, pidfd)

    def _watch_end(self, handle: WorkerHandle, pidfd: int) -> None:
        self._loop.watch(pidfd, lambda: self._loop.call_soon(lambda: self._reap(handle)))

    # -- orders --------------------------------------------------------------------------------------------------

    def tell(self, slot: int, message: Message, *fds: int) -> None:
        """Send a process a message that changes nothing in the table, and perhaps copies of descriptors."""
        self._lines[slot].channel.send(message, fds)

    def tell_all(self, message: Message) -> None:
        """Send it to every process."""
        for slot in self._lines:
            self.tell(slot, message)

    def order_stop(self, slot: int, order: Message, deadline: float) -> None:
        """Tell a process to leave until then."""
        self.tell(slot, order)
        self.table.apply(StopOrdered(slot, deadline))
        self._show(self.table[slot])

    def retire(self, handle: WorkerHandle, reason: str) -> None:
        """Take note that a worker is to be replaced before it leaves."""
        self.table.apply(AskedToRetire(handle.slot, reason))

    def memory(self, crew: Crew) -> int | None:
        """Return how many bytes the processes of a pool take together (PSS); None: the kernel does not tell."""
        parts = [proportional(handle.pid) for handle in self.table.of_pool(crew.name) if handle.pid is not None]
        known = [part for part in parts if part is not None]
        return sum(known) if known and len(known) == len(parts) else None

    def booted(self, handle: WorkerHandle) -> bool:
        """Take note that a process is ready; return whether it may serve, or has been told to leave already."""
        was_booting = handle.state is State.BOOTING
        self.table.apply(Booted(handle.slot, self._loop.clock()))
        self._show(handle)
        return was_booting

    def kill(self, slot: int, reason: str, *, may_speak: bool = True) -> None:
        """SIGKILL a process; a worker gets SIGABRT first, and a moment to tell what it does, and what is cut off."""
        handle, line = self.table[slot], self._lines[slot]
        aborts = handle.role is Role.WORKER and may_speak and not line.aborted
        line.aborted = line.aborted or aborts
        if handle.stop_deadline is None:
            line.killed = reason
        self.table.apply(StopOrdered(slot, self._loop.clock() + (_ABORTING if aborts else _KILL_AGAIN)))
        if line.pidfd is not None:
            signal.pidfd_send_signal(line.pidfd, signal.SIGABRT if aborts else signal.SIGKILL)
        else:
            self._gone(handle, "never told its pid")

    # -- what they say -------------------------------------------------------------------------------------------

    def _read(self, handle: WorkerHandle) -> None:
        line = self._lines[handle.slot]
        self._take(handle, line, line.channel.receive())
        if line.channel.ended:
            self._loop.unwatch(line.channel)
            if line.pidfd is None:
                self._loop.call_soon(lambda: self._gone(handle, _NEVER_CAME))

    def _take(self, handle: WorkerHandle, line: _Line, messages: Iterable[Message]) -> None:
        for message in messages:
            match message:
                case Adopted(pid):
                    self.table.apply(Identified(handle.slot, pid))
                    self._await_end(handle, pid)
                    self._show(handle)
                case BootFailed():
                    line.failure = message
                case ForkFailed(reason):
                    line.not_forked = reason
                case _:
                    self._heard(handle, message)

    def _show(self, handle: WorkerHandle) -> None:
        row = self.scoreboard.row(handle.slot)
        row[Column.STATE] = handle.state
        row[Column.PID] = handle.pid or 0
        row[Column.GENERATION] = handle.generation

    # -- ends ----------------------------------------------------------------------------------------------------

    def _reap(self, handle: WorkerHandle) -> None:
        if self.table.get(handle.slot) is not handle or handle.pid is None:
            return
        try:
            pid, status = os.waitpid(handle.pid, os.WNOHANG)
        except ChildProcessError:
            self._gone(handle, "ended")
            return
        if pid:
            self._gone(handle, self._how_it_ended(handle, status))

    def reap_strangers(self, reaped: Callable[[int, int], object]) -> None:
        """As PID 1 or as a subreaper, collect processes that others left to us; they are not mistaken for workers.

        Args:
            reaped: Called with the pid and the wait status of each that is no worker.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            handle = next((handle for handle in self.table if handle.pid == pid), None)
            if handle is not None:
                self._gone(handle, self._how_it_ended(handle, status))
            else:
                reaped(pid, status)

    def _how_it_ended(self, handle: WorkerHandle, status: int) -> str:
        how = exit_reason(status)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL or handle.stop_deadline is not None:
            return how
        # Nobody here has killed it.
        match self._out_of_memory.claim(self._loop.clock()):
            case True:
                return "was killed by the system, which was out of memory"
            case None:
                return f"{how}; was it out of memory?"
            case False:
                return how

    def _gone(self, handle: WorkerHandle, how: str) -> None:
        slot = handle.slot
        if self.table.get(slot) is not handle:
            return
        line = self._lines[slot]
        if not line.channel.ended:
            # Its last words, which may have come together with its death.
            last_words = [message for message in line.channel.receive() if isinstance(message, BootFailed | ForkFailed)]
            self._take(handle, line, last_words)
            self._loop.unwatch(line.channel)
        if line.pidfd is not None:
            self._loop.unwatch(line.pidfd)
            os.close(line.pidfd)
        line.channel.close()
        del self._lines[slot]
        if line.killed is not None and handle.ready_at is None and line.failure is None:
            line.failure = BootFailed(line.killed, "", BootError.exit_code)
        was_told = handle.stop_deadline is not None and line.killed is None
        # Its very first act is to tell its pid: without that, it never ran.
        not_forked = handle.pid is None and not was_told and line.failure is None
        self.table.apply(Exited(slot))
        row = self.scoreboard.row(slot)
        row[Column.STATE] = State.GONE
        row[Column.BUSY] = row[Column.BUSY_SINCE] = row[Column.CONNECTIONS] = 0
        self._on_gone(Death(handle, line.not_forked or how, line.failure, was_told, not_forked))

    def _forget(self) -> None:
        """Close, in a child, what is the arbiter's; a written list, so that nothing is kept by accident."""
        for line in self._lines.values():
            line.channel.close()
            if line.pidfd is not None:
                os.close(line.pidfd)
        self._forget_others()

    def kill_all(self) -> None:
        """Leave no process behind; only after an error in the very loop that should have collected them."""
        for handle in self.table:
            if handle.pid is not None:
                os.kill(handle.pid, signal.SIGKILL)


def _is_mold(handle: WorkerHandle, generation: int) -> bool:
    return handle.role is Role.MOLD and handle.generation == generation and handle.state is State.READY
