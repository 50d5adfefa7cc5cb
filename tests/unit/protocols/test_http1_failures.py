"""Applications that fail behind an HTTP/1.1 connection, and what their clients get."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from http1_peer import (
    Clock,
    Connect,
    Environ,
    Peer,
    StartResponse,
    Watched,
    get,
    hello,
    make_protocol,
    parts,
)

from workerkit.net.protocol import Next
from workerkit.wsgi.gateway import Application

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


def test_an_error_after_the_first_byte_ends_the_connection(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
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
