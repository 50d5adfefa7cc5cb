"""The worker contract: its life from fork to exit, its orders, its heart."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from crew import Clock, Crew, http

from workerkit.errors import AppLoadError, BootError, ConfigError
from workerkit.net.poller import READ, wait_for
from workerkit.process.messages import BootFailed, Drain, Message, Quit, Ready, ReopenLogs, Retiring, Signalled
from workerkit.process.scoreboard import Column
from workerkit.workers.base import Order, Worker, WorkerOptions, describe_failure


class Consumer(Worker):
    """All that a worker without sockets needs: ``run``."""

    def run(self) -> None:
        while self.tick() is None:
            wait_for(self.orders, READ, self.beat_interval)


class Diary(Consumer):
    """Tells, by the pipe in DIARY, what happened to it and in what order."""

    @classmethod
    def prepare(cls, options: object) -> None:
        note("prepare")

    def __init__(self, context: Any) -> None:
        note("init")
        super().__init__(context)

    def boot(self) -> None:
        super().boot()
        note("boot")

    def run(self) -> None:
        note("run")
        super().run()


def note(what: str) -> None:
    os.write(int(os.environ["DIARY"]), what.encode() + b"\n")


@contextlib.contextmanager
def lifespan() -> Iterator[None]:
    note("enter")
    try:
        yield
    finally:
        note("leave")


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setenv("DIARY", str(writer))
    yield reader
    os.close(reader)
    os.close(writer)


# -- orders and the heart --


def test_run_is_all_that_must_be_written() -> None:
    """The base cannot be made; a subclass with ``run`` is a worker."""
    assert Worker.__abstractmethods__ == {"run"}


@pytest.mark.parametrize(
    ("messages", "order"),
    [
        ([], None),
        ([Drain(last=False, hand_over=False)], Order.DRAIN),
        ([Drain(last=True, hand_over=False)], Order.DRAIN_LAST),
        ([Quit()], Order.QUIT),
        ([Drain(last=True, hand_over=False), Quit()], Order.QUIT),
        ([Quit(), Drain(last=False, hand_over=False)], Order.QUIT),
        ([ReopenLogs()], None),
        ([Ready()], None),
    ],
)
def test_orders_come_by_the_channel(crew: Crew, messages: list[Message], order: Order | None) -> None:
    """What the arbiter sent is received as one order, the most urgent; what is no order is none."""
    worker = Consumer(crew.context())
    for message in messages:
        crew.send(message)

    assert worker.tick() is order
    assert worker.tick() is None


def test_an_order_makes_a_descriptor_readable(crew: Crew) -> None:
    """A loop of its own kind polls ``orders`` beside what else it waits for."""
    worker = Consumer(crew.context())
    assert not wait_for(worker.orders, READ, 0.0)

    crew.send(Quit())

    assert wait_for(worker.orders, READ, 0.0)


def test_without_an_arbiter_there_is_nothing_to_do(crew: Crew) -> None:
    """When the arbiter's end of the channel is gone, the worker leaves."""
    worker = Consumer(crew.context())
    crew.arbiters_end.close()

    assert worker.tick() is Order.QUIT


def test_logs_are_reopened_by_order(crew: Crew) -> None:
    """After ReopenLogs the worker writes to the file that has the name now."""
    worker = Consumer(crew.context())
    (crew.folder / "error.log").rename(crew.folder / "moved.log")
    crew.send(ReopenLogs())
    worker.tick()
    worker.log.error("after rotation")

    assert "after rotation" in crew.log


def test_the_heart_beats_with_every_tick(crew: Crew) -> None:
    """A tick writes the time into the scoreboard, where the arbiter looks."""
    clock = Clock()
    worker = Consumer(crew.context(clock=clock))
    assert crew.board.row(0).beat == 0.0

    worker.tick()
    assert crew.board.row(0).beat == 1000.0
    clock.now = 1007.5
    worker.tick()
    assert crew.board.row(0).beat == 1007.5


@pytest.mark.parametrize(("timeout", "interval"), [(30.0, 1.0), (3.0, 1.0), (0.6, 0.2), (0.0, 1.0)])
def test_the_heart_beats_three_times_before_it_is_missed(crew: Crew, timeout: float, interval: float) -> None:
    """The interval leaves two beats to spare, and is no longer than a second."""
    worker = Consumer(crew.context(options=WorkerOptions(timeout=timeout)))

    assert worker.beat_interval == pytest.approx(interval)


def test_what_was_done_is_counted(crew: Crew) -> None:
    """Finished jobs and failed ones stand in the scoreboard."""
    worker = Consumer(crew.context())
    for failed in (False, True, False):
        worker.count(failed)

    assert (crew.board.row(0)[Column.REQUESTS], crew.board.row(0)[Column.FAILURES]) == (3, 1)


def test_a_job_that_waited_for_long_is_shown_at_once(crew: Crew) -> None:
    """The protocol has the worker note in the scoreboard when one began; the arbiter does not wait for a heartbeat."""
    clock = Clock()
    worker = Consumer(crew.context(serve=http(lambda _exchange: None), clock=clock))
    worker.boot()
    assert worker.protocol is not None
    assert worker.protocol.on_late_job is not None
    worker.protocol.on_late_job()

    assert crew.board.row(0)[Column.LATE_AT] == int(clock() * 1e9)


def test_a_worker_asks_once_to_be_replaced(crew: Crew) -> None:
    """After max_requests the arbiter is told, once, and the worker goes on counting."""
    worker = Consumer(crew.context(options=WorkerOptions(max_requests=3)))
    for _ in range(5):
        worker.count()

    assert crew.receive() == [Retiring("3 requests")]
    assert crew.board.row(0)[Column.REQUESTS] == 5


def test_without_a_limit_nobody_retires(crew: Crew) -> None:
    """max_requests 0 means never, whatever the jitter."""
    worker = Consumer(crew.context(options=WorkerOptions(max_requests=0, max_requests_jitter=10)))
    for _ in range(100):
        worker.count()

    assert crew.receive() == []


def test_jitter_spreads_the_limit(crew: Crew) -> None:
    """Workers with the same limit retire after different numbers of requests, never before the limit."""
    limits = set()
    for _ in range(200):
        worker = Consumer(crew.context(options=WorkerOptions(max_requests=5, max_requests_jitter=3)))
        crew.board.take(0)
        while not crew.receive():
            worker.count()
        limits.add(crew.board.row(0)[Column.REQUESTS])

    assert limits == {5, 6, 7, 8}


def test_a_worker_can_retire_for_a_reason_of_its_own(crew: Crew) -> None:
    """A plugin asks to be replaced with its own words."""
    Consumer(crew.context()).retire("its memory has grown")

    assert crew.receive() == [Retiring("its memory has grown")]


# -- a life --


def test_a_life_in_order(crew: Crew, diary: int) -> None:
    """prepare, construction, boot, the lifespan around run; ready when run begins; exit code 0 at the end."""
    pid = crew.spawn(Diary, lifespan=lifespan)
    assert crew.await_message() == Ready()
    crew.send(Drain(last=True, hand_over=False))

    assert crew.exit_code(pid) == 0
    assert os.read(diary, 1000).decode().split() == ["prepare", "init", "boot", "enter", "run", "leave"]


def test_a_mold_has_prepared_already(crew: Crew, diary: int) -> None:
    """A worker that was forked from a mold does not prepare again."""
    pid = crew.spawn(Diary, prepared=True)
    crew.await_message()
    crew.send(Quit())

    assert crew.exit_code(pid) == 0
    assert os.read(diary, 1000).split() == [b"init", b"boot", b"run"]


def test_a_worker_whose_parent_died_first_leaves(crew: Crew, diary: int) -> None:
    """An arbiter that ended before the kernel was asked for a signal is noticed all the same: nothing is done."""
    crew.arbiters_end.close()
    pid = crew.spawn(Diary)

    assert crew.exit_code(pid) == 0
    with pytest.raises(BlockingIOError):  # nothing was written
        os.read(diary, 1000)


def test_a_heart_beats_before_it_is_ready(crew: Crew) -> None:
    """The arbiter never sees a ready worker without a heartbeat."""
    pid = crew.spawn(Consumer)
    crew.await_message()

    assert crew.board.row(0).beat > 0.0
    crew.send(Quit())
    assert crew.exit_code(pid) == 0


def test_the_application_can_tell_the_workers_apart(crew: Crew) -> None:
    """Slot and number are in the environment when the application is loaded."""

    def serve() -> Any:
        raise BootError(f"slot {os.environ['WORKERKIT_SLOT']}, number {os.environ['WORKERKIT_NUMBER']}")

    crew.spawn(Consumer, serve=serve, slot=3, number=1, row=crew.board.row(3))

    assert crew.await_message() == BootFailed("slot 3, number 1", "", 3)


def raise_bug() -> Any:
    return {}["missing"]


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (AppLoadError("no attribute 'app'"), "no attribute 'app'", 4),
        (BootError("cannot import", "  File app.py"), "cannot import", 3),
        (ConfigError("cannot serve"), "cannot serve", 1),
        (ZeroDivisionError("division by zero"), "worker 0 failed: ZeroDivisionError: division by zero", 3),
    ],
)
def test_a_failed_boot_is_told_and_exits(crew: Crew, error: Exception, reason: str, code: int) -> None:
    """The arbiter is told the reason once, with the exit code that the process ends with."""

    def serve() -> Any:
        raise error

    pid = crew.spawn(Consumer, serve=serve)
    message = crew.await_message()

    assert isinstance(message, BootFailed)
    assert (message.reason, message.exit_code) == (reason, code)
    assert crew.exit_code(pid) == code


def test_the_users_own_frames_are_told() -> None:
    """An error of the application comes with the lines of the application that led to it."""
    try:
        raise_bug()
    except KeyError as error:
        failure = describe_failure("worker 2", error)

    assert failure.reason == "worker 2 failed: KeyError: 'missing'"
    assert 'return {}["missing"]' in failure.frames


def test_frames_fit_a_message() -> None:
    """Of an endless recursion the last frames are kept, as many as a message may carry."""
    failure = describe_failure("worker 0", BootError("too deep", "x" * 100_000))

    assert len(failure.frames) == 16 * 1024


def test_a_lifespan_that_fails_is_a_failed_boot(crew: Crew) -> None:
    """When a connection or a pool cannot be had, the worker never becomes ready."""

    @contextlib.contextmanager
    def no_database() -> Iterator[None]:
        raise ConnectionRefusedError(111, "no database")
        yield

    pid = crew.spawn(Consumer, lifespan=no_database)
    message = crew.await_message()

    assert isinstance(message, BootFailed)
    assert "no database" in message.reason
    assert crew.exit_code(pid) == 3


def test_a_lifespan_is_left_even_when_run_fails(crew: Crew, diary: int) -> None:
    """What was opened is closed when the loop itself raises, and the error is told."""

    class Broken(Consumer):
        def run(self) -> None:
            raise RuntimeError("in run")

    pid = crew.spawn(Broken, lifespan=lifespan)

    assert crew.exit_code(pid) == 3
    ready, failed = crew.receive()
    assert ready == Ready()
    assert isinstance(failed, BootFailed)
    assert "in run" in failed.reason
    assert os.read(diary, 1000).split() == [b"enter", b"leave"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_to_a_worker_reaches_the_arbiter(crew: Crew, number: int) -> None:
    """Whoever signals a worker directly is heard by the arbiter, who decides; the worker goes on until it is told."""
    pid = crew.spawn(Consumer)
    crew.await_message()
    os.kill(pid, number)

    assert crew.await_message() == Signalled(number)
    crew.send(Drain(last=False, hand_over=False))
    assert crew.exit_code(pid) == 0


def test_signals_for_arbiters_do_nothing_to_a_worker(crew: Crew) -> None:
    """HUP, USR2, TTIN, TTOU and WINCH, which a terminal sends to a whole group, are ignored."""
    pid = crew.spawn(Consumer)
    crew.await_message()
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
        os.kill(pid, number)
    crew.send(Quit())

    assert crew.exit_code(pid) == 0
    assert crew.receive() == []
