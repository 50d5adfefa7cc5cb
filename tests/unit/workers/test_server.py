"""Workers with sockets: what accepting can come to, the cap, deadlines."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from crew import Clock, Crew, out_of_descriptors

from workerkit.errors import ConfigError
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.scoreboard import Column
from workerkit.workers.server import EXPIRE_FOR, ConnectionOptions, ServerWorker


class Line(Connection):
    """A conversation that says nothing."""

    __slots__ = ("closed",)

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.closed = 0

    def advance(self, now: float) -> Next:
        return Next.IDLE

    def take(self) -> Job:
        raise AssertionError("nothing is ever announced")

    def close(self) -> None:
        self.closed += 1


class Silence(Protocol):
    """A protocol of such conversations."""

    def connect(self, stream: Stream) -> Connection:
        return Line(stream)


class Doorman(ServerWorker):
    """Accepts when a test says so."""

    jobs = frozenset({"call"})

    def run(self) -> None:
        """Nothing."""

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Nothing."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doorman(crew: Crew, clock: Clock) -> Iterator[Doorman]:
    crew.listen()
    worker = Doorman(crew.context(serve=Silence, clock=clock, class_options=ConnectionOptions(worker_connections=2)))
    worker.boot()
    yield worker
    for connection in list(worker.connections.values()):
        worker.discard(connection)


def test_a_waiting_connection_is_taken(crew: Crew, doorman: Doorman) -> None:
    """The connection that was accepted never blocks and knows both its ends."""
    client = crew.connect(b"hello")
    connection = doorman.accept(crew.listeners[0])

    assert connection is not None
    stream = connection.stream
    assert stream.socket.getblocking() is False
    assert (stream.peer, stream.local) == (client.getsockname(), crew.listeners[0].address)
    assert stream.recv(100) == b"hello"
    assert doorman.connections == {stream.fileno(): connection}


def test_nothing_there_is_no_error(crew: Crew, doorman: Doorman) -> None:
    """A sibling that was faster leaves nothing to take."""
    assert doorman.accept(crew.listeners[0]) is None
    assert doorman.may_accept
    assert "Accepting" not in crew.log


def test_out_of_descriptors_accepting_pauses(crew: Crew, doorman: Doorman, clock: Clock) -> None:
    """Without a free descriptor accepting pauses, one line says so, and the client is taken afterwards."""
    crew.connect()
    with out_of_descriptors():
        assert doorman.accept(crew.listeners[0]) is None

    assert not doorman.may_accept
    assert crew.log.count("Accepting pauses for 0.5 s") == 1
    clock.now += 0.5
    assert doorman.may_accept
    assert doorman.accept(crew.listeners[0]) is not None


def test_a_closed_listener_is_left(crew: Crew, doorman: Doorman) -> None:
    """A listener that is no longer ours gives nothing, and no pause."""
    crew.listeners[0].socket.close()

    assert doorman.accept(crew.listeners[0]) is None
    assert doorman.may_accept


def test_a_connection_that_was_lost_while_it_waited_is_one_line(crew: Crew, doorman: Doorman) -> None:
    """An error that was pending on the new connection concerns nobody else."""

    class Broken:
        @staticmethod
        def accept() -> tuple[socket.socket, object]:
            raise OSError(113, "No route to host")

    assert doorman.accept(Broken()) is None  # type: ignore[arg-type]  # what the kernel does cannot be had on demand
    assert doorman.may_accept
    assert "lost before it was accepted: [Errno 113] No route to host" in crew.log


def test_the_cap_holds(crew: Crew, doorman: Doorman) -> None:
    """With as many connections as allowed there is no room, until one goes."""
    for _ in range(2):
        crew.connect()
        assert doorman.may_accept
        assert doorman.accept(crew.listeners[0]) is not None
    assert not doorman.may_accept

    doorman.discard(next(iter(doorman.connections.values())))

    assert doorman.may_accept


def test_a_discarded_connection_is_closed_and_forgotten(crew: Crew, doorman: Doorman) -> None:
    """Conversation, then socket are closed, and the client sees the end."""
    client = crew.connect()
    connection = doorman.accept(crew.listeners[0])
    assert isinstance(connection, Line)

    doorman.discard(connection)

    assert client.recv(1) == b""
    assert (connection.closed, connection.stream.fileno(), doorman.connections) == (1, -1, {})


def test_connections_are_counted(crew: Crew, doorman: Doorman) -> None:
    """The scoreboard tells how many are open and how many there ever were."""
    row = crew.board.row(0)
    for _ in range(2):
        crew.connect()
        doorman.accept(crew.listeners[0])
    assert (row[Column.CONNECTIONS], row[Column.ACCEPTED]) == (2, 2)

    doorman.discard(next(iter(doorman.connections.values())))

    assert (row[Column.CONNECTIONS], row[Column.ACCEPTED]) == (1, 2)


def test_overdue_connections_are_those_past_their_deadline(crew: Crew, doorman: Doorman, clock: Clock) -> None:
    """A connection without a deadline is never overdue, one is when its time has come."""
    for _ in range(2):
        crew.connect()
        doorman.accept(crew.listeners[0])
    first, _ = doorman.connections.values()
    first.deadline = clock.now + 5.0

    assert list(doorman.overdue(clock.now + 4.9)) == []
    assert list(doorman.overdue(clock.now + 5.0)) == [first]


def both_overdue(crew: Crew, doorman: Doorman, clock: Clock) -> tuple[Connection, Connection]:
    for _ in range(2):
        crew.connect()
        doorman.accept(crew.listeners[0])
    first, second = doorman.connections.values()
    first.deadline = second.deadline = clock.now
    return first, second


def test_overdue_connections_that_take_long_to_end_are_left_for_the_next_turn(
    crew: Crew, doorman: Doorman, clock: Clock
) -> None:
    """Requests come in between, however many are due in one moment."""
    first, second = both_overdue(crew, doorman, clock)
    ended = []
    for connection in doorman.overdue(clock.now):
        ended.append(connection)
        clock.now += EXPIRE_FOR

    assert (ended, doorman.late) == ([first], [second])
    assert list(doorman.overdue(clock.now)) == [second]


def test_overdue_connections_may_take_as_long_as_the_turn_has_taken(
    crew: Crew, doorman: Doorman, clock: Clock
) -> None:
    """Where every request takes long, connections that are due do not outlive their deadline by hundreds of turns."""
    both_overdue(crew, doorman, clock)
    begun = clock.now
    clock.now += 10 * EXPIRE_FOR
    ended = 0
    for _ in doorman.overdue(begun):
        ended += 1
        clock.now += EXPIRE_FOR

    assert ended == 2


@pytest.mark.parametrize("fate", ["has gone", "has gone on"])
def test_an_overdue_connection_that_was_left_may_be_overdue_no_more(
    crew: Crew, doorman: Doorman, clock: Clock, fate: str
) -> None:
    """What has become of it in the meantime counts."""
    _, second = both_overdue(crew, doorman, clock)
    next(iter(doorman.overdue(clock.now)))
    if fate == "has gone":
        doorman.discard(second)
    else:
        second.deadline = clock.now + 1.0

    assert list(doorman.overdue(clock.now)) == []


def test_a_worker_without_a_cap_of_its_own_has_the_default(crew: Crew) -> None:
    """A plugin's Options need not repeat the cap."""
    assert Doorman(crew.context(class_options=object())).connection_limit == 1000


def test_a_protocol_that_cannot_run_is_refused(crew: Crew) -> None:
    """A dialogue on a worker that runs calls is an error at boot, which names both."""

    class Talk(Silence):
        job = "dialogue"

    with pytest.raises(ConfigError, match="Doorman runs jobs of the kinds call; Talk needs 'dialogue'"):
        Doorman(crew.context(serve=Talk)).boot()


def test_a_server_needs_something_to_serve(crew: Crew) -> None:
    """A pool that serves nothing cannot have workers with sockets."""
    with pytest.raises(ConfigError, match="nothing to serve"):
        Doorman(crew.context()).boot()
