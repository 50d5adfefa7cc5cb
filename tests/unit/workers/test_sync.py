"""The sync worker: real processes where its whole life counts, single turns of its loop where their order does."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crew import (
    BRIEF,
    Clock,
    Crew,
    has_answer,
    has_ended,
    http,
    out_of_descriptors,
    read_response,
    request,
    say_path,
)

from workerkit.errors import DeadlineExceeded
from workerkit.net.poller import READ, WRITE, wait_for
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.messages import Drain, Quit, Ready, Retiring
from workerkit.process.scoreboard import Column
from workerkit.protocols.http1 import Gateway, Http1Connection
from workerkit.workers.base import WorkerOptions
from workerkit.workers.server import EXPIRE_FOR, ConnectionOptions
from workerkit.workers.sync import SyncWorker


class Loop:
    """A worker whose loop turns when a test says so. The one place that knows how ``run`` is made."""

    def __init__(self, worker: SyncWorker) -> None:
        self.worker = worker
        worker.boot()
        worker.poller.register(worker.orders, READ)

    def turn(self, times: int = 1) -> bool:
        """Turn so many times; False when the worker wants to leave."""
        for _ in range(times):
            if not self.worker.turn():
                return False
        return not (self.worker.draining and not self.worker.connections)

    def turn_until(self, done: Callable[[], bool]) -> int:
        """Turn until something is so, and return how many turns it took."""
        for turns in range(1000):
            if done():
                return turns
            self.turn()
        raise AssertionError("it never comes to pass")

    def close(self) -> None:
        for connection in list(self.worker.connections.values()):
            self.worker.discard(connection)
        self.worker.poller.close()


Start = Callable[..., Loop]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(crew: Crew, clock: Clock) -> Iterator[Start]:
    """Make a worker that is stepped through."""
    loops: list[Loop] = []

    def make(
        gateway: Gateway = say_path,
        *,
        workers: int = 1,
        serve: Callable[[], Protocol] | None = None,
        connections: int = 1000,
        max_requests: int = 0,
        **options: Any,
    ) -> Loop:
        crew.listen()
        crew.siblings(workers)
        context = crew.context(
            workers=workers,
            serve=serve or http(gateway, clock, **options),
            clock=clock,
            options=WorkerOptions(timeout=BRIEF.timeout, max_requests=max_requests),
            class_options=ConnectionOptions(worker_connections=connections),
        )
        loops.append(Loop(SyncWorker(context)))
        return loops[-1]

    yield make
    for loop in loops:
        loop.close()


class Gate:
    """Holds a request inside the application until the test lets it go on, across processes."""

    def __init__(self) -> None:
        self.entered, self._enter = os.pipe()
        self._left, self.leave = os.pipe()

    def __call__(self, exchange: Http1Connection) -> None:
        if exchange.head.path == "/gate":
            os.write(self._enter, b".")
            os.read(self._left, 1)
        say_path(exchange)

    def await_entry(self) -> None:
        assert wait_for(self.entered, READ, 10.0), "nobody came to the gate"
        os.read(self.entered, 1)

    def open(self) -> None:
        os.write(self.leave, b".")

    def close(self) -> None:
        for fd in (self.entered, self._enter, self._left, self.leave):
            os.close(fd)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


# -- a whole life --


def test_a_worker_serves_until_it_is_told_to_leave(crew: Crew) -> None:
    """Requests on one connection and on several are answered; a drained worker exits with 0."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(say_path))
    assert crew.await_message() == Ready()
    clients = [crew.connect() for _ in range(3)]
    for target in ("/a", "/b"):
        for client in clients:
            client.sendall(request(target))
        assert [read_response(client)[1] for client in clients] == [target.encode()] * 3
    for client in clients:
        client.close()
    crew.send(Drain(last=False, hand_over=False))

    assert crew.exit_code(pid) == 0
    assert (crew.board.row(0)[Column.REQUESTS], crew.board.row(0)[Column.CONNECTIONS]) == (6, 0)


def test_a_drained_worker_finishes_what_has_begun(crew: Crew, gate: Gate) -> None:
    """A request in the application and one that is half here are answered, both as the last on their connections."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(gate))
    crew.await_message()
    half = crew.connect(request("/half")[:20])
    idle = crew.connect(request("/first"))
    read_response(idle)
    held = crew.connect(request("/gate"))
    gate.await_entry()
    crew.send(Drain(last=False, hand_over=False))
    gate.open()
    half.sendall(request("/half")[20:])

    assert read_response(held)[1] == b"/gate"
    fields, body = read_response(half)
    assert (fields.get("connection"), body) == ("close", b"/half")
    assert idle.recv(1) == b""
    half.close()
    held.close()
    assert crew.exit_code(pid) == 0


def test_on_a_full_stop_the_backlog_is_served(crew: Crew, gate: Gate) -> None:
    """Who waits to be accepted when the last worker is told to leave is answered, since nobody else will do it."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(gate))
    crew.await_message()
    held = crew.connect(request("/gate"))
    gate.await_entry()
    waiting = [crew.connect(request(f"/{number}")) for number in range(5)]
    crew.send(Drain(last=True, hand_over=False))
    gate.open()

    assert [read_response(client)[1] for client in waiting] == [b"/%d" % number for number in range(5)]
    for client in (held, *waiting):
        client.close()
    assert crew.exit_code(pid) == 0


def test_on_a_reload_the_backlog_is_left_to_the_successors(crew: Crew, gate: Gate) -> None:
    """A worker that others follow takes nothing new; who waits is found in the queue by them."""
    listener = crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(gate))
    crew.await_message()
    held = crew.connect(request("/gate"))
    gate.await_entry()
    crew.connect(request("/later"))
    crew.send(Drain(last=False, hand_over=False))
    gate.open()
    read_response(held)
    held.close()

    assert crew.exit_code(pid) == 0
    accepted, _ = listener.socket.accept()
    with accepted:
        assert accepted.recv(1000) == request("/later")


def test_a_worker_that_is_told_to_quit_leaves_at_once(crew: Crew) -> None:
    """Quit waits for nobody: open connections see the end."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(say_path))
    crew.await_message()
    half = crew.connect(request()[:10])
    served = crew.connect(request())
    read_response(served)
    crew.send(Quit())

    assert crew.exit_code(pid) == 0
    assert served.recv(1) == b""
    assert has_ended(half)


def test_a_worker_without_an_arbiter_leaves(crew: Crew) -> None:
    """When the arbiter's end of its channel is closed, a worker is ended by the kernel."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(say_path))
    crew.await_message()
    crew.arbiters_end.close()

    assert crew.exit_code(pid) == -signal.SIGKILL


def test_drips_stall_nobody(crew: Crew) -> None:
    """Clients that send a byte now and then, or nothing, do not delay one that sends its request."""
    crew.listen()
    pid = crew.spawn(SyncWorker, serve=http(say_path))
    crew.await_message()
    drips = [crew.connect(b"G") for _ in range(50)]
    idle = [crew.connect() for _ in range(50)]
    for position in range(1, 10):
        for drip in drips:
            drip.sendall(request()[position : position + 1])
        client = crew.connect(request(f"/{position}"))
        assert read_response(client)[1] == b"/%d" % position
        client.close()

    assert not any(has_ended(client) for client in (*drips, *idle))
    crew.send(Quit())
    assert crew.exit_code(pid) == 0


# -- accepting in turn --


def answered(clients: list[socket.socket]) -> int:
    return sum(map(has_answer, clients))


def test_one_new_connection_is_taken_in_a_turn(crew: Crew, start: Start) -> None:
    """However many wait, each turn takes one, and answers it at once when its request has come with it."""
    loop = start()
    clients = [crew.connect(request()) for _ in range(4)]

    counts = []
    for _ in range(4):
        loop.turn()
        counts.append(answered(clients))

    assert counts == [1, 2, 3, 4]


def test_no_connection_is_taken_while_requests_are_served(crew: Crew, start: Start) -> None:
    """A worker with siblings leaves newcomers to them in a turn in which it ran a request, and takes one afterwards."""
    loop = start(workers=2)
    served = crew.connect(request())
    loop.turn_until(lambda: has_answer(served))
    read_response(served)
    served.sendall(request("/again"))
    newcomer = crew.connect(request("/new"))

    loop.turn()
    assert (has_answer(served), has_answer(newcomer)) == (True, False)
    loop.turn()
    assert has_answer(newcomer)


def test_a_newcomer_that_nobody_takes_is_taken_all_the_same(crew: Crew, start: Start, clock: Clock) -> None:
    """A worker that is never without a request takes a connection that has waited for a while."""
    loop = start(workers=2)
    busy = crew.connect(request())
    loop.turn_until(lambda: has_answer(busy))
    newcomer = crew.connect(request("/new"))
    for _ in range(3):
        busy.sendall(request())
        loop.turn()
    assert not has_answer(newcomer)

    clock.now += 0.06
    busy.sendall(request())
    loop.turn()

    assert has_answer(newcomer)


def nudges(crew: Crew) -> int:
    """Take the nudges that were given since the last time."""
    try:
        return os.eventfd_read(crew.nudge.fileno())
    except BlockingIOError:
        return 0


def test_who_leaves_a_newcomer_to_the_siblings_nudges_them(crew: Crew, start: Start) -> None:
    """The kernel woke this process alone, so without a nudge no sibling would know."""
    loop = start(workers=2)
    served = crew.connect(request())
    loop.turn_until(lambda: has_answer(served))
    read_response(served)
    nudges(crew)
    served.sendall(request("/again"))
    crew.connect(request("/new"))

    loop.turn()

    assert nudges(crew) == 1


def test_who_stops_listening_nudges_the_siblings(crew: Crew, start: Start) -> None:
    """A leaving worker may have been woken for a connection that it takes no more."""
    loop = start(workers=2)
    loop.turn()
    nudges(crew)
    crew.send(Drain(last=False, hand_over=False))
    loop.turn(2)

    assert nudges(crew) == 1


def test_a_nudged_worker_looks_at_its_listeners_again(crew: Crew, start: Start) -> None:
    """A connection for which another process was woken is found and served."""
    listener = crew.listen()
    loop = start(workers=2)
    loop.turn()
    # As if the kernel had woken somebody else: the connection is there, and our poller was not told.
    loop.worker.poller.unregister(listener.fileno())
    client = crew.connect(request())
    loop.worker.poller.register(listener.fileno(), 0)
    crew.nudge.give()
    loop.turn_until(lambda: has_answer(client))


def test_a_worker_alone_takes_newcomers_beside_its_requests(crew: Crew, start: Start) -> None:
    """Without siblings nobody else will take them."""
    loop = start(workers=1)
    served = crew.connect(request())
    loop.turn_until(lambda: has_answer(served))
    served.sendall(request("/again"))
    newcomer = crew.connect(request("/new"))

    loop.turn()

    assert has_answer(newcomer)


def test_at_its_cap_a_worker_does_not_listen(crew: Crew, start: Start) -> None:
    """More connections than allowed wait in the backlog until one goes."""
    loop = start(connections=1)
    first = crew.connect(request())
    loop.turn_until(lambda: has_answer(first))
    second = crew.connect(request())

    loop.turn(5)
    assert not has_answer(second)
    first.close()
    loop.turn_until(lambda: has_answer(second))


def test_without_descriptors_accepting_pauses_and_serving_goes_on(crew: Crew, start: Start, clock: Clock) -> None:
    """At the limit the log says so once, requests go on being answered, and accepting begins again by itself."""
    loop = start()
    served = crew.connect(request())
    loop.turn_until(lambda: has_answer(served))
    read_response(served)
    newcomer = crew.connect(request("/new"))
    served.sendall(request("/again"))
    with out_of_descriptors():
        loop.turn(5)

    assert read_response(served)[1] == b"/again"
    assert crew.log.count("Accepting pauses") == 1
    assert not has_answer(newcomer)

    clock.now += 0.5
    loop.turn_until(lambda: has_answer(newcomer))


# -- the loop --


def test_pipelined_requests_let_others_go_first(crew: Crew, start: Start) -> None:
    """A client that sends many requests at once gets one answer in a turn, and others are served in between."""
    loop = start()
    greedy = crew.connect(request() * 5)
    loop.turn_until(lambda: has_answer(greedy))
    modest = crew.connect(request("/modest"))

    turns = loop.turn_until(lambda: has_answer(modest))

    assert turns <= 2
    assert crew.board.row(0)[Column.REQUESTS] < 5
    loop.turn_until(lambda: crew.board.row(0)[Column.REQUESTS] == 6)


def test_who_comes_in_the_midst_of_many_waits_for_a_few_of_them(crew: Crew, start: Start) -> None:
    """A turn of the loop takes some of those that are ready, and the next one goes on with the others."""
    loop = start()
    clients = [crew.connect(request()) for _ in range(20)]
    loop.turn_until(lambda: len(loop.worker.connections) == 20 and all(has_answer(client) for client in clients))
    for client in clients:
        read_response(client)
        client.sendall(request())

    answered = []
    for _ in range(3):
        loop.turn()
        answered.append(sum(has_answer(client) for client in clients))
    assert answered == [8, 16, 20]


def test_a_slow_reader_holds_nobody(crew: Crew, start: Start) -> None:
    """A response that its client does not take waits while others are served, and arrives whole in the end."""
    data = os.urandom(8 << 20)

    def gateway(exchange: Http1Connection) -> None:
        if exchange.head.path == "/large":
            exchange.respond("200 OK", [], data)
        else:
            say_path(exchange)

    loop = start(gateway)
    slow = crew.connect(request("/large"))
    loop.turn_until(lambda: has_answer(slow))
    other = crew.connect(request("/small"))
    loop.turn_until(lambda: has_answer(other))
    assert read_response(other)[1] == b"/small"
    assert loop.worker.connections

    received = bytearray()
    slow.setblocking(False)
    while len(received) < len(data) or bytes(received[-len(data) :]) != data:
        loop.turn()
        try:
            received += slow.recv(1 << 20)
        except BlockingIOError:
            continue


def test_deadlines_are_kept(crew: Crew, start: Start, clock: Clock) -> None:
    """An idle connection is closed when its time is over, and a head that does not come is answered with 408."""
    loop = start(keepalive=5.0, head_timeout=20.0)
    idle, half = crew.connect(request()), crew.connect(request()[:10])
    loop.turn_until(lambda: has_answer(idle) and len(loop.worker.connections) == 2)
    loop.turn()
    read_response(idle)

    clock.now += 5.0
    loop.turn_until(lambda: has_ended(idle))
    assert not has_answer(half)

    clock.now += 15.0
    loop.turn_until(lambda: has_answer(half))
    assert read_response(half)[0]["status"] == "408"


def test_requests_take_turns_with_connections_whose_time_is_over(crew: Crew, start: Start, clock: Clock) -> None:
    """When many are due in one moment, a request that comes then waits for the end of one of them, not of all."""
    loop = start(serve=protocol_of(lambda stream: Mortal(stream, clock)))
    patient, *mortals = [crew.connect(b"p"), *(crew.connect(b"m") for _ in range(5))]
    loop.turn_until(lambda: has_answer(mortals[-1]))
    assert [client.recv(10) for client in (patient, *mortals)] == [b"P", *[b"M"] * 5]
    clock.now += 1.0
    loop.turn()

    assert [has_ended(each) for each in mortals] == [True, False, False, False, False]
    patient.sendall(b"p")
    loop.turn()
    assert patient.recv(10) == b"P"
    assert sum(has_ended(each) for each in mortals) == 2
    loop.turn(3)
    assert all(has_ended(each) for each in mortals)


def test_a_client_that_leaves_is_forgotten(crew: Crew, start: Start) -> None:
    """A connection that ends is closed on our side too and not counted any more."""
    loop = start()
    client = crew.connect(request())
    loop.turn_until(lambda: has_answer(client))
    assert crew.board.row(0)[Column.CONNECTIONS] == 1
    client.close()

    loop.turn_until(lambda: not loop.worker.connections)

    assert crew.board.row(0)[Column.CONNECTIONS] == 0


def test_the_scoreboard_shows_a_running_request(crew: Crew, start: Start) -> None:
    """While the application runs the row says busy, afterwards it does not, and failures are counted."""
    seen: list[int] = []

    def gateway(exchange: Http1Connection) -> None:
        seen.append(crew.board.row(0)[Column.BUSY])
        if exchange.head.path == "/fails":
            raise RuntimeError("fails")
        say_path(exchange)

    loop = start(gateway)
    for target in ("/", "/fails"):
        client = crew.connect(request(target))
        loop.turn_until(lambda client=client: has_answer(client))

    row = crew.board.row(0)
    assert seen == [1, 1]
    assert (row[Column.BUSY], row[Column.REQUESTS], row[Column.FAILURES]) == (0, 2, 1)


def test_the_heart_beats_with_every_turn(crew: Crew, start: Start, clock: Clock) -> None:
    """A loop that turns is a worker that lives, whether or not anything happens."""
    loop = start()
    for _ in range(3):
        clock.now += 1.0
        loop.turn()
        assert crew.board.row(0).beat == clock.now


def test_a_job_that_waits_blocks_and_beats(crew: Crew, start: Start, clock: Clock) -> None:
    """Waiting on a stream blocks the worker until it is ready, or raises at the deadline, with a beat before it."""
    worker = start().worker
    ours, theirs = socket.socketpair()
    stream = Stream(ours, "", crew.listeners[0].address, worker.wait)

    stream.wait(WRITE)
    assert crew.board.row(0).beat == clock.now
    with pytest.raises(DeadlineExceeded):
        stream.wait(READ, clock.now + 0.001)
    theirs.send(b"x")
    stream.wait(READ, clock.now - 1.0)
    ours.close()
    theirs.close()


# -- keep-alive and siblings --


def test_workers_of_other_pools_are_no_siblings(crew: Crew, start: Start) -> None:
    """Nobody of another pool takes our connections, so there is nobody to leave them to."""
    loop = start(workers=2)
    crew.board.row(1)[Column.POOL] = 2
    served = crew.connect(request())
    loop.turn_until(lambda: has_answer(served))
    read_response(served)
    loop.worker.scan(loop.worker.clock())
    served.sendall(request("/again"))
    newcomer = crew.connect(request("/new"))

    loop.turn()

    assert has_answer(newcomer)


def declines(loop: Loop, client: socket.socket) -> bool:
    """Ask for something and tell whether the answer says that it is the last."""
    client.sendall(request())
    loop.turn_until(lambda: has_answer(client))
    return read_response(client)[0].get("connection") == "close"


def test_keep_alive_is_declined_while_a_sibling_is_held_up(crew: Crew, start: Start, clock: Clock) -> None:
    """A request that runs long anywhere in the pool makes clients come back by the backlog, to whoever is free."""
    loop = start(workers=2)
    client = crew.connect()
    assert not declines(loop, client)

    crew.board.row(1)[Column.BUSY] = 1
    crew.board.row(1)[Column.BUSY_SINCE] = int((clock.now - 1.0) * 1e9)
    clock.now += 0.1

    assert declines(loop, client)


def test_a_worker_alone_does_not_decline(crew: Crew, start: Start, clock: Clock) -> None:
    """Without siblings nobody else could serve the client."""

    def gateway(exchange: Http1Connection) -> None:
        clock.now += 1.0
        say_path(exchange)

    loop = start(gateway, workers=1)
    client = crew.connect()

    assert [declines(loop, client) for _ in range(3)] == [False, False, False]


def test_after_max_requests_a_worker_asks_to_be_replaced(crew: Crew, start: Start) -> None:
    """It asks once and goes on serving; its clients come back by the backlog, to whoever is there then."""
    loop = start(max_requests=2)
    client = crew.connect()
    assert not declines(loop, client)
    assert crew.receive() == []
    declines(loop, client)
    assert crew.receive() == [Retiring("2 requests")]

    assert declines(loop, crew.connect())
    assert crew.receive() == []


# -- any protocol --


class Counted(Connection):
    """Answers each byte with a job, and asks for another turn while there are more bytes."""

    __slots__ = ("left",)

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.left = b""

    def advance(self, now: float) -> Next:
        data = self.stream.recv(100)
        if data == b"":
            return Next.CLOSE
        self.left += data or b""
        return Next.RUN if self.left else Next.IDLE

    def take(self) -> Job:
        def job() -> None:
            self.stream.send((self.left[:1].upper(),))
            self.left = self.left[1:]

        return job


class Mortal(Counted):
    """Lives for a second, if its first byte is an m, and takes long to end."""

    __slots__ = ("_clock",)

    def __init__(self, stream: Stream, clock: Clock) -> None:
        super().__init__(stream)
        self._clock = clock

    def advance(self, now: float) -> Next:
        step = super().advance(now)
        if self.left == b"m":
            self.deadline = now + 1.0
        return step

    def expire(self, now: float) -> Next:
        self._clock.now += EXPIRE_FOR
        return Next.CLOSE


class Greedy(Counted):
    """Never lets go of the loop."""

    __slots__ = ()

    def advance(self, now: float) -> Next:
        return Next.AGAIN


def protocol_of(kind: Callable[[Stream], Connection]) -> Callable[[], Protocol]:
    class Made(Protocol):
        def connect(self, stream: Stream) -> Connection:
            return kind(stream)

    return Made


def test_a_protocol_of_somebody_elses_runs(crew: Crew, start: Start) -> None:
    """The worker knows a protocol by its contract alone."""
    loop = start(serve=protocol_of(Counted))
    client = crew.connect(b"a")
    loop.turn_until(lambda: has_answer(client))
    assert client.recv(10) == b"A"
    client.sendall(b"b")
    loop.turn_until(lambda: has_answer(client))
    assert client.recv(10) == b"B"


def test_an_order_to_leave_closes_connections_that_want_more_turns(crew: Crew, start: Start) -> None:
    """A connection that is drained while it waits for its next turn is closed, and not advanced again."""
    loop = start(serve=protocol_of(Greedy))
    client = crew.connect()
    loop.turn_until(lambda: len(loop.worker.connections) == 1)
    loop.turn(3)
    crew.send(Drain(last=False, hand_over=False))

    assert not loop.turn()
    assert client.recv(1) == b""
