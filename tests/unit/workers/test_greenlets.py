"""What greenlet workers do with protocols other than HTTP, on gevent's hub in a process that is not patched."""

from __future__ import annotations

import os
import socket
from time import monotonic
from typing import Any, ClassVar

import pytest
from crew import Crew

from workerkit.errors import DeadlineExceeded
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.messages import BootFailed, Drain, Quit, Ready
from workerkit.process.scoreboard import Column
from workerkit.process.states import State
from workerkit.workers.base import WorkerContext
from workerkit.workers.gevent import GeventOptions, GeventWorker
from workerkit.workers.hub import Hub
from workerkit.workers.server import EXPIRE_FOR


class Unpatched(GeventWorker):
    """The worker, in a process whose tests need their standard library."""

    @classmethod
    def prepare(cls, options: Any) -> None:
        """Patch nothing."""


class Talk(Connection):
    """Says each line again, in one job that lasts as long as the connection."""

    __slots__ = ("_over",)

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._over = False

    def advance(self, now: float) -> Next:
        return Next.CLOSE if self._over else Next.RUN

    def take(self) -> Job:
        self._over = True
        return self._talk

    def drain(self, now: float) -> Next:
        self.stream.shut_read()
        return Next.CLOSE

    def _talk(self) -> None:
        for line in self.stream.lines():
            if line == b"fail\n":
                raise ValueError("as told")
            if line == b"exit\n":
                raise SystemExit("as told")
            if line == b"be quick\n":
                self._hurry()
            elif line == b"read twice\n":
                self._read_twice()
            else:
                self.stream.write(line)
        self.stream.write(b"bye\n")

    def _hurry(self) -> None:
        try:
            self.stream.wait(self.stream.want, 0.0)
        except DeadlineExceeded as error:
            self.stream.write(str(error).encode() + b"\n")

    def _read_twice(self) -> None:
        import gevent

        other = gevent.spawn(self.stream.read)
        gevent.sleep(0)
        try:
            self.stream.read()
        except RuntimeError as error:
            self.stream.write(str(error).encode() + b"\n")
        other.kill()


class Calls(Connection):
    """Runs one job for each byte, and has the next one ready as soon as the last has ended."""

    __slots__ = ("_bytes",)

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._bytes = b""

    def advance(self, now: float) -> Next:
        if not self._bytes:
            received = self.stream.recv(100)
            if received is None:
                return Next.IDLE
            if received == b"":
                return Next.CLOSE
            self._bytes = received
        if self._bytes.startswith(b"!"):
            raise ValueError("a broken protocol")
        return Next.RUN

    def take(self) -> Job:
        byte, self._bytes = self._bytes[:1], self._bytes[1:]

        def answer() -> bool:
            self.stream.send((byte.upper(),))
            return byte == b"x"

        return answer


class Mortal(Connection):
    """Asked how many have ended, says so; told to end, ends all the others in one moment. To end takes a while."""

    __slots__ = ()
    everyone: ClassVar[list[Mortal]] = []
    ended: ClassVar[int] = 0
    asker: ClassVar[socket.socket]
    """The client that asks, in the moment when the first one ends."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.everyone.append(self)

    def advance(self, now: float) -> Next:
        received = self.stream.recv(100)
        if received == b"end":
            for other in self.everyone:
                other.deadline = None if other is self else now
        return Next.RUN if received == b"ask" else Next.IDLE

    def take(self) -> Job:
        return lambda: self.stream.write(b"%d\n" % self.ended)

    def expire(self, now: float) -> Next:
        if not self.ended:
            self.asker.sendall(b"ask")
        Mortal.ended += 1
        until = monotonic() + EXPIRE_FOR
        while monotonic() < until:
            pass
        return Next.CLOSE


class Serving(Protocol):
    """Makes connections of one class."""

    def __init__(self, connection: type[Connection], job: str) -> None:
        self._connection = connection
        self.job = job

    def connect(self, stream: Stream) -> Connection:
        return self._connection(stream)


def start(crew: Crew, connection: type[Connection], worker: type[Unpatched] = Unpatched) -> int:
    crew.listen()
    options = GeventOptions()
    pid = crew.spawn(worker, serve=lambda: Serving(connection, "dialogue"), class_options=options)
    assert crew.await_message() == Ready()
    return pid


def line(client: socket.socket) -> bytes:
    """Read a line, however it comes."""
    got = b""
    while not got.endswith(b"\n"):
        piece = client.recv(1)
        assert piece, f"the connection ended after {got!r}"
        got += piece
    return got


def at_end(client: socket.socket) -> bool:
    """Wait for the next byte or the end; tell whether it was the end."""
    return client.recv(1) == b""


def test_dialogues_wait_side_by_side(crew: Crew) -> None:
    """Two conversations go on in turns, each in a job that has not ended."""
    start(crew, Talk)
    one, other = crew.connect(), crew.connect()
    for client, said in ((one, b"a\n"), (other, b"b\n"), (one, b"c\n"), (other, b"d\n")):
        client.sendall(said)
        assert line(client) == said

    assert crew.board.row(0)[Column.BUSY] == 2


def test_a_wait_ends_at_its_deadline(crew: Crew) -> None:
    """A job whose peer says nothing goes on when its deadline has come, and may go on talking."""
    start(crew, Talk)
    client = crew.connect()
    client.sendall(b"be quick\n")

    assert line(client) == b"the peer sent nothing in time\n"
    client.sendall(b"still there\n")
    assert line(client) == b"still there\n"


def test_two_readers_are_an_error(crew: Crew) -> None:
    """A second greenlet that reads from the same connection is told so, instead of waiting for ever."""
    start(crew, Talk)
    client = crew.connect()
    client.sendall(b"read twice\n")

    assert b"two greenlets wait for one connection" in line(client)


def test_a_drained_dialogue_sees_the_end_of_input(crew: Crew) -> None:
    """At the order to leave, a job that waits for its peer gets the end, says what it has to say, and all is over."""
    pid = start(crew, Talk)
    client = crew.connect()
    client.sendall(b"hello\n")
    line(client)
    crew.send(Drain(last=False, hand_over=False))

    assert line(client) == b"bye\n"
    assert at_end(client)
    assert crew.exit_code(pid) == 0


@pytest.mark.parametrize(("word", "error"), [(b"fail\n", "ValueError"), (b"exit\n", "SystemExit")])
def test_a_job_that_raises_ends_its_connection_alone(crew: Crew, word: bytes, error: str) -> None:
    """Its connection is closed, the error is logged and counted, and the others go on."""
    start(crew, Talk)
    one, other = crew.connect(), crew.connect()
    other.sendall(b"a\n")
    line(other)
    one.sendall(word)

    assert at_end(one)
    other.sendall(b"b\n")
    assert line(other) == b"b\n"
    assert f"{error}: as told" in crew.log
    assert crew.board.row(0)[Column.FAILURES] == 1


def test_jobs_that_follow_each_other_are_all_run(crew: Crew) -> None:
    """A connection that has its next job ready at once gets it taken once, each in its turn."""
    start(crew, Calls)
    client = crew.connect()
    client.sendall(b"abxc")

    assert b"".join(client.recv(1) for _ in range(4)) == b"ABXC"
    client.shutdown(socket.SHUT_WR)
    assert at_end(client), "the worker closes when it has counted"
    assert crew.board.row(0)[Column.REQUESTS] == 4
    assert crew.board.row(0)[Column.FAILURES] == 1


def test_a_broken_protocol_costs_its_connection(crew: Crew) -> None:
    """What ``advance`` raises is logged and closes that connection."""
    start(crew, Calls)
    broken, whole = crew.connect(), crew.connect()
    broken.sendall(b"!")
    assert at_end(broken)
    whole.sendall(b"a")

    assert whole.recv(1) == b"A"
    assert "ValueError: a broken protocol" in crew.log


def test_requests_take_turns_with_connections_whose_time_is_over(crew: Crew) -> None:
    """When many are due in one moment, a request that comes then is answered before the last of them has ended."""
    with socket.socket() as Mortal.asker:
        start(crew, Mortal)
        others = [crew.connect(b"ask") for _ in range(50)]
        assert {line(other) for other in others} == {b"0\n"}
        Mortal.asker.connect(crew.listeners[0].socket.getsockname())
        Mortal.asker.sendall(b"end")

        assert 1 <= int(line(Mortal.asker)) < len(others)
        assert all(at_end(other) for other in others)


def test_quit_leaves_at_once(crew: Crew) -> None:
    """At the order to quit, nobody is waited for."""
    pid = start(crew, Talk)
    client = crew.connect()
    client.sendall(b"hello\n")
    line(client)
    crew.send(Quit())

    assert crew.exit_code(pid) == 0


class Mistaken(Unpatched):
    """Has a fault of its own."""

    def receive_order(self) -> Any:
        """Fail."""
        raise OSError(9, "a mistake of the worker's")


def test_the_workers_own_fault_ends_it(crew: Crew) -> None:
    """A fault outside any connection is not survived in silence: the worker says so and is replaced."""
    pid = start(crew, Calls, Mistaken)
    crew.send(Drain(last=False, hand_over=False))

    failed = crew.await_message()

    assert isinstance(failed, BootFailed)
    assert "a mistake of the worker's" in failed.reason
    assert crew.exit_code(pid) != 0


def test_the_hub_is_made_in_the_worker() -> None:
    """Its poller is of the process that runs it: an abstract hub cannot be had."""
    with pytest.raises(TypeError, match="abstract"):
        Hub(None, os.getpid)  # type: ignore[abstract]


class WithSiblings(Unpatched):
    """Tells whose turn it is, and serves nobody."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self.row[Column.ACCEPTED_AT] = 5_000_000


@pytest.mark.parametrize(
    ("now", "theirs", "busy", "state", "turn"),
    [
        (9_000_000, 4_000_000, 0, State.READY, True),
        (9_000_000, 6_000_000, 0, State.READY, False),
        (9_000_000, 4_000_000, 1, State.READY, False),
        (9_000_000, 4_000_000, 0, State.DRAINING, False),
        (5_500_000, 4_000_000, 0, State.READY, False),
    ],
    ids=["it waits for longer", "it was its turn last", "it is busy", "it leaves", "there is enough for all"],
)
def test_a_connection_is_left_to_a_sibling(
    crew: Crew, now: int, theirs: int, busy: int, state: State, turn: bool
) -> None:
    """An idle sibling that has not accepted for longer is next, unless connections come in quick succession."""
    worker = WithSiblings(crew.context(class_options=GeventOptions(), workers=2))
    sibling = crew.board.row(1)
    sibling[Column.STATE] = state
    sibling[Column.ACCEPTED_AT] = theirs
    sibling[Column.BUSY] = busy

    assert worker._is_a_siblings_turn(now) is turn
