"""Idle connections go from a worker that leaves to one that stays; single turns of two loops in one process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from crew import BRIEF, Clock, Crew, has_answer, has_ended, http, read_response, request, say_path

from workerkit.net.address import UnixAddress
from workerkit.net.handover import HandedOver, Handover
from workerkit.net.poller import READ
from workerkit.process.messages import Channel, Drain, Message
from workerkit.process.scoreboard import Column
from workerkit.process.states import State
from workerkit.protocols.http1 import Http1, Http1Connection
from workerkit.workers.polling import ThreadOptions
from workerkit.workers.server import HAND_OVER_FOR
from workerkit.workers.sync import SyncWorker

HTTP = "workerkit.protocols.http1.protocol:Http1"


class Side:
    """A worker whose loop turns when a test says so, and its line to the arbiter."""

    def __init__(self, crew: Crew, handover: Handover, clock: Clock, slot: int) -> None:
        self.ours, theirs = Channel.pair()
        self.row = crew.board.row(slot)
        context = crew.context(
            clock=clock,
            slot=slot,
            row=self.row,
            channel=theirs,
            handover=handover,
            serve=http(say_path, clock, keepalive=30.0),
            class_options=ThreadOptions(),
            options=BRIEF,
        )
        self.theirs = theirs
        self.worker = SyncWorker(context)
        self.worker.boot()
        self.worker.poller.register(theirs.fileno(), READ)
        self.row.cells[Column.STATE] = State.READY

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.worker.turn()

    def order(self, message: Message) -> None:
        self.row.cells[Column.STATE] = State.DRAINING
        assert self.ours.send(message)
        self.turn()

    @property
    def connection(self) -> Http1Connection:
        [connection] = self.worker.connections.values()
        assert isinstance(connection, Http1Connection)
        return connection

    def close(self) -> None:
        self.worker.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handover() -> Iterator[Handover]:
    made = Handover()
    yield made
    made.close()


@pytest.fixture
def leaver(crew: Crew, handover: Handover, clock: Clock) -> Iterator[Side]:
    crew.listen()
    side = Side(crew, handover, clock, 0)
    yield side
    side.close()


@pytest.fixture
def stayer(crew: Crew, handover: Handover, clock: Clock) -> Iterator[Side]:
    side = Side(crew, handover, clock, 1)
    yield side
    side.close()


def serve_one(crew: Crew, side: Side) -> socket.socket:
    """Return a client that has had an answer and keeps its connection."""
    client = crew.connect(request("/first"))
    side.turn()
    assert read_response(client)[1] == b"/first"
    return client


def fill(handover: Handover) -> None:
    """Leave no room in the queue."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        while handover.send(HandedOver(ours, "", UnixAddress("@x"), "nobody's", b"", None)):
            pass


def test_an_idle_connection_changes_hands(crew: Crew, leaver: Side, stayer: Side, clock: Clock) -> None:
    """The one that stays answers the next request, and its deadline, peer and address are what they were."""
    client = serve_one(crew, leaver)
    before = leaver.connection
    facts = (before.deadline, before.stream.peer, before.stream.local)
    clock.now += 3.0
    leaver.order(Drain(last=False, hand_over=True))
    assert leaver.worker.connections == {}
    stayer.turn()

    after = stayer.connection
    assert (after.deadline, after.stream.peer, after.stream.local) == facts
    client.sendall(request("/second"))
    stayer.turn()
    assert read_response(client)[1] == b"/second"
    assert (leaver.row[Column.CONNECTIONS], stayer.row[Column.CONNECTIONS]) == (0, 1)


def test_a_request_that_comes_on_the_way_is_answered(crew: Crew, leaver: Side, stayer: Side) -> None:
    """What arrives while a connection is in the queue is read as soon as somebody takes it."""
    client = serve_one(crew, leaver)
    leaver.order(Drain(last=False, hand_over=True))
    client.sendall(request("/on-the-way"))
    stayer.turn()

    assert read_response(client)[1] == b"/on-the-way"


def test_a_connection_goes_when_its_request_is_answered(crew: Crew, leaver: Side, stayer: Side) -> None:
    """A request that is half here is answered by the worker that leaves, without a word of closing; then it goes."""
    client = serve_one(crew, leaver)
    client.sendall(request("/half")[:10])
    leaver.turn()
    leaver.order(Drain(last=False, hand_over=True))
    client.sendall(request("/half")[10:])
    leaver.turn()

    fields, body = read_response(client)
    assert (fields.get("connection"), body) == (None, b"/half")
    stayer.turn()
    assert len(stayer.worker.connections) == 1


def test_without_successors_an_idle_connection_gets_a_moment(crew: Crew, leaver: Side, stayer: Side) -> None:
    """On a full stop nothing is handed over: a late request is answered as the last one."""
    client = serve_one(crew, leaver)
    leaver.order(Drain(last=True, hand_over=False))
    client.sendall(request("/late"))
    leaver.turn()

    fields, body = read_response(client)
    assert (fields.get("connection"), body) == ("close", b"/late")
    assert stayer.worker.connections == {}


def test_a_full_queue_is_tried_again(crew: Crew, leaver: Side, stayer: Side, handover: Handover, clock: Clock) -> None:
    """A connection for which there is no room is kept, and served, until there is."""
    client = serve_one(crew, leaver)
    fill(handover)
    leaver.order(Drain(last=False, hand_over=True))
    client.sendall(request("/meanwhile"))
    leaver.turn()
    fields, body = read_response(client)
    assert (fields.get("connection"), body) == (None, b"/meanwhile")

    for _ in range(10):
        handover.receive().socket.close()
    clock.now += 0.1
    leaver.turn()
    assert leaver.worker.connections == {}


def test_what_nobody_takes_is_drained_after_a_while(
    crew: Crew, leaver: Side, handover: Handover, clock: Clock
) -> None:
    """When there is no room for too long, a late request is answered as the last one."""
    client = serve_one(crew, leaver)
    fill(handover)
    leaver.order(Drain(last=False, hand_over=True))
    clock.now += HAND_OVER_FOR
    leaver.turn()
    client.sendall(request("/late"))
    leaver.turn()

    fields, body = read_response(client)
    assert (fields.get("connection"), body) == ("close", b"/late")


def test_a_stop_that_follows_a_reload_takes_back_what_waits(crew: Crew, leaver: Side) -> None:
    """A worker that hears that nobody stays after all serves what is in the queue itself."""
    client, other = serve_one(crew, leaver), serve_one(crew, leaver)
    half = serve_one(crew, leaver)
    half.sendall(request("/half")[:10])
    leaver.turn()
    leaver.order(Drain(last=False, hand_over=True))
    assert len(leaver.worker.connections) == 1
    leaver.order(Drain(last=True, hand_over=False))
    for late in (client, other):
        late.sendall(request("/late"))
    leaver.turn()

    assert [read_response(late)[0].get("connection") for late in (client, other)] == ["close", "close"]


def test_a_connection_of_another_protocol_is_closed(crew: Crew, stayer: Side, handover: Handover) -> None:
    """What a worker cannot read the state of, it does not keep."""
    listener = crew.listen()
    ours, client = socket.socketpair()
    with client:
        with ours:
            assert handover.send(HandedOver(ours, "", listener.address, "another:Protocol", b"", None))
        stayer.turn()

        assert has_ended(client)
    assert "handed over in another protocol, another:Protocol" in crew.log


def test_whoever_has_more_leaves_them_to_a_sibling(
    crew: Crew, leaver: Side, stayer: Side, handover: Handover, clock: Clock
) -> None:
    """A worker that holds more connections than its siblings lets them take the next, but only for a moment."""
    assert stayer.row[Column.CONNECTIONS] == 0
    clients = [serve_one(crew, leaver) for _ in range(2)]
    ours, client = socket.socketpair()
    with client:
        ours.setblocking(False)
        with ours:
            assert handover.send(HandedOver(ours, "", crew.listeners[0].address, HTTP, b"used", None))
        leaver.turn()
        assert len(leaver.worker.connections) == 2

        clock.now += 0.1
        leaver.turn()
        assert len(leaver.worker.connections) == 3
    assert not any(has_answer(client) for client in clients)


def test_a_worker_that_retires_promises_that_connections_stay(crew: Crew, leaver: Side) -> None:
    """One that has asked to be replaced does not send its clients away: they will be handed over."""
    client = serve_one(crew, leaver)
    leaver.worker.retire("a test")
    client.sendall(request("/again"))
    leaver.turn()

    assert read_response(client)[0].get("connection") is None


@pytest.mark.parametrize("method", ["adopt", "export"])
def test_a_broken_protocol_costs_a_connection(
    crew: Crew, leaver: Side, stayer: Side, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What it raises while a connection changes hands is logged and ends that connection, and neither worker."""

    def fail(*_: object) -> Any:
        raise RuntimeError(f"{method} is broken")

    client = serve_one(crew, leaver)
    with monkeypatch.context() as patched:
        patched.setattr(Http1 if method == "adopt" else Http1Connection, method, fail)
        leaver.order(Drain(last=False, hand_over=True))
        stayer.turn()

    assert has_ended(client)
    assert f"RuntimeError: {method} is broken" in crew.log
    assert leaver.worker.connections == stayer.worker.connections == {}
    serve_one(crew, stayer)
