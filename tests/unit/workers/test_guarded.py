"""What a worker asks of connections before they may begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crew import Crew

from workerkit.net.address import TCPAddress
from workerkit.net.listener import ListenerOptions
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.workers.server import ServerWorker


class Line(Connection):
    def advance(self, now: float) -> Next:
        return Next.IDLE

    def take(self) -> Job:
        raise AssertionError("nothing is ever announced")


class Lines(Protocol):
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
def doormen() -> Iterator[list[Doorman]]:
    """Those that a test has made; they let go of their connections after it."""
    made: list[Doorman] = []
    yield made
    for doorman in made:
        for connection in list(doorman.connections.values()):
            doorman.discard(connection)


def doorman(crew: Crew, made: list[Doorman], options: ListenerOptions | None) -> Doorman:
    crew.listen()
    made.append(Doorman(crew.context(serve=Lines, listening=options)))
    made[-1].boot()
    return made[-1]


def accept(crew: Crew, worker: Doorman, data: bytes = b"") -> Connection:
    crew.connect(data)
    connection = worker.accept(crew.listeners[0])
    assert connection is not None
    return connection


@pytest.mark.parametrize("options", [None, ListenerOptions()])
def test_usually_nothing_stands_between_a_worker_and_its_protocol(
    crew: Crew, doormen: list[Doorman], options: ListenerOptions | None
) -> None:
    """Where nothing is asked for, nothing is paid for."""
    assert type(accept(crew, doorman(crew, doormen, options))) is Line


def test_one_too_many_is_over_at_once_and_one_that_ends_makes_room(crew: Crew, doormen: list[Doorman]) -> None:
    """The worker closes it like any other; its descriptor may then be another's."""
    worker = doorman(crew, doormen, ListenerOptions(connections_per_address=1))
    first = accept(crew, worker)
    second = accept(crew, worker)
    assert (first.advance(0.0), second.advance(0.0)) == (Next.IDLE, Next.CLOSE)

    worker.discard(second)
    assert accept(crew, worker).advance(0.0) is Next.CLOSE
    worker.discard(first)

    assert accept(crew, worker).advance(0.0) is Next.IDLE


def test_clients_of_a_proxy_are_counted_by_their_own_addresses(crew: Crew, doormen: list[Doorman]) -> None:
    """The header comes before the cap, and stays the client's until the connection ends."""
    worker = doorman(crew, doormen, ListenerOptions(connections_per_address=1, proxy_protocol="v1"))
    lines = [f"PROXY TCP4 203.0.113.{number} 192.0.2.1 1 443\r\n".encode() for number in (7, 8, 7)]
    connections = [accept(crew, worker, line) for line in lines]

    assert [connection.advance(0.0) for connection in connections] == [Next.IDLE, Next.IDLE, Next.CLOSE]
    assert connections[1].stream.local == TCPAddress("192.0.2.1", 443)
    worker.discard(connections[0])
    assert accept(crew, worker, lines[0]).advance(0.0) is Next.IDLE
