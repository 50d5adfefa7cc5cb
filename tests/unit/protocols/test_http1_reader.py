"""Requests on an HTTP/1.1 connection: what is read, what waits, what streams and what is refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

import pytest
from http1_peer import (
    MEGABYTE,
    START,
    Connect,
    Environ,
    StartResponse,
    chunked,
    count_files,
    echo,
    get,
    hello,
    in_chunks,
    post,
    replies,
)

from workerkit.errors import Disconnected
from workerkit.http.limits import HttpLimits
from workerkit.net.poller import READ
from workerkit.net.protocol import Next

# -- bodies of requests --


def test_a_body_is_complete_before_the_application_is_called(connect: Connect) -> None:
    """A slow upload costs no call: the job comes when all of it is here."""
    peer = connect(echo)
    request = post(b"x" * 100)
    peer.send(request[:-50])
    assert peer.drive() is Next.READ
    peer.send(request[-50:-1])
    assert peer.drive() is Next.READ
    assert Next.RUN not in peer.steps

    assert peer.ask(request[-1:])[0].body == b"x" * 100


def test_a_chunked_body_is_put_together(connect: Connect) -> None:
    """Chunks, extensions and trailers are framing; the application reads the data."""
    peer = connect(echo)
    request = get("/", "Transfer-Encoding: chunked", method="POST")

    [reply] = peer.ask(request + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n")

    assert reply.body == b"abcde"


@pytest.mark.parametrize("make", [post, in_chunks])
def test_a_large_body_waits_in_a_file(
    connect: Connect, make: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past request_memory a body is kept in one temporary file, and arrives intact."""
    made = count_files(monkeypatch)
    body = os.urandom(MEGABYTE)
    read: list[bytes] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        return hello(environ, start_response)

    peer = connect(application, request_memory=10_000)
    request = make(body)
    for at in range(0, len(request), 50_000):
        peer.send(request[at : at + 50_000])
        peer.drive()

    assert read == [body]
    assert len(made) == 1
    assert made[0].closed, "the file outlives its request"


def test_a_small_body_makes_no_file(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to request_memory a body stays in memory."""
    made = count_files(monkeypatch)
    peer = connect(echo, request_memory=10_000)
    request = post(b"x" * 10_000)
    peer.send(request[:5000])
    peer.drive()

    assert peer.ask(request[5000:])[0].body == b"x" * 10_000
    assert made == []


@pytest.mark.parametrize("make", [post, in_chunks])
def test_a_body_over_the_buffer_streams(connect: Connect, make: Callable[[bytes], bytes]) -> None:
    """What is larger than request_buffer is read by the application as it comes, from its first byte to its last."""
    body = os.urandom(200_000)
    peer = connect(echo, request_buffer=20_000, request_memory=1000)
    request = make(body)
    peer.send(request[:30_000])
    rest = [request[at : at + 30_000] for at in range(30_000, len(request), 30_000)]
    peer.sends_when_awaited(*rest)

    assert replies(peer.drive_and_receive())[0].body == body
    assert {want for want, _ in peer.waits} == {READ}
    assert {deadline for _, deadline in peer.waits} == {START + 30.0}
    assert peer.ask(make(b"next" * 10))[0].body == b"next" * 10


def test_a_stalled_stream_ends_its_request(connect: Connect) -> None:
    """When nothing comes for body_timeout, the application's read raises, and the client is told by 408."""
    peer = connect(echo, request_buffer=10)
    peer.send(post(b"x" * 100)[:-1])

    peer.drive()
    assert replies(peer.receive())[0].status == 408
    assert peer.at_end


def test_a_body_cut_short_reaches_no_application(connect: Connect) -> None:
    """A message without its end is no message: nobody is called and nobody is left to answer."""
    peer = connect(echo)
    peer.send(post(b"x" * 100)[:-1])
    peer.drive()
    peer.leave()

    assert peer.drive() is Next.CLOSE
    assert Next.RUN not in peer.steps


def test_no_body_is_the_end_of_input(connect: Connect) -> None:
    """An application that reads where there is no body gets nothing, and does not wait."""
    assert connect(echo).ask(get())[0].body == b""


# -- 100-continue --


def test_a_client_that_waits_for_leave_gets_it(connect: Connect) -> None:
    """When a body is buffered, 100 goes out as soon as its head is accepted, before the application is called."""
    peer = connect(echo)
    request = post(b"x" * 10, "Expect: 100-continue")
    peer.send(request[:-10])
    assert peer.drive() is Next.READ
    assert peer.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"

    assert peer.ask(request[-10:])[0].body == b"x" * 10


def test_a_client_that_does_not_wait_needs_no_leave(connect: Connect) -> None:
    """When the body has begun to arrive, 100 would be late."""
    peer = connect(echo)
    peer.send(post(b"x" * 10, "Expect: 100-continue"))

    assert b"100 Continue" not in peer.drive_and_receive()


def test_a_streamed_body_gets_leave_when_it_is_read(connect: Connect) -> None:
    """Whoever reads a large body as it comes says by the first read that it may come."""
    peer = connect(echo, request_buffer=10)
    body = b"x" * 100
    peer.send(post(body, "Expect: 100-continue")[: -len(body)])
    peer.sends_when_awaited(body)
    data = peer.drive_and_receive()

    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_gets_no_leave_is_left(connect: Connect) -> None:
    """When the application answers without reading, nobody knows whether the body will come: the connection ends.

    The answer says so. A proxy that had the body to send all the same would send the next request behind it.
    """
    peer = connect(hello, request_buffer=10)
    peer.send(post(b"x" * 100, "Expect: 100-continue")[:-100])
    data = peer.drive_and_receive()

    assert [(reply.status, reply.headers["connection"]) for reply in replies(data)] == [(200, "close")]
    assert b"100 Continue" not in data
    assert peer.at_end


def test_nobody_gets_leave_after_the_answer_has_begun(connect: Connect) -> None:
    """An application may read after its first part has left; an interim response may not follow the final one."""

    def answers_first(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "103")])
        yield b"got"
        yield environ["wsgi.input"].read()

    peer = connect(answers_first, request_buffer=10)
    body = b"x" * 100
    peer.send(post(body, "Expect: 100-continue")[: -len(body)])
    peer.sends_when_awaited(body)
    data = peer.drive_and_receive()

    assert b"100 Continue" not in data
    assert [reply.body for reply in replies(data)] == [b"got" + body]


def test_an_expectation_that_cannot_be_met_is_417(connect: Connect) -> None:
    """There is one expectation; others are refused."""
    assert connect().ask(get("/", "Expect: tea"))[0].status == 417


# -- refusals --


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (get("/", "no colon"), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (get("/", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST"), 400),
        (chunked() + b"x", None),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400),
        (get("/" + "x" * 9000), 414),
        (get("/", "X: " + "x" * 9000), 431),
        (get("/", *["X: y"] * 101), 431),
        (post(b"x" * 101), 413),
        (chunked(b"x" * 60, b"x" * 60), 413),
    ],
)
def test_what_cannot_be_served_is_refused(connect: Connect, request_bytes: bytes, status: int | None) -> None:
    """A broken or excessive request gets its status, a reason, and the end of the connection; no application runs."""
    peer = connect(limits=HttpLimits(limit_request_body=100))
    found = peer.ask(request_bytes)
    if status is None:
        # What is whole is served, what comes after it waits to be complete.
        assert [reply.status for reply in found] == [200]
        return

    [reply] = found
    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert reply.body.startswith(b"%d " % status)
    assert peer.at_end
    assert Next.RUN not in peer.steps


def test_a_refused_client_may_finish_its_sentence(connect: Connect) -> None:
    """Our side closes and goes on reading for a moment, so that the answer is not lost to a reset."""
    peer = connect()
    peer.send(b"nonsense\r\n\r\n")
    assert peer.drive() is Next.READ
    assert peer.at_end is False
    assert replies(peer.receive())[0].status == 400
    assert peer.at_end

    peer.send(b"more of it" * 1000)
    assert peer.drive() is Next.READ
    assert peer.time_left == 2.0
    peer.leave()
    assert peer.drive() is Next.CLOSE


def test_a_client_that_talks_for_ever_is_left(connect: Connect) -> None:
    """Lingering has a deadline, and passing it closes in silence."""
    peer = connect()
    peer.send(b"nonsense\r\n\r\n")
    peer.drive()
    peer.receive()

    assert peer.connection.expire(peer.clock() + 2.0) is Next.CLOSE
    assert peer.receive() == b""


def test_a_head_and_the_64_kib_after_it_are_received_at_once(connect: Connect) -> None:
    """Clients often send bodies in such pieces; to ask for 64 KiB in all would cost a second call and a copy."""
    peer = connect()
    received = []

    class Counts(type(peer.connection.stream)):  # type: ignore[misc]
        __slots__ = ()

        def recv(self, size: int) -> bytes | None:
            data: bytes | None = super().recv(size)
            received.append(data)
            return data

    peer.connection.stream.__class__ = Counts
    peer.send(post(bytes(65536)))

    assert peer.connection.advance(peer.clock()) is Next.RUN
    assert len(received) == 1
    assert len(peer.connection.body.read()) == 65536


def test_a_client_that_resets_while_it_is_refused_is_just_gone(connect: Connect) -> None:
    """A reset between the refusal and its aftermath closes the connection and raises nothing into the worker."""
    peer = connect()
    real = peer.connection.stream.recv
    received = []

    class ResetAfterTheAnswer(type(peer.connection.stream)):  # type: ignore[misc]
        __slots__ = ()

        def recv(self, size: int) -> bytes | None:
            if received:
                raise Disconnected("the peer reset the connection")
            received.append(real(size))
            return received[0]

    peer.connection.stream.__class__ = ResetAfterTheAnswer
    peer.send(b"nonsense\r\n\r\n")

    assert peer.drive() is Next.CLOSE


def test_pipelined_nonsense_is_refused_after_the_answer(connect: Connect) -> None:
    """What comes before the broken request is answered first."""
    peer = connect()

    assert [reply.status for reply in peer.ask(get() + b"nonsense\r\n\r\n" + get())] == [200, 400]


def test_a_refusal_is_logged_without_a_traceback(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A client's mistake is one line of information, with its address and the reason."""
    caplog.set_level(logging.INFO)
    connect().ask(b"nonsense\r\n\r\n")

    [line] = caplog.records
    assert (line.levelname, line.exc_info) == ("INFO", None)
    assert "192.0.2.7 with 400" in line.getMessage()
