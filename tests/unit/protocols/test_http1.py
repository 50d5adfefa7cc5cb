"""HTTP/1.1 conversations: a client on a socketpair, a WSGI application, and every step in between."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http1_peer import (
    START,
    Clock,
    Environ,
    Peer,
    StartResponse,
    chunked,
    echo,
    get,
    hello,
    make_protocol,
    parts,
    post,
    replies,
)

from workerkit.errors import Disconnected
from workerkit.http.limits import HttpLimits
from workerkit.net.poller import READ, WRITE
from workerkit.net.protocol import Next
from workerkit.telemetry.access import AccessLog
from workerkit.wsgi.gateway import Application

Connect = Callable[..., Peer]

MEGABYTE = 1 << 20


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect a client to an application."""
    peers: list[Peer] = []

    def make(application: Application = hello, **options: Any) -> Peer:
        clock = Clock()
        peers.append(Peer(make_protocol(application, clock, **options), clock))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()
        peer.socket.close()


def in_chunks(body: bytes) -> bytes:
    return chunked(*[body[at : at + 999] for at in range(0, len(body), 999)])


class Watched:
    """A response's body that notes how it was treated."""

    def __init__(self, *parts: bytes, raises: BaseException | None = None) -> None:
        self._parts = list(parts)
        self._raises = raises
        self.closed = 0

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> bytes:
        if self._parts:
            return self._parts.pop(0)
        if self._raises is not None:
            raise self._raises
        raise StopIteration

    def close(self) -> None:
        self.closed += 1

    def application(self, _environ: Environ, start_response: StartResponse) -> Watched:
        start_response("200 OK", [])
        return self


# -- a request and its response --


def test_a_request_is_answered(connect: Connect) -> None:
    """The response has the application's status, fields and body, and the length that we know."""
    [reply] = connect().ask(get())

    assert (reply.status, reply.reason, reply.version, reply.body) == (200, "OK", 11, b"hello")
    assert reply.headers["content-length"] == "5"
    assert reply.headers["content-type"] == "text/plain"


def test_date_and_server_are_ours(connect: Connect) -> None:
    """Every response says when and by what it was made, refusals too."""
    peer = connect()
    for reply in (*peer.ask(get()), *peer.ask(b"nonsense\r\n\r\n")):
        assert reply.headers["server"] == "workerkit"
        assert reply.headers["date"].endswith(" GMT")


def test_the_server_field_can_be_another_or_none(connect: Connect) -> None:
    """An operator decides what the Server field says."""
    assert connect(server_header="shop").ask(get())[0].headers["server"] == "shop"
    assert "server" not in connect(server_header="").ask(get())[0].headers


def test_the_applications_date_and_server_win(connect: Connect) -> None:
    """A field that the application sets itself is not sent twice."""
    application = parts(b"x", Date="Thu, 01 Jan 1970 00:00:00 GMT", Server="mine")
    [reply] = connect(application).ask(get())

    assert (reply.headers["date"], reply.headers["server"]) == ("Thu, 01 Jan 1970 00:00:00 GMT", "mine")


def test_a_head_may_come_byte_by_byte(connect: Connect) -> None:
    """A request that drips is read as it comes, and its connection waits without being called busy."""
    peer = connect()
    assert peer.drive() is Next.IDLE
    for byte in get():
        assert not peer.receive()
        peer.send(bytes([byte]))
        peer.drive()

    assert [reply.body for reply in replies(peer.receive())] == [b"hello"]
    assert set(peer.steps) == {Next.IDLE, Next.READ, Next.RUN}


def test_a_body_of_unknown_length_is_chunked(connect: Connect) -> None:
    """Without a length each part leaves as a chunk, and the connection goes on."""
    peer = connect(parts(b"ab", b"", b"cde"))
    peer.send(get())
    data = peer.drive_and_receive()

    assert b"transfer-encoding: chunked\r\n" in data.lower()
    assert data.endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
    assert not peer.closed


def test_an_empty_iterable_has_a_length_of_0(connect: Connect) -> None:
    """A body without a part needs no chunk."""
    [reply] = connect(parts()).ask(get())

    assert (reply.headers["content-length"], reply.body) == ("0", b"")


def test_a_client_of_http_1_0_sees_the_end_of_the_connection(connect: Connect) -> None:
    """HTTP/1.0 knows no chunks: a body of unknown length ends with its connection."""
    peer = connect(parts(b"ab", b"cde"))
    [reply] = peer.ask(get("/", "Connection: keep-alive", version="1.0"))

    assert reply.body == b"abcde"
    assert not {"transfer-encoding", "content-length"} & reply.headers.keys()
    assert peer.at_end


@pytest.mark.parametrize("length", [16_383, 16_384, 100_000])
def test_large_parts_arrive_as_they_are(connect: Connect, length: int) -> None:
    """Whether a part is joined to its head or sent beside it makes no difference to the client."""
    data = os.urandom(length)

    assert connect(parts(data)).ask(get())[0].body == data
    assert connect(parts(data, Content_Length=str(length))).ask(get())[0].body == data
    assert connect(lambda _environ, start: (start("200 OK", []), [data])[1]).ask(get())[0].body == data


# -- responses without a body --


def test_head_has_the_head_only(connect: Connect) -> None:
    """HEAD is answered with the head that GET would have, and no body whatever the application gives."""
    peer = connect()
    [reply] = peer.ask(get(method="HEAD"))

    assert (reply.headers["content-length"], reply.body) == ("5", b"")
    assert not peer.closed
    assert [reply.body for reply in peer.ask(get())] == [b"hello"]


def test_a_chunked_answer_to_head_ends_with_its_head(connect: Connect) -> None:
    """No chunk is sent in answer to HEAD, not even the last."""
    peer = connect(parts(b"ab", b"cd"))
    peer.send(get(method="HEAD"))

    assert peer.drive_and_receive().endswith(b"\r\n\r\n")
    assert [reply.body for reply in peer.ask(get())] == [b"abcd"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_some_statuses_have_no_body(connect: Connect, status: str) -> None:
    """A body that an application gives to 204 or 304 is not sent, and the next response is not disturbed."""

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status if environ["PATH_INFO"] == "/none" else "200 OK", [])
        return [b"body"]

    peer = connect(application)
    peer.send(get("/none"))
    data = peer.drive_and_receive()

    assert data.endswith(b"\r\n\r\n")
    assert b"content-length" not in data.lower()
    assert b"transfer-encoding" not in data.lower()
    assert [reply.body for reply in peer.ask(get())] == [b"body"]


# -- keep-alive --


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "keep-alive", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
        ("1.1", "keep-alive, close", False),
    ],
)
def test_whether_a_connection_stays(connect: Connect, version: str, connection: str | None, stays: bool) -> None:
    """HTTP/1.1 persists unless told otherwise, 1.0 only if asked to, and what is not the default is said."""
    peer = connect()
    fields = [f"Connection: {connection}"] if connection else []
    [reply] = peer.ask(get("/", *fields, version=version))

    assert peer.closed is not stays
    expected = {("1.1", False): "close", ("1.0", True): "keep-alive"}.get((version, stays))
    assert reply.headers.get("connection") == expected
    if stays:
        assert peer.ask(get())[0].body == b"hello"


def test_an_application_may_close(connect: Connect) -> None:
    """``Connection: close`` in a response is obeyed, after the client has seen the answer."""
    peer = connect(parts(b"x", Connection="close"))
    [reply] = peer.ask(get())

    assert reply.headers["connection"] == "close"
    assert peer.at_end


def test_keep_alive_can_be_turned_off(connect: Connect) -> None:
    """With keepalive 0, every response is the last."""
    peer = connect(keepalive=0.0)
    [reply] = peer.ask(get())

    assert reply.headers["connection"] == "close"
    assert peer.at_end


def test_an_idle_connection_has_its_time(connect: Connect) -> None:
    """A new connection may wait as long as a head may, one that was used as long as keep-alive says."""
    peer = connect(keepalive=7.0, head_timeout=11.0)
    assert peer.drive() is Next.IDLE
    assert peer.time_left == 11.0

    peer.clock.now += 3.0
    peer.ask(get())

    assert peer.steps[-1] is Next.IDLE
    assert peer.time_left == 7.0


def test_pipelined_requests_are_answered_in_turn(connect: Connect) -> None:
    """Each further request that is here already is a turn of its own, and the answers come in order."""
    peer = connect(lambda environ, start: (start("200 OK", []), [environ["PATH_INFO"].encode()])[1])
    peer.send(get("/1") + get("/2") + get("/3")[:-1])
    peer.drive()
    assert [step.name for step in peer.steps] == ["RUN", "AGAIN", "RUN", "AGAIN", "READ"]

    peer.send(b"\n")
    peer.drive()

    assert [reply.body for reply in replies(peer.receive())] == [b"/1", b"/2", b"/3"]


def test_what_follows_a_body_is_the_next_request(connect: Connect) -> None:
    """Bodies end where they say, however much arrived with them."""
    peer = connect(echo)
    bodies = [reply.body for reply in peer.ask(post(b"first") + chunked(b"sec", b"ond") + post(b"") + post(b"third"))]

    assert bodies == [b"first", b"second", b"", b"third"]


def test_the_end_between_requests_is_no_error(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A client that has what it wanted leaves, and nothing is said about it."""
    caplog.set_level(logging.INFO)
    peer = connect()
    peer.ask(get())
    peer.leave()

    assert peer.drive() is Next.CLOSE
    assert not caplog.records


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


def count_files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **how: made.append(real(**how)) or made[-1])
    return made


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
    """When nothing comes for body_timeout, the application's read raises and the connection ends."""
    peer = connect(echo, request_buffer=10)
    peer.send(post(b"x" * 100)[:-1])

    assert peer.drive() is Next.CLOSE
    assert peer.receive() == b""


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
    """When the application answers without reading, nobody knows whether the body will come: the connection ends."""
    peer = connect(hello, request_buffer=10)
    peer.send(post(b"x" * 100, "Expect: 100-continue")[:-100])
    data = peer.drive_and_receive()

    assert [reply.status for reply in replies(data)] == [200]
    assert b"100 Continue" not in data
    assert peer.at_end


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


# -- deadlines --


def test_a_head_that_does_not_come_is_408(connect: Connect) -> None:
    """From its first byte on a head has head_timeout; then the client is told, and the connection ends."""
    peer = connect(head_timeout=9.0)
    peer.drive()
    peer.clock.now += 5.0
    peer.send(get()[:-1])
    assert peer.drive() is Next.READ
    assert peer.time_left == 9.0

    peer.clock.now += 4.0
    peer.drive()
    assert peer.time_left == 5.0, "a byte now and then does not buy time"

    peer.clock.now += 5.0
    assert peer.carry_out(peer.connection.expire(peer.clock())) is Next.READ
    assert replies(peer.receive())[0].status == 408
    assert peer.at_end


def test_a_body_that_stops_coming_is_408(connect: Connect) -> None:
    """A buffered body has body_timeout for each next part of it."""
    peer = connect(echo, body_timeout=9.0)
    request = post(b"x" * 100)
    peer.send(request[:-50])
    peer.drive()
    peer.clock.now += 8.0
    peer.send(b"x")
    peer.drive()
    assert peer.time_left == 9.0

    peer.carry_out(peer.connection.expire(peer.clock() + 9.0))
    assert replies(peer.receive())[0].status == 408


def test_an_idle_connection_expires_in_silence(connect: Connect) -> None:
    """A client that asked nothing gets no answer."""
    peer = connect()
    peer.drive()

    assert peer.connection.expire(peer.clock() + 99.0) is Next.CLOSE
    assert peer.receive() == b""


# -- the application fails --


def raise_at_once(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
    raise RuntimeError("secret detail")


def raise_after_start_response(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    raise RuntimeError("secret detail")


def raise_while_iterated(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b""
    raise RuntimeError("secret detail")


def leave(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
    sys.exit("secret detail")


def interrupt(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
    raise KeyboardInterrupt("secret detail")


def never_start(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
    return [b"secret detail"]


def never_start_nor_answer(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
    return []


def return_nothing(_environ: Environ, start_response: StartResponse) -> None:
    start_response("200 OK", [])


def return_text(_environ: Environ, start_response: StartResponse) -> list[str]:
    start_response("200 OK", [])
    return ["secret detail"]


def return_a_string(_environ: Environ, start_response: StartResponse) -> str:
    start_response("200 OK", [])
    return "secret detail"


def write_text(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])("secret detail")  # type: ignore[arg-type]
    return []


def split_a_header(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("X", "a\r\nSecret: detail")])
    return [b"x"]


def make_up_a_status(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("very good", [])
    return [b"x"]


def give_headers_of_bytes(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [(b"X", b"y")])
    return [b"x"]


def set_what_is_ours(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Transfer-Encoding", "chunked")])
    return [b"x"]


def start_twice(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    start_response("201 Created", [])
    return [b"x"]


FAILURES = [
    raise_at_once,
    raise_after_start_response,
    raise_while_iterated,
    leave,
    interrupt,
    never_start,
    never_start_nor_answer,
    return_nothing,
    return_text,
    return_a_string,
    write_text,
    split_a_header,
    make_up_a_status,
    give_headers_of_bytes,
    set_what_is_ours,
    start_twice,
]


@pytest.mark.parametrize("application", FAILURES, ids=lambda application: application.__name__)
def test_a_failing_application_is_a_500(
    connect: Connect, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong before the first byte, the client gets one 500 without details, and the log has them."""
    peer = connect(application)
    [reply] = peer.ask(get("/shop"))

    assert reply.status == 500
    assert b"secret" not in reply.body
    assert b"detail" not in b"".join(name.encode() for name in reply.headers)
    assert reply.headers["connection"] == "close"
    assert peer.at_end
    assert peer.failed == [True]
    [line] = caplog.records
    assert line.getMessage() == "Error handling request GET /shop"
    assert line.exc_info is not None


def test_a_worker_survives_an_application_that_exits(connect: Connect) -> None:
    """SystemExit ends a request and not the server: the next connection is served."""
    clock = Clock()
    protocol = make_protocol(lambda environ, start: leave(environ, start) if environ["PATH_INFO"] == "/x"
                             else hello(environ, start), clock)  # fmt: skip
    first, second = Peer(protocol, clock), Peer(protocol, clock)

    assert first.ask(get("/x"))[0].status == 500
    assert second.ask(get("/"))[0].status == 200
    for peer in (first, second):
        peer.close()
        peer.socket.close()


def test_head_gets_a_500_without_a_body(connect: Connect) -> None:
    """An error in answer to HEAD has no body either."""
    peer = connect(raise_at_once)
    peer.send(get(method="HEAD"))

    assert peer.drive_and_receive().endswith(b"\r\n\r\n")


def test_an_error_after_the_first_byte_ends_the_connection(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Too late for a 500, the body is left without its last chunk, so that the client knows."""
    body = Watched(b"some", raises=RuntimeError("late"))
    peer = connect(body.application)
    peer.send(get())
    data = peer.drive_and_receive()

    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"\r\n\r\n4\r\nsome\r\n")
    assert peer.closed
    assert body.closed == 1
    assert len(caplog.records) == 1


def test_a_body_shorter_than_it_said_ends_the_connection(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The client would wait for the rest, so the connection closes, and the log names both numbers."""
    peer = connect(parts(b"four", Content_Length="10"))
    peer.send(get())
    data = peer.drive_and_receive()

    assert data.endswith(b"\r\n\r\nfour")
    assert peer.at_end
    assert "has 4 bytes and Content-Length said 10" in caplog.records[0].getMessage()


@pytest.mark.parametrize("data", [[b"fourteen bytes"], [b"four", b"teen", b" bytes"]])
def test_a_body_longer_than_it_said_is_cut(
    connect: Connect, data: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Exactly as many bytes leave as were announced, the surplus is an error in the log, and the connection ends."""
    peer = connect(parts(*data, Content_Length="8"))
    [reply] = peer.ask(get())

    assert reply.body == b"fourteen"
    assert peer.closed
    assert "longer than its Content-Length of 8" in str(caplog.records[0].exc_info)


def test_a_close_that_raises_does_not_spoil_the_answer(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """An error in close() comes after the body: it is logged, and what was sent stays sent."""
    body = Watched(b"all of it")

    def close() -> None:
        raise RuntimeError("in close")

    body.close = close  # type: ignore[method-assign]
    peer = connect(body.application)
    peer.send(get())

    assert b"\r\n9\r\nall of it\r\n" in peer.drive_and_receive()
    assert "in close" in str(caplog.records[0].exc_info)


# -- close() --


def test_close_is_called_after_the_body(connect: Connect) -> None:
    """close() is called once, whether all went well or the body raised."""
    fine, broken, empty = Watched(b"x"), Watched(raises=RuntimeError("broken")), Watched()
    for body in (fine, broken, empty):
        connect(body.application).ask(get())
        assert body.closed == 1


def test_close_is_called_for_head(connect: Connect) -> None:
    """A body that is not sent is closed too."""
    body = Watched(b"x", b"y")
    connect(body.application).ask(get(method="HEAD"))

    assert body.closed == 1


def test_a_generator_is_closed_when_the_client_leaves(connect: Connect) -> None:
    """When there is nobody to send to, the application's cleanup runs at once and the log is quiet."""
    ended: list[int] = []

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            for number in range(100):
                if number == 3:
                    peer.leave()
                yield b"%d" % number
        finally:
            ended.append(number)

    peer = connect(application)
    peer.send(get())

    assert peer.drive() is Next.CLOSE
    assert ended == [3]


# -- start_response and write() --


def test_write_sends_at_once(connect: Connect) -> None:
    """The older of WSGI's two ways: what is written leaves before what is returned."""
    seen: list[bytes] = []

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        seen.append(peer.receive())
        write(b"two ")
        return [b"three"]

    peer = connect(application)
    peer.send(get())
    peer.drive()

    assert seen[0].endswith(b"4\r\none \r\n")
    assert replies(seen[0] + peer.receive())[0].body == b"one two three"


def test_write_after_the_request_is_an_error(connect: Connect) -> None:
    """An application that keeps write() cannot spoil a later response with it."""
    kept: list[Callable[[bytes], None]] = []

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"x"]

    peer = connect(application)
    peer.ask(get())

    with pytest.raises(Exception, match="after the request had ended"):
        kept[0](b"late")
    assert peer.receive() == b""


def test_an_error_page_replaces_what_was_not_sent(connect: Connect) -> None:
    """With exc_info, status and fields are replaced as long as nothing has left."""

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise ValueError("handled")
        except ValueError:
            start_response("503 Service Unavailable", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    peer = connect(application)
    [reply] = peer.ask(get())

    assert (reply.status, reply.body) == (503, b"sorry")
    assert "x-second" in reply.headers
    assert "x-first" not in reply.headers
    assert not peer.closed


def test_an_error_page_that_is_late_raises_the_error(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """With exc_info after the first byte, the application's own error goes on and ends the connection."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"some"
        try:
            raise ValueError("the cause")
        except ValueError:
            start_response("500 Internal Server Error", [], sys.exc_info())
        yield b"never"

    peer = connect(application)
    peer.send(get())
    data = peer.drive_and_receive()

    assert data.endswith(b"4\r\nsome\r\n")
    assert peer.closed
    assert "the cause" in str(caplog.records[0].exc_info)


# -- bodies that the application leaves unread --


def test_an_unread_buffered_body_disturbs_nobody(connect: Connect) -> None:
    """A body that nobody read was read already: the next request is the next one."""
    peer = connect(hello)

    assert [reply.status for reply in peer.ask(post(b"GET /evil HTTP/1.1\r\n\r\n"), get())] == [200, 200]


def test_a_little_that_was_left_unread_is_read_away(connect: Connect) -> None:
    """The rest of a streamed body that is nearly complete is discarded, and the connection goes on."""
    peer = connect(hello, request_buffer=10)
    body = b"GET /evil HTTP/1.1\r\n\r\n" * 100
    peer.send(post(body)[:-500])
    assert peer.drive() is Next.READ
    assert peer.time_left == 1.0
    assert [reply.body for reply in replies(peer.receive())] == [b"hello"]

    peer.send(body[-500:])
    assert peer.drive() is Next.IDLE
    assert [reply.body for reply in peer.ask(get())] == [b"hello"]


def test_a_lot_that_was_left_unread_ends_the_connection(connect: Connect) -> None:
    """Reading a large upload that nobody wants is not worth a connection."""
    peer = connect(hello, request_buffer=10)
    peer.send(post(bytes(MEGABYTE))[:100_000])
    peer.drive()
    peer.send(bytes(100_000))
    peer.drive()

    assert [reply.body for reply in replies(peer.receive())] == [b"hello"]
    assert peer.at_end


def test_a_broken_body_that_nobody_read_gets_no_second_answer(connect: Connect) -> None:
    """When what is read away breaks the rules, the request has its answer already: the connection just ends."""
    peer = connect(hello, request_buffer=10)
    request = get("/", "Transfer-Encoding: chunked", method="POST") + b"14\r\n" + b"x" * 20 + b"\r\n"
    peer.send(request)
    peer.drive()
    peer.send(b"this is no chunk\r\n\r\n")
    peer.drive()

    assert [reply.status for reply in replies(peer.receive())] == [200]
    assert peer.at_end


def test_a_broken_body_is_answered_while_it_is_read(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """When a streamed body breaks the rules, the client gets its 400 and the log no traceback."""
    peer = connect(echo, request_buffer=10)
    request = get("/", "Transfer-Encoding: chunked", method="POST") + b"14\r\n" + b"x" * 20 + b"\r\n"
    peer.send(request)
    peer.sends_when_awaited(b"this is no chunk\r\n\r\n")

    assert [reply.status for reply in replies(peer.drive_and_receive())] == [400]
    assert peer.at_end
    assert not [line for line in caplog.records if line.exc_info]


def test_nothing_after_a_broken_body_is_a_request(connect: Connect) -> None:
    """An application that swallows the error does not make us guess where the next request begins."""

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except Exception:  # noqa: BLE001  what a careless application does
            start_response("200 OK", [])
        return [b"swallowed"]

    peer = connect(application, request_buffer=10)
    peer.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"14\r\n" + b"x" * 20 + b"\r\n")
    peer.sends_when_awaited(b"zz")
    peer.drive()
    peer.send(b"\r\n0\r\n\r\n" + get("/smuggled"))
    peer.drive()

    assert [reply.body for reply in replies(peer.receive())] == [b"swallowed"]
    assert peer.at_end


# -- draining --


def test_draining_gives_an_idle_connection_a_moment(connect: Connect) -> None:
    """A request that is on its way already is answered, as the last; without one the connection expires soon."""
    asking, silent = connect(), connect()
    for peer in (asking, silent):
        peer.ask(get())
        assert peer.carry_out(peer.connection.drain(peer.clock())) is Next.IDLE
        assert peer.time_left is not None
        assert peer.time_left <= 2.0

    assert asking.ask(get())[0].headers["connection"] == "close"
    assert asking.at_end
    assert silent.connection.expire(silent.clock() + 2.0) is Next.CLOSE


def test_draining_does_not_prolong_a_life(connect: Connect) -> None:
    """An idle connection whose time is nearly over gets no more of it, however often it is drained."""
    peer = connect(keepalive=0.001)
    peer.ask(get())
    for _ in range(3):
        peer.connection.drain(peer.clock())

    assert peer.time_left == pytest.approx(0.001)


def test_draining_finishes_what_has_begun(connect: Connect) -> None:
    """A request of which a part is here is read and answered, and its response says that it is the last."""
    peer = connect()
    peer.send(get()[:20])
    peer.drive()

    assert peer.carry_out(peer.connection.drain(peer.clock())) is Next.READ
    [reply] = peer.ask(get()[20:])
    assert (reply.body, reply.headers["connection"]) == (b"hello", "close")
    assert peer.at_end


def test_draining_answers_one_of_several_pipelined_requests(connect: Connect) -> None:
    """The next response is the last; what was pipelined behind it is not begun."""
    peer = connect()
    peer.send(get() + get() + get())
    step = peer.connection.advance(peer.clock())
    assert step is Next.RUN
    peer.connection.drain(peer.clock())
    peer.carry_out(step)

    assert [reply.headers.get("connection") for reply in replies(peer.receive())] == ["close"]
    assert peer.at_end


def test_draining_between_pipelined_requests_answers_the_next(connect: Connect) -> None:
    """A complete request that waits for its turn has begun."""
    peer = connect()
    peer.send(get() + get())
    assert peer.connection.advance(peer.clock()) is Next.RUN
    peer.connection.take()()
    assert peer.connection.advance(peer.clock()) is Next.AGAIN

    assert peer.connection.drain(peer.clock()) is Next.AGAIN
    peer.drive()

    assert [reply.headers.get("connection") for reply in replies(peer.receive())] == [None, "close"]
    assert peer.at_end


def test_draining_lets_a_slow_reader_finish(connect: Connect) -> None:
    """What is queued for a client is sent before its connection closes."""
    peer = connect(parts(bytes(3 * MEGABYTE)))
    peer.send(get("/", "Connection: keep-alive"))
    assert peer.drive() is Next.WRITE
    assert peer.connection.drain(peer.clock()) is Next.WRITE

    assert len(replies(peer.drive_and_receive())[0].body) == 3 * MEGABYTE


def test_draining_keeps_what_a_response_promised(connect: Connect) -> None:
    """After a response that had promised to keep the connection, the client's next request is answered, and is last."""
    peer = connect()
    peer.send(get())
    assert peer.connection.advance(peer.clock()) is Next.RUN
    peer.connection.take()()
    peer.connection.drain(peer.clock())

    assert peer.connection.advance(peer.clock()) is Next.IDLE
    assert peer.connection.deadline is not None
    peer.send(get())
    peer.drive()

    assert [reply.headers.get("connection") for reply in replies(peer.receive())] == [None, "close"]
    assert peer.at_end


# -- slow readers --


def test_a_slow_reader_does_not_hold_the_job(connect: Connect) -> None:
    """What the client has not taken is queued while the application goes on to its end, and arrives intact."""
    data = [os.urandom(50_000) for _ in range(60)]
    body = Watched(*data)
    peer = connect(body.application)
    peer.send(get())

    assert peer.drive() is Next.WRITE
    assert body.closed == 1
    assert not peer.waits
    assert peer.time_left == 30.0

    assert replies(peer.drive_and_receive())[0].body == b"".join(data)
    assert peer.connection.advance(peer.clock()) is Next.IDLE
    assert peer.ask(get())[0].status == 200


def test_a_slow_readers_file_is_given_back(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past response_memory the queue is one temporary file, which is gone when all was sent."""
    made = count_files(monkeypatch)
    peer = connect(parts(*[bytes(MEGABYTE)] * 3, b"end"))
    peer.send(get())
    peer.drive()
    assert [file.closed for file in made] == [False]

    assert replies(peer.drive_and_receive())[0].body.endswith(b"end")
    assert [file.closed for file in made] == [True]


def test_a_slow_reader_that_leaves_costs_nothing_more(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the client goes, the queue goes with its files."""
    made = count_files(monkeypatch)
    peer = connect(parts(*[bytes(MEGABYTE)] * 3))
    peer.send(get())
    peer.drive()
    peer.leave()

    assert peer.drive() is Next.CLOSE
    assert [file.closed for file in made] == [True]


def test_a_reader_that_takes_something_gets_more_time(connect: Connect) -> None:
    """write_timeout runs anew with every part that the client takes, and not otherwise."""
    peer = connect(parts(bytes(3 * MEGABYTE)), write_timeout=9.0)
    peer.send(get())
    peer.drive()
    peer.clock.now += 5.0
    assert peer.drive() is Next.WRITE
    assert peer.time_left == 4.0

    peer.receive()
    assert peer.drive() is Next.WRITE
    assert peer.time_left == 9.0

    assert peer.connection.expire(peer.clock() + 9.0) is Next.CLOSE


@pytest.mark.parametrize("memory", [1000, 10 * MEGABYTE])
def test_past_the_buffer_the_application_waits(connect: Connect, memory: int) -> None:
    """Over response_buffer the job waits until the client has taken enough, under write_timeout."""
    data = [os.urandom(100_000) for _ in range(50)]
    peer = connect(parts(*data), response_buffer=MEGABYTE, response_memory=memory, write_timeout=9.0)
    taken: list[bytes] = []
    peer.plan += [lambda: taken.append(peer.receive())] * 100
    peer.send(get())
    peer.drive()

    assert peer.waits
    assert set(peer.waits) == {(WRITE, START + 9.0)}
    assert replies(b"".join(taken) + peer.drive_and_receive())[0].body == b"".join(data)


def test_an_application_that_reads_and_writes_waits_for_the_right_thing(connect: Connect) -> None:
    """A job that has waited for its client's upload waits for the client to read when the queue is full."""

    def application(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        while data := environ["wsgi.input"].read(50_000):
            yield data * 10

    body = os.urandom(200_000)
    request = post(body)
    peer = connect(application, request_buffer=10, response_buffer=MEGABYTE)
    taken: list[bytes] = []
    pieces = [request[at : at + 60_000] for at in range(0, len(request), 60_000)]
    peer.send(pieces.pop(0))

    def do_what_is_awaited() -> None:
        want = peer.waits[-1][0]
        if want == READ:
            peer.send(pieces.pop(0))
        else:
            taken.append(peer.receive())

    peer.plan += [do_what_is_awaited] * 500
    peer.drive()

    assert WRITE in {want for want, _ in peer.waits}
    received = replies(b"".join(taken) + peer.drive_and_receive())[0].body
    assert received == b"".join(body[at : at + 50_000] * 10 for at in range(0, 200_000, 50_000))


def test_a_client_that_takes_nothing_ends_its_request(connect: Connect) -> None:
    """When the queue is full and write_timeout passes, the application's iterator is closed and the connection too."""
    body = Watched(*[bytes(100_000)] * 50)
    peer = connect(body.application, response_buffer=MEGABYTE)
    peer.send(get())

    assert peer.drive() is Next.CLOSE
    assert body.closed == 1


# -- files --


def file_response(path: Path, start: int = 0, headers: list[tuple[str, str]] | None = None) -> Application:
    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", headers or [])
        file = path.open("rb")
        file.seek(start)
        return environ["wsgi.file_wrapper"](file)

    return application


@pytest.fixture
def sent_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each sendfile(2) sent."""
    sent: list[int] = []
    real = os.sendfile

    def sendfile(*arguments: int) -> int:
        sent.append(real(*arguments))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", sendfile)
    return sent


@pytest.mark.parametrize("start", [0, 1, 65_536, 999_999])
def test_a_file_is_sent_by_the_kernel(connect: Connect, tmp_path: Path, sent_files: list[int], start: int) -> None:
    """A wrapped file leaves by sendfile from where it stands, with its length, and the connection goes on."""
    path = tmp_path / "file"
    content = os.urandom(1_000_000)
    path.write_bytes(content)
    peer = connect(file_response(path, start))
    peer.send(get())
    [reply] = replies(peer.drive_and_receive())

    assert reply.body == content[start:]
    assert reply.headers["content-length"] == str(1_000_000 - start)
    assert sum(sent_files) == 1_000_000 - start
    assert not peer.closed


def test_a_file_that_is_read_is_the_same(connect: Connect, tmp_path: Path, sent_files: list[int]) -> None:
    """Without sendfile the file is read in blocks."""
    path = tmp_path / "file"
    content = os.urandom(70_000)
    path.write_bytes(content)
    peer = connect(file_response(path, 7), sendfile=False)
    peer.send(get())

    assert replies(peer.drive_and_receive())[0].body == content[7:]
    assert not sent_files


@pytest.mark.parametrize("start", [0, 10])
def test_an_empty_rest_of_a_file_is_an_empty_body(connect: Connect, tmp_path: Path, start: int) -> None:
    """An empty file, or one that was read to its end, is a body of length 0."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * start)
    [reply] = connect(file_response(path, start)).ask(get())

    assert (reply.body, reply.headers["content-length"]) == (b"", "0")


def test_what_is_no_real_file_is_read(connect: Connect, sent_files: list[int]) -> None:
    """A file in memory has no descriptor and is read."""

    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100_000), 1000)

    assert connect(application).ask(get())[0].body == b"x" * 100_000
    assert not sent_files


def test_a_pipe_is_read(connect: Connect, sent_files: list[int]) -> None:
    """A descriptor without a size is read."""

    def application(environ: Environ, start_response: StartResponse) -> Any:
        reader, writer = os.pipe()
        os.write(writer, b"from a pipe")
        os.close(writer)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))

    assert connect(application).ask(get())[0].body == b"from a pipe"
    assert not sent_files


def test_a_part_of_a_file_is_as_long_as_it_says(connect: Connect, tmp_path: Path) -> None:
    """A Content-Length below the file's size sends that much of it, as for a range."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    peer = connect(file_response(path, 2, [("Content-Length", "5")]))

    assert peer.ask(get())[0].body == b"23456"
    assert peer.ask(get())[0].body == b"23456"


def test_a_file_is_closed_and_goes_on_to_a_slow_reader(connect: Connect, tmp_path: Path) -> None:
    """The application's file is closed when the job ends, though most of it is still to be sent."""
    path = tmp_path / "file"
    content = os.urandom(3 * MEGABYTE)
    path.write_bytes(content)
    files: list[Any] = []

    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        files.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](files[-1])

    peer = connect(application)
    peer.send(get())
    assert peer.drive() is Next.WRITE
    assert files[0].closed

    assert replies(peer.drive_and_receive())[0].body == content


def test_a_large_file_does_not_hold_the_job(connect: Connect, tmp_path: Path) -> None:
    """A file takes no buffer of ours, so however large it is the job does not wait for its reader."""
    path = tmp_path / "file"
    content = os.urandom(3 * MEGABYTE)
    path.write_bytes(content)
    peer = connect(file_response(path), response_buffer=100_000)
    peer.send(get())

    assert peer.drive() is Next.WRITE
    assert not peer.waits
    assert replies(peer.drive_and_receive())[0].body == content


def test_head_of_a_file(connect: Connect, tmp_path: Path, sent_files: list[int]) -> None:
    """HEAD tells a file's length and sends none of it."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    [reply] = connect(file_response(path)).ask(get(method="HEAD"))

    assert (reply.body, reply.headers["content-length"]) == (b"", "10")
    assert not sent_files


# -- clients that leave, and what the log says --


def test_a_client_that_left_before_its_answer(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that nobody takes is no error of anybody's."""
    caplog.set_level(logging.INFO)
    peer = connect()
    peer.send(get())
    assert peer.connection.advance(peer.clock()) is Next.RUN
    peer.leave()
    peer.connection.take()()

    assert peer.connection.advance(peer.clock()) is Next.CLOSE
    assert not caplog.records


def test_half_closed_clients_are_answered(connect: Connect) -> None:
    """A client that says that it will ask nothing else gets its answer."""
    peer = connect()
    peer.send(get())
    peer.socket.shutdown(socket.SHUT_WR)
    peer.drive()

    assert replies(peer.receive())[0].body == b"hello"
    assert peer.drive() is Next.CLOSE


def test_every_request_is_a_line(connect: Connect, tmp_path: Path) -> None:
    """The access log has the peer, the request, the status and the bytes of the body, for failures as well."""

    def application(environ: Environ, start_response: StartResponse) -> Any:
        clock.now += 0.25
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError("fails")
        start_response("201 Created", [("X-Id", "7")])
        return iter([b"ab", b"c"])

    path = tmp_path / "access.log"
    access = AccessLog(str(path), "%(h)s|%(r)s|%(s)s|%(B)s|%(L)s|%({x-id}o)s|%({host}i)s")
    peer = connect(application, access=access)
    clock = peer.clock
    peer.ask(get("/shop?q=1"))
    peer.ask(get("/fails"))
    access.flush()

    first, second = path.read_text().splitlines()
    assert first == "192.0.2.7|GET /shop?q=1 HTTP/1.1|201|3|0.250000|7|shop.example"
    assert second.startswith("192.0.2.7|GET /fails HTTP/1.1|500|")
    assert second.endswith("|0.250000|-|shop.example")


def test_a_request_that_its_client_gave_up_is_a_499(connect: Connect, tmp_path: Path) -> None:
    """A client that left before there was a status is told apart from one that was served."""
    path = tmp_path / "access.log"
    access = AccessLog(str(path), "%(s)s")
    peer = connect(echo, access=access, request_buffer=10)
    peer.send(post(b"x" * 100)[:-1])
    peer.plan.append(lambda: peer.socket.shutdown(socket.SHUT_WR))
    peer.drive()
    access.flush()

    assert path.read_text() == "499\n"


def test_a_control_character_cannot_reach_a_log(connect: Connect, tmp_path: Path) -> None:
    """What a client puts into its fields is escaped where a person reads it."""
    path = tmp_path / "access.log"
    access = AccessLog(str(path), '"%(a)s"')
    connect(access=access).ask(get("/", 'User-Agent: a"b\tc\x9b'.encode("latin-1").decode("latin-1")))
    access.flush()

    assert "\n" not in path.read_text().rstrip("\n")
    assert '"a\\x22b\\x09c' in path.read_text()


def test_the_date_is_made_once_a_second(connect: Connect) -> None:
    """Responses of the same second share their Date, and the next second has another."""
    protocol = connect().protocol
    first = protocol.date_and_server(10.2)

    assert protocol.date_and_server(10.9) is first
    assert protocol.date_and_server(11.0) is not first


def test_a_connection_that_is_closed_keeps_no_file(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that was being buffered when the worker closed the connection is given up."""
    made = count_files(monkeypatch)
    peer = connect(echo, request_memory=1000)
    request = post(bytes(100_000))
    for at in range(0, 50_000, 10_000):
        peer.send(request[at : at + 10_000])
        peer.drive()
    assert [file.closed for file in made] == [False]

    peer.close()
    assert [file.closed for file in made] == [True]
