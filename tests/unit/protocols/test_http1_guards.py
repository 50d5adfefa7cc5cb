"""Limits on waiting and on the time that a request takes."""

from __future__ import annotations

import logging
import socket
from math import inf

import pytest
from http1_peer import Connect, Environ, Peer, StartResponse, chunked, get, hello, replies

from workerkit.errors import RequestOverdue
from workerkit.net.address import TCPAddress
from workerkit.net.stream import Stream
from workerkit.protocols.http1.guards import guard
from workerkit.protocols.http1.pace import arrived_for
from workerkit.wsgi.gateway import Application


def guarded(connect: Connect, application: Application = hello, *, autoscaled: bool = False, **options: float) -> Peer:
    peer = connect(application, **options)
    guard(peer.protocol, autoscaled=autoscaled)
    return peer


# -- the deadline of a request --


def test_without_a_limit_there_is_all_the_time_in_the_world(connect: Connect) -> None:
    """An application may ask for its deadline, and put it off, where there is none."""
    left: list[float] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["workerkit.deadline"].extend(10.0)
        left.append(environ["workerkit.deadline"].remaining)
        return hello(environ, start_response)

    connect(application).ask(get())

    assert left == [inf]


def test_an_application_sees_its_deadline_and_puts_it_off(connect: Connect) -> None:
    """remaining says what is left, and extend adds to it."""
    left: list[float] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        deadline = environ["workerkit.deadline"]
        left.append(deadline.remaining)
        peer.clock.now += 4.0
        left.append(deadline.remaining)
        deadline.extend(20.0)
        left.append(deadline.remaining)
        return hello(environ, start_response)

    peer = guarded(connect, application, request_timeout=10.0)
    peer.ask(get())

    assert left == [10.0, 6.0, 26.0]


def test_a_job_that_runs_past_its_deadline_is_overdue_while_it_runs(connect: Connect) -> None:
    """The worker finds it by the protocol, with what it is, and no more once it has ended."""
    seen: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        deadlines = peer.protocol.job_deadlines
        assert deadlines is not None
        assert not deadlines.overdue(peer.clock.now + 9.9)
        seen.extend(deadline.describe() for deadline in deadlines.overdue(peer.clock.now + 10.0))
        return hello(environ, start_response)

    peer = guarded(connect, application, request_timeout=10.0)
    peer.ask(get("/slow?x=1"))

    assert seen == ["GET /slow?x=1 from 192.0.2.7"]
    assert peer.protocol.job_deadlines is not None
    assert not peer.protocol.job_deadlines.running


def test_an_interrupted_request_is_503(connect: Connect) -> None:
    """What a worker raises in the job becomes an answer, and the connection ends; frameworks do not catch it."""

    def application(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
        try:
            raise RequestOverdue("the request took too long")
        except Exception:  # noqa: BLE001  as frameworks do
            return [b"a page of the framework's own"]

    peer = guarded(connect, application, request_timeout=10.0)
    [reply] = peer.ask(get())

    assert reply.status == 503
    assert reply.headers["connection"] == "close"
    assert "retry-after" not in reply.headers
    assert peer.failed == [True]


def test_a_request_that_is_interrupted_in_its_response_breaks_off(connect: Connect) -> None:
    """What has begun can only end."""

    def application(_environ: Environ, start_response: StartResponse) -> object:
        start_response("200 OK", [("Content-Length", "10")])
        yield b"half"
        raise RequestOverdue("the request took too long")

    peer = guarded(connect, application, request_timeout=10.0)  # type: ignore[arg-type]  # a generator
    peer.send(get())
    peer.drive()

    assert peer.receive().endswith(b"half")
    assert peer.closed


# -- waiting --


def queued(peer: Peer, seconds: float, request: bytes = b"") -> None:
    """Have a request wait for its job for so long."""
    peer.send(request or get())
    peer.connection.advance(peer.clock())
    peer.clock.now += seconds
    peer.failed.append(peer.connection.take()())
    peer.connection.advance(peer.clock())


@pytest.mark.parametrize("request_bytes", [get(), chunked(b"body")])
def test_a_request_that_waited_for_too_long_is_turned_away(connect: Connect, request_bytes: bytes) -> None:
    """It is answered by 503 with Retry-After, its application is not called, and it is counted."""
    called: list[object] = []
    peer = guarded(connect, lambda *_: called.append(1) or [], max_queue_time=2.0)
    queued(peer, 2.5, request_bytes)
    [reply] = replies(peer.receive())

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert not called
    assert peer.protocol.jobs_shed == 1


def test_a_request_that_waited_for_less_is_served(connect: Connect) -> None:
    """The limit is the longest wait that is borne."""
    peer = guarded(connect, max_queue_time=2.0)
    queued(peer, 2.0)

    assert replies(peer.receive())[0].status == 200
    assert peer.protocol.jobs_shed == 0


@pytest.mark.parametrize(("seconds", "told"), [(0.04, 0), (0.06, 1)])
def test_the_worker_is_told_of_a_request_that_waited_for_long(connect: Connect, seconds: float, told: int) -> None:
    """Where the load decides how many workers there are; the request is served all the same."""
    late: list[float] = []
    peer = guarded(connect, autoscaled=True)
    peer.protocol.on_late_job = lambda: late.append(peer.clock())
    queued(peer, seconds)

    assert replies(peer.receive())[0].status == 200
    assert len(late) == told


def test_a_request_that_is_turned_away_has_waited_too(connect: Connect) -> None:
    """Turning requests away keeps no worker from being added."""
    late: list[float] = []
    peer = guarded(connect, autoscaled=True, max_queue_time=2.0)
    peer.protocol.on_late_job = lambda: late.append(peer.clock())
    queued(peer, 2.5)

    assert replies(peer.receive())[0].status == 503
    assert len(late) == 1


def test_without_a_worker_nobody_is_told(connect: Connect) -> None:
    """A protocol serves before a worker has it, too."""
    peer = guarded(connect, autoscaled=True)
    queued(peer, 1.0)

    assert replies(peer.receive())[0].status == 200


def test_shedding_is_logged_once_a_second(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how many were turned away, without a line for each."""
    first = guarded(connect, max_queue_time=2.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            peer = connect()
            peer.protocol, peer.clock = first.protocol, first.clock
            peer.connection._protocol = first.protocol
            queued(peer, 2.5 if not first.protocol.jobs_shed else 0.0)
            first.clock.now += 0.1
            if first.protocol.jobs_shed == 1:
                first.protocol.gateway._longest = -1.0  # type: ignore[attr-defined]  # everybody has waited too long
        peer = connect()
        peer.connection._protocol, peer.clock = first.protocol, first.clock
        first.clock.now += 1.0
        queued(peer, 0.0)

    assert [record.getMessage() for record in caplog.records if "Overloaded" in record.getMessage()] == [
        "Overloaded: 1 requests were turned away with 503, the last after 2.5 s",
        "Overloaded: 3 requests were turned away with 503, the last after 0.0 s",
    ]


def test_the_kernel_tells_how_long_data_has_been_here() -> None:
    """Over TCP the wait begins when the last byte arrived, accepted or not."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, peer = listener.accept()
        client.sendall(b"x")
        with accepted:
            stream = Stream(accepted, peer, TCPAddress("127.0.0.1", 8000), lambda *_: None)
            accepted.recv(1)
            soon = arrived_for(stream)
            accepted.settimeout(0.1)
            with pytest.raises(TimeoutError):
                accepted.recv(1)

            assert soon < 0.1
            assert 0.05 <= arrived_for(stream) < 5.0


def test_elsewhere_nobody_knows() -> None:
    """Over a Unix socket the wait begins when the worker has read the request."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert arrived_for(Stream(ours, "", TCPAddress("127.0.0.1", 8000), lambda *_: None)) == 0.0
