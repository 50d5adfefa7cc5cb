"""The life of an HTTP/1.1 connection: which request is its last, and how it ends."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from http1_peer import (
    MEGABYTE,
    Connect,
    Environ,
    Peer,
    StartResponse,
    chunked,
    count_files,
    echo,
    get,
    hello,
    parts,
    post,
    replies,
)

from workerkit.net.protocol import Next
from workerkit.telemetry.access import AccessLog

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
    """HTTP/1.1 persists unless told otherwise, 1.0 only if asked to; only that 1.1 persists goes unsaid."""
    peer = connect()
    fields = [f"Connection: {connection}"] if connection else []
    [reply] = peer.ask(get("/", *fields, version=version))

    assert peer.closed is not stays
    said = "close" if not stays else "keep-alive" if version == "1.0" else None
    assert reply.headers.get("connection") == said
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
    peer.send(b"x" * 8)
    peer.drive()
    assert peer.time_left == pytest.approx(1.0 + 8 / 500), "a few bytes buy what they are worth"

    peer.carry_out(peer.connection.expire(peer.clock() + 9.0))
    assert replies(peer.receive())[0].status == 408


def test_an_idle_connection_expires_in_silence(connect: Connect) -> None:
    """A client that asked nothing gets no answer."""
    peer = connect()
    peer.drive()

    assert peer.connection.expire(peer.clock() + 99.0) is Next.CLOSE
    assert peer.receive() == b""


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
    """Reading a large upload that nobody wants is not worth a connection; the answer says that it closes."""
    peer = connect(hello, request_buffer=10)
    peer.send(post(bytes(MEGABYTE))[:100_000])
    peer.drive()
    peer.send(bytes(100_000))
    peer.drive()

    [reply] = replies(peer.receive())
    assert (reply.body, reply.headers["connection"]) == (b"hello", "close")
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


def adopt(peer: Peer) -> Peer:
    """Have the connection go on in another object, as in another worker."""
    state = peer.connection.export()
    assert state is not None
    peer.connection = peer.protocol.adopt(peer.connection.stream, state)
    return peer


def test_an_idle_connection_can_go_to_another_worker(connect: Connect) -> None:
    """Between requests, and before the first, it goes on where it is taken to."""
    peer = connect(echo)
    peer.drive()
    adopt(peer)
    assert [reply.status for reply in peer.ask(post(b"one"))] == [200]
    adopt(peer)

    assert [reply.body for reply in peer.ask(post(b"two"))] == [b"two"]


@pytest.mark.parametrize("begun", [b"\r", b"\r\n", b"G", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx"])
def test_a_request_that_has_begun_keeps_its_connection_here(connect: Connect, begun: bytes) -> None:
    """From its first byte on, were it of the empty line before it, a request is read by one worker."""
    peer = connect(echo)
    peer.send(begun)
    peer.drive()

    assert peer.connection.export() is None


def test_draining_promises_what_another_worker_will_hold(connect: Connect) -> None:
    """While others take idle connections over, responses let the connection stay, and its deadline is not cut."""
    peer = connect(echo, keepalive=30.0)
    peer.protocol.hands_over = True
    peer.drive()
    assert peer.connection.drain(peer.clock.now) is Next.IDLE
    [reply] = peer.ask(post(b"one"))

    assert "connection" not in reply.headers
    assert peer.time_left == 30.0
    assert peer.connection.export() is not None


def test_draining_again_ends_it(connect: Connect) -> None:
    """When nobody takes it after all, an idle connection gets a moment, and the next response is the last."""
    peer = connect(echo, keepalive=30.0)
    peer.protocol.hands_over = True
    peer.ask(post(b"one"))
    peer.connection.drain(peer.clock.now)
    peer.protocol.hands_over = False
    peer.connection.drain(peer.clock.now)

    assert peer.time_left == 2.0
    [reply] = peer.ask(post(b"two"))
    assert reply.headers["connection"] == "close"
