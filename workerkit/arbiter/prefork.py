"""The prefork arbiter: one loop over one queue of events.

    wait      for a signal, a worker's message, a death, a caller in another thread, or the next deadline
    apply     each of them to the table
    plan      what is to be done now (``policy``, pure)
    perform   it

Nothing else happens in this process: it imports no application, parses no byte of a client, starts no thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from selectors import EVENT_READ, DefaultSelector

from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool, WorkerStatus
from workerkit.arbiter.pidfile import PidFile
from workerkit.arbiter.policy import Action, Kill, RestartBudget, Spawn, SpawnMold, Stop, Wanted, divide, plan
from workerkit.arbiter.spawn import Birth, ask_mold, exit_reason, spawn_mold, spawn_worker
from workerkit.arbiter.table import (
    DEFAULT_POOL,
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
from workerkit.net.listener import open_listeners
from workerkit.process.clock import Clock, monotonic
from workerkit.process.fork import adopt_orphans
from workerkit.process.messages import (
    Adopted,
    BootFailed,
    Channel,
    Drain,
    Listen,
    Message,
    Quit,
    Ready,
    ReopenLogs,
    Retiring,
    Signalled,
)
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import ROWS, Column, Scoreboard
from workerkit.process.signals import STOP_AND_CONTROL, SignalQueue, in_main_thread
from workerkit.process.states import State
from workerkit.telemetry.logs import Logs

_QUICK = 1.0
_KILL_AGAIN = 5.0
_FORK_RETRY = 0.5
_OVERSLEPT = 1.0
_MOST_WORKERS = ROWS // 2  # a reload needs as many slots again

_SIGNALS = (*STOP_AND_CONTROL, signal.SIGWINCH, signal.SIGCHLD)


@dataclass(slots=True)
class _PoolState:
    """What is wanted of a pool, and how it has been doing."""

    pool: Pool
    number: int
    workers: int
    generation: int = 1
    proven: int = 0
    """The last generation of which a worker became ready; 0: none ever did."""
    budget: RestartBudget = field(default_factory=RestartBudget)
    divided: dict[int, list[int]] = field(default_factory=dict)
    """With ``--reuse-port``, the shares of the listeners that each worker was told to accept from, by slot."""
    nudge: Nudge = field(init=False)


@dataclass(slots=True)
class _Line:
    """Our ends of the lines to one process."""

    channel: Channel
    pidfd: int | None = None
    failure: BootFailed | None = None
    killed: str | None = None
    """Why we killed it, when it had not been told to leave."""


Event = Callable[[], None]


class PreforkArbiter(Arbiter):
    """Forks workers that share the listeners; the default."""

    def __init__(
        self,
        pools: Sequence[Pool],
        options: ArbiterOptions,
        logs: Logs,
        *,
        signals: bool = False,
        clock: Clock = monotonic,
    ) -> None:
        super().__init__(pools, options, logs, signals=signals)
        self._clock = clock
        self._table = ProcessTable()
        self._states = {
            name: _PoolState(pool, number, pool.workers) for number, (name, pool) in enumerate(self.pools.items(), 1)
        }
        self._lines: dict[int, _Line] = {}
        self._events: deque[Event] = deque()
        self._deaths: list[Event] = []
        self._started = False
        self._stopping = False
        self._quick = False
        self._fatal: BootError | None = None
        self._announced: set[str] = set()
        self._awake_since = 0.0
        self._adopts = os.getpid() == 1
        self._pidfile = PidFile(options.pidfile) if options.pidfile else None

    # -- the caller's side ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the listeners and the pid file; see ``Arbiter.start``."""
        if self._pidfile is not None:
            self._pidfile.write()
        try:
            for name, pool in self.pools.items():
                if pool.listen is None:
                    self.listeners[name] = ()
                else:
                    self.listeners[name] = open_listeners(pool.listen, pool.scheme, pool.workers)
        except BaseException:
            self._close_listeners()
            raise
        self._scoreboard = Scoreboard()
        for state in self._states.values():
            state.nudge = Nudge()
        self._selector = DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, EVENT_READ, self._read_wake)
        self._signal_queue: SignalQueue | None = None
        if self.signals:
            self._signal_queue = SignalQueue(_SIGNALS)
            self._selector.register(self._signal_queue, EVENT_READ, self._read_signals)
        if any(pool.preload for pool in self.pools.values()):
            self._adopts = adopt_orphans() or self._adopts
        self._started = True

    def run(self) -> int:
        """Serve until stopped; see ``Arbiter.run``."""
        if not self._started:
            self.start()
        self.log.debug("Starting workerkit (pid: %d)", os.getpid())
        if self._signal_queue is None and in_main_thread():
            # The caller's handlers stay; but one that is due when the selector has just begun to wait must wake it.
            self._signal_queue = SignalQueue(())
            self._selector.register(self._signal_queue, EVENT_READ, self._signal_queue.receive)
        interrupted: KeyboardInterrupt | None = None
        try:
            while not (self._stopping and not len(self._table)):
                try:
                    self._perform_plans()
                    while self._events:
                        self._events.popleft()()
                except KeyboardInterrupt as error:
                    # Without signal handlers of ours, Ctrl-C arrives like this.
                    interrupted = error
                    self._begin_stop(quick=True, why="interrupted")
        finally:
            self._close()
        if self._fatal is not None:
            raise self._fatal
        self.log.info("Stopped")
        if interrupted is not None:
            raise interrupted
        return 0

    def stop(self, *, graceful: bool = True) -> None:
        """Make ``run`` return; see ``Arbiter.stop``."""
        self._call(lambda: self._begin_stop(quick=not graceful, why="asked to stop"))

    def reload(self) -> None:
        """Replace every worker; see ``Arbiter.reload``."""
        self._call(self._begin_reload)

    def status(self) -> list[WorkerStatus]:
        """Return the workers; see ``Arbiter.status``."""
        found = []
        for handle in self._table:
            if handle.role is Role.WORKER:
                row = self._scoreboard.row(handle.slot)
                found.append(
                    WorkerStatus(
                        handle.pool,
                        handle.number,
                        handle.slot,
                        handle.pid,
                        handle.generation,
                        handle.state.name.lower(),
                        row[Column.REQUESTS],
                        row[Column.CONNECTIONS],
                    )
                )
        return found

    def _call(self, event: Event) -> None:
        """Put an event into the queue from any thread, and wake the loop."""
        self._events.append(event)
        if self._started:
            with contextlib.suppress(OSError):  # run() has just ended, and with it whatever was wanted of it
                self._wake_writer.send(b"\0")

    # -- plan and perform ----------------------------------------------------------------------------------------

    def _perform_plans(self) -> None:
        """Do what is to be done now, then wait for what comes next."""
        now = self._clock()
        looks: list[float] = []
        for state in self._states.values():
            handles = self._table.of_pool(state.pool.name)
            for handle in handles:
                handle.beat = self._scoreboard.row(handle.slot).beat
            made = plan(handles, self._wanted(state), state.budget.spawn_at, self._awake_since, now)
            for action in made.actions:
                self._perform(action, state, now)
            self._share_out(state)
            if made.next_look is not None:
                looks.append(made.next_look)
            if made.actions:
                # What was done may have deadlines of its own.
                looks.append(now)
        if self._events or (self._stopping and not len(self._table)):
            return
        self._wait(min(looks, default=None), now)

    def _wait(self, until: float | None, now: float) -> None:
        timeout = None if until is None else max(0.0, until - now)
        for key, _ in self._selector.select(timeout):
            key.data()
        # A process's last words come before its death, whichever the selector saw first.
        self._events.extend(self._deaths)
        self._deaths.clear()
        woken = self._clock()
        if timeout is not None and woken - now > timeout + _OVERSLEPT:
            # We were stopped ourselves. Heartbeats that are old by now prove nothing about the workers.
            self._awake_since = woken

    def _wanted(self, state: _PoolState) -> Wanted:
        return Wanted(
            workers=0 if self._stopping else state.workers,
            generation=state.generation,
            timeout=state.pool.worker_options.timeout,
            boot_timeout=self.options.boot_timeout,
            preload=state.pool.preload,
            batch=max(1, self.options.reload_batch),
        )

    def _perform(self, action: Action, state: _PoolState, now: float) -> None:
        match action:
            case Spawn(number):
                self._spawn_worker(state, number, now)
            case SpawnMold():
                self._spawn_mold(state, now)
            case Stop(slot):
                self._order_stop(slot, now)
            case Kill(slot, reason):
                self._kill(slot, reason, now)

    def _share_out(self, state: _PoolState) -> None:
        """See to it that each listener is somebody's: what waits there must not wait for a worker's successor."""
        shares = 1 + max([listener.share or 0 for listener in self.listeners[state.pool.name]], default=0)
        if shares == 1:
            return
        divided = divide(self._table.of_pool(state.pool.name), shares)
        for slot, mine in divided.items():
            if state.divided.get(slot) != mine:
                self._lines[slot].channel.send(Listen(mine))
        state.divided = divided

    def _spawn_worker(self, state: _PoolState, number: int, now: float) -> None:
        slot = self._table.free_slot()
        self._scoreboard.take(slot)[Column.POOL] = state.number
        pid: int | None = None
        if state.pool.preload:
            mold = next(handle for handle in self._table.of_pool(state.pool.name) if self._is_mold(handle, state))
            channel = ask_mold(self._lines[mold.slot].channel, slot, number)
            if channel is None:
                state.budget.spawn_at = now + _FORK_RETRY
                return
        else:
            try:
                pid, channel = spawn_worker(self._birth(state), slot, number, state.generation)
            except OSError as error:
                self._fork_failed(state, error, now)
                return
        self._register(WorkerHandle(Role.WORKER, state.pool.name, slot, number, state.generation, now, pid), channel)

    def _spawn_mold(self, state: _PoolState, now: float) -> None:
        slot = self._table.free_slot()
        self._scoreboard.take(slot)
        try:
            pid, channel = spawn_mold(self._birth(state), state.generation)
        except OSError as error:
            self._fork_failed(state, error, now)
            return
        self._register(WorkerHandle(Role.MOLD, state.pool.name, slot, -1, state.generation, now, pid), channel)

    @staticmethod
    def _is_mold(handle: WorkerHandle, state: _PoolState) -> bool:
        return handle.role is Role.MOLD and handle.generation == state.generation and handle.state is State.READY

    def _fork_failed(self, state: _PoolState, error: OSError, now: float) -> None:
        state.budget.spawn_at = now + _FORK_RETRY
        self.log.error("Cannot fork: %s; trying again in %s s, the other workers go on", error, _FORK_RETRY)

    def _birth(self, state: _PoolState) -> Birth:
        pool = state.pool._replace(workers=state.workers)
        return Birth(
            pool,
            self.listeners[pool.name],
            self._scoreboard,
            state.nudge,
            self.logs,
            os.getpid(),
            self._forget_in_child,
        )

    def _register(self, handle: WorkerHandle, channel: Channel) -> None:
        line = self._lines[handle.slot] = _Line(channel)
        self._table.apply(Spawned(handle))
        self._selector.register(channel, EVENT_READ, lambda: self._read_channel(handle.slot))
        if handle.pid is not None:
            self._watch(handle, line)
        self._write_state(handle)

    def _watch(self, handle: WorkerHandle, line: _Line) -> None:
        assert handle.pid is not None  # noqa: S101  callers know it
        line.pidfd = os.pidfd_open(handle.pid)
        self._selector.register(line.pidfd, EVENT_READ, lambda: self._deaths.append(lambda: self._reap(handle.slot)))

    def _order_stop(self, slot: int, now: float) -> None:
        handle = self._table.get(slot)
        assert handle is not None  # noqa: S101  the plan was made from the table
        quick = self._quick or handle.role is Role.MOLD or handle.state is State.BOOTING
        self._lines[slot].channel.send(Quit() if quick else Drain(last=self._stopping))
        deadline = now + (_QUICK if quick else self.options.graceful_timeout)
        self._table.apply(StopOrdered(slot, deadline))
        self._write_state(handle)

    def _kill(self, slot: int, reason: str, now: float) -> None:
        handle = self._table.get(slot)
        assert handle is not None  # noqa: S101  the plan was made from the table
        if not self._quick:
            self.log.critical("Killing %s: %s", handle, reason)
        line = self._lines[slot]
        if handle.stop_deadline is None:
            line.killed = reason
        self._table.apply(StopOrdered(slot, now + _KILL_AGAIN))
        if line.pidfd is not None:
            signal.pidfd_send_signal(line.pidfd, signal.SIGKILL)
        else:
            self._gone(slot, "never told its pid")

    def _write_state(self, handle: WorkerHandle) -> None:
        row = self._scoreboard.row(handle.slot)
        row[Column.STATE] = handle.state
        row[Column.PID] = handle.pid or 0
        row[Column.GENERATION] = handle.generation

    # -- events --------------------------------------------------------------------------------------------------

    def _read_wake(self) -> None:
        self._wake_reader.recv(4096)

    def _read_signals(self) -> None:
        assert self._signal_queue is not None  # noqa: S101  it is what became readable
        for number in self._signal_queue.receive():
            self._events.append(lambda number=number: self._on_signal(number))  # type: ignore[misc]  # a bound default

    def _read_channel(self, slot: int) -> None:
        channel = self._lines[slot].channel
        for message in channel.receive():
            self._events.append(lambda message=message: self._on_message(slot, message))  # type: ignore[misc]
        if channel.ended:
            self._selector.unregister(channel)
            if self._lines[slot].pidfd is None:
                self._deaths.append(lambda: self._gone(slot, "ended before it told its pid"))

    def _on_message(self, slot: int, message: Message) -> None:
        handle = self._table.get(slot)
        if handle is None:
            return
        match message:
            case Adopted(pid):
                self._table.apply(Identified(slot, pid))
                self._watch(handle, self._lines[slot])
            case Ready():
                self._on_ready(handle)
            case BootFailed():
                self._lines[slot].failure = message
            case Retiring(reason):
                self.log.info("%s retires after %s", str(handle).capitalize(), reason)
                self._table.apply(AskedToRetire(slot, reason))
            case Signalled(number):
                self._on_worker_signalled(handle, number)
            case _:
                self.log.warning("%s sent what only an arbiter sends: %s", handle, message)
        if self._table.get(slot) is not None:
            self._write_state(handle)

    def _on_ready(self, handle: WorkerHandle) -> None:
        was_booting = handle.state is State.BOOTING
        self._table.apply(Booted(handle.slot, self._clock()))
        state = self._states[handle.pool]
        if handle.role is Role.WORKER and was_booting:
            state.proven = max(state.proven, handle.generation)
            self._announce(state)
            self.log.info("Worker ready (pid: %d, slot: %d)%s", handle.pid, handle.slot, _where(handle.pool))

    def _announce(self, state: _PoolState) -> None:
        """Say where a pool listens, once somebody answers there."""
        name = state.pool.name
        if name not in self._announced:
            self._announced.add(name)
            for listener in self.listeners[name]:
                if listener.share:
                    continue  # at the same address as the first one
                self.log.info("Listening at: %s (pid: %d)", listener.url, os.getpid())

    def _on_worker_signalled(self, handle: WorkerHandle, number: int) -> None:
        """Somebody signalled a worker directly: what gunicorn's worker would do, by the usual way."""
        now = self._clock()
        if number == signal.SIGUSR1:
            self._lines[handle.slot].channel.send(ReopenLogs())
        elif number == signal.SIGTERM and handle.state is State.READY:
            self._table.apply(AskedToRetire(handle.slot, "SIGTERM"))
            self._order_stop(handle.slot, now)
        elif not self._stopping:
            self._lines[handle.slot].channel.send(Quit())
            self._table.apply(StopOrdered(handle.slot, now + _QUICK))

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        match number:
            case signal.SIGCHLD:
                self._reap_strangers()
            case signal.SIGTERM:
                self._begin_stop(quick=False, why=name)
            case signal.SIGINT | signal.SIGQUIT:
                self._begin_stop(quick=True, why=name)
            case signal.SIGHUP:
                self._begin_reload()
            case signal.SIGTTIN | signal.SIGTTOU:
                self._scale(+1 if number == signal.SIGTTIN else -1, name)
            case signal.SIGUSR1:
                self._reopen_logs()
            case signal.SIGWINCH:
                self._stop_workers()
            case _:
                self.log.info("%s is not handled", name)

    def _begin_stop(self, *, quick: bool, why: str) -> None:
        if self._stopping and (self._quick or not quick):
            return
        again = self._stopping
        self._stopping, self._quick = True, self._quick or quick
        self.log.info("Stopping %s (%s)", "quickly" if quick else "gracefully", why)
        if again:
            # The plan has ordered everybody to stop already; now it is urgent.
            now = self._clock()
            for handle in self._table:
                self._order_stop(handle.slot, now)

    def _begin_reload(self) -> None:
        if self._stopping:
            return
        for state in self._states.values():
            state.generation = max([state.generation, *(handle.generation for handle in self._table)]) + 1
            state.workers = state.pool.workers
            state.budget = RestartBudget()
        self.log.info("Reloading: new workers replace the old ones as they become ready")

    def _scale(self, step: int, why: str) -> None:
        for state in self._states.values():
            before, state.workers = state.workers, min(_MOST_WORKERS, max(1, state.workers + step))
            self.log.info("%s: %d workers instead of %d", why, state.workers, before)

    def _stop_workers(self) -> None:
        """WINCH: a daemon's way to stop the workers and keep the arbiter. A resized terminal means nothing."""
        if _has_terminal():
            self.log.debug("SIGWINCH ignored: there is a terminal")
            return
        self.log.info("SIGWINCH: stopping the workers; SIGHUP brings them back")
        for state in self._states.values():
            state.workers = 0

    def _reopen_logs(self) -> None:
        self.logs.reopen()
        for line in self._lines.values():
            line.channel.send(ReopenLogs())
        self.log.info("Logs reopened")

    # -- deaths --------------------------------------------------------------------------------------------------

    def _reap(self, slot: int) -> None:
        handle = self._table.get(slot)
        if handle is None or handle.pid is None:
            return
        try:
            pid, status = os.waitpid(handle.pid, os.WNOHANG)
        except ChildProcessError:
            self._gone(slot, "ended")
            return
        if pid:
            self._gone(slot, exit_reason(status))

    def _reap_strangers(self) -> None:
        """As PID 1 or as a subreaper, collect processes that others left to us; they are not mistaken for workers."""
        while self._adopts:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            handle = next((handle for handle in self._table if handle.pid == pid), None)
            if handle is not None:
                self._gone(handle.slot, exit_reason(status))

    def _gone(self, slot: int, how: str) -> None:
        handle = self._table.get(slot)
        if handle is None:
            return
        line = self._lines.pop(slot)
        if not line.channel.ended:
            # Its last words, which may have come together with its death.
            for message in line.channel.receive():
                if isinstance(message, BootFailed):
                    line.failure = message
            self._selector.unregister(line.channel)
        if line.pidfd is not None:
            self._selector.unregister(line.pidfd)
            os.close(line.pidfd)
        line.channel.close()
        if line.killed is not None and handle.ready_at is None and line.failure is None:
            line.failure = BootFailed(line.killed, "", BootError.exit_code)
        expected = handle.stop_deadline is not None and line.killed is None
        self._table.apply(Exited(slot))
        row = self._scoreboard.row(slot)
        row[Column.STATE] = State.GONE
        row[Column.BUSY] = row[Column.BUSY_SINCE] = row[Column.CONNECTIONS] = 0
        # It may have been woken for a connection that it never took.
        self._states[handle.pool].nudge.give()
        if expected and line.failure is None:
            self.log.info("%s left", str(handle).capitalize())
        elif not self._stopping:
            self._died(handle, line.failure, how)
        elif line.failure is not None and self._fatal is None:
            self._log_failure(handle, line.failure)

    def _died(self, handle: WorkerHandle, failure: BootFailed | None, how: str) -> None:
        """Decide what the end of a process means that was not told to leave."""
        state = self._states[handle.pool]
        if failure is None:
            self.log.error("%s %s", str(handle).capitalize(), how)
            if handle.ready_at is None and not state.proven and not self._others_boot(handle):
                self._halt(handle.pool, BootFailed("no worker became ready", "", BootError.exit_code))
        elif not state.proven:
            # Nothing ever served, and the same would happen again: it is told once, by the exception of run().
            self._halt(handle.pool, failure)
        elif handle.ready_at is None and handle.generation == state.generation and state.generation > state.proven:
            self._log_failure(handle, failure)
            self._give_up_reload(state)
            return
        else:
            self._log_failure(handle, failure)
        if handle.generation == state.generation or handle.role is Role.MOLD:
            state.budget.death(self._clock())

    def _others_boot(self, dead: WorkerHandle) -> bool:
        return any(handle.pool == dead.pool for handle in self._table)

    def _give_up_reload(self, state: _PoolState) -> None:
        state.generation = state.proven
        where = _where(state.pool.name)
        self.log.error("Reload given up%s: the new workers do not boot; the old ones go on serving", where)

    def _log_failure(self, handle: WorkerHandle, failure: BootFailed) -> None:
        frames = failure.frames.rstrip()
        what = "could not boot" if handle.ready_at is None else "ended"
        self.log.error(
            "%s %s: %s%s", str(handle).capitalize(), what, failure.reason, f"\n{frames}" if frames else ""
        )

    def _halt(self, pool: str, failure: BootFailed) -> None:
        self._stopping = self._quick = True
        if self._fatal is None:
            reason = failure.reason if pool == DEFAULT_POOL else f"pool {pool}: {failure.reason}"
            self._fatal = BootError(reason, failure.frames)
            self._fatal.exit_code = failure.exit_code
            if not self.logs.on_stderr:
                # Whoever called us prints the exception; the log file would end without a reason.
                self.log.critical("No worker could boot: %s\n%s", reason, failure.frames)

    # -- the end -------------------------------------------------------------------------------------------------

    def _forget_in_child(self) -> None:
        """Close, in a child, what is the arbiter's; a written list, so that nothing is kept by accident."""
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()
        if self._signal_queue is not None:
            self._signal_queue.forget()
        for line in self._lines.values():
            line.channel.close()
            if line.pidfd is not None:
                os.close(line.pidfd)

    def _close(self) -> None:
        for handle in self._table:
            # Only after an error in this very loop: leave no worker behind.
            if handle.pid is not None:
                os.kill(handle.pid, signal.SIGKILL)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()
        self._close_listeners()
        for state in self._states.values():
            state.nudge.close()
        self._started = False
        self.logs.flush()
        # Last: a signal that comes after this does what it did before us.
        if self._signal_queue is not None:
            self._signal_queue.close()

    def _close_listeners(self) -> None:
        for listeners in self.listeners.values():
            for listener in listeners:
                listener.close()
        if self._pidfile is not None:
            self._pidfile.remove()


def _where(pool: str) -> str:
    """Return in words in which pool it is, where there are several."""
    return "" if pool == DEFAULT_POOL else f" in the pool {pool}"


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
