"""Response heads: what the application may say, what is added, and how the body is framed."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import h11
import pytest

from workerkit.errors import ApplicationError
from workerkit.http.reasons import REASONS
from workerkit.http.response import (
    CONTINUE,
    LAST_CHUNK,
    BodyMode,
    begin,
    chunk,
    error_response,
    field_line,
    http_date,
)

OURS = b"Date: Sat, 21 Nov 2026 11:00:00 GMT\r\nServer: workerkit\r\n"
TEXT = ("Content-Type", "text/plain")


class Started(NamedTuple):
    head: bytes
    mode: BodyMode
    length: int
    keep_alive: bool


def start(
    status: str = "200 OK",
    headers: Any = (TEXT,),
    *,
    method: str = "GET",
    minor: int = 1,
    keep_alive: bool = True,
    known: int | None = None,
) -> Started:
    return Started(*begin(method, minor, keep_alive, status, headers, OURS, known))


def lines(response: Started) -> list[bytes]:
    assert response.head.endswith(b"\r\n\r\n")
    return response.head[:-4].split(b"\r\n")


def test_the_common_head_is_complete_and_in_order() -> None:
    """The status, the application's fields in its order, then ours."""
    response = start(headers=[TEXT, ("Content-Length", "5"), ("X-A", "1"), ("X-A", "2")])

    assert response.head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n" + OURS + b"\r\n"
    )
    assert (response.mode, response.length, response.keep_alive) == (BodyMode.LENGTH, 5, True)


LENGTH_5 = ("Content-Length", "5")


@pytest.mark.parametrize(
    ("request_", "headers", "known", "mode", "framing", "keep_alive"),
    [
        pytest.param({}, [LENGTH_5], None, BodyMode.LENGTH, b"Content-Length: 5", True, id="declared"),
        pytest.param({}, [LENGTH_5], 7, BodyMode.LENGTH, b"Content-Length: 5", True, id="declared beats known"),
        pytest.param({}, [], 7, BodyMode.LENGTH, b"Content-Length: 7", True, id="known"),
        pytest.param({}, [], 0, BodyMode.LENGTH, b"Content-Length: 0", True, id="known to be empty"),
        pytest.param({}, [], None, BodyMode.CHUNKED, b"Transfer-Encoding: chunked", True, id="unknown"),
        pytest.param({"minor": 0}, [], None, BodyMode.CLOSE, None, False, id="unknown in 1.0"),
        pytest.param({"minor": 0}, [], 7, BodyMode.LENGTH, b"Content-Length: 7", True, id="known in 1.0"),
        pytest.param({"method": "HEAD"}, [], None, BodyMode.NONE, None, True, id="HEAD"),
        pytest.param({"method": "HEAD"}, [LENGTH_5], 0, BodyMode.NONE, b"Content-Length: 5", True, id="HEAD declared"),
        pytest.param({"method": "HEAD"}, [], 7, BodyMode.NONE, b"Content-Length: 7", True, id="HEAD known"),
        pytest.param({"method": "HEAD"}, [], 0, BodyMode.NONE, None, True, id="HEAD of nothing"),
        pytest.param({"method": "HEAD", "minor": 0}, [], None, BodyMode.NONE, None, True, id="HEAD in 1.0"),
        pytest.param({"status": "204 No Content"}, [LENGTH_5], 5, BodyMode.NONE, None, True, id="204"),
        pytest.param({"status": "304 Not Modified"}, [], 0, BodyMode.NONE, None, True, id="304"),
        pytest.param(
            {"status": "304 Not Modified"}, [LENGTH_5], 0, BodyMode.NONE, b"Content-Length: 5", True, id="304 declared"
        ),
        pytest.param({"status": "101 Switching Protocols"}, [], 0, BodyMode.NONE, None, False, id="101"),
    ],
)
def test_the_body_is_framed(
    request_: dict[str, Any],
    headers: list[tuple[str, str]],
    known: int | None,
    mode: BodyMode,
    framing: bytes | None,
    keep_alive: bool,
) -> None:
    """Method, version, status and lengths decide the mode, at most one framing field, and the connection's fate."""
    response = start(headers=headers, known=known, **request_)

    framings = [line for line in lines(response) if line.startswith((b"Content-Length", b"Transfer-Encoding"))]
    assert framings == ([framing] if framing else [])
    assert (response.mode, response.keep_alive) == (mode, keep_alive)


@pytest.mark.parametrize(
    ("minor", "keep_alive", "headers", "line", "kept"),
    [
        (1, True, [], None, True),
        (1, False, [], b"Connection: close", False),
        (0, True, [], b"Connection: keep-alive", True),
        (0, False, [], b"Connection: close", False),
        (1, True, [("Connection", "close")], b"Connection: close", False),
        (1, True, [("connection", "Close, keep-alive")], b"Connection: close", False),
        (0, True, [("Connection", "close")], b"Connection: close", False),
        (1, True, [("Connection", "keep-alive")], None, True),
        (1, False, [("Connection", "keep-alive")], b"Connection: close", False),
    ],
)
def test_the_connection_field_is_ours(
    minor: int, keep_alive: bool, headers: list[tuple[str, str]], line: bytes | None, kept: bool
) -> None:
    """It is sent once, unless a connection of HTTP/1.1 stays; the application can ask to close, and no more."""
    response = start(headers=headers, known=1, minor=minor, keep_alive=keep_alive)

    assert [each for each in lines(response) if each.lower().startswith(b"connection")] == ([line] if line else [])
    assert response.keep_alive is kept


@pytest.mark.parametrize("status", ["101 Switching Protocols", "426 Upgrade Required"])
def test_an_upgrade_is_the_applications(status: str) -> None:
    """With the two statuses that speak of protocols, its Connection and Upgrade go out as they are."""
    response = start(status, [("Connection", "upgrade"), ("Upgrade", "websocket")], known=0)

    assert b"Connection: upgrade" in lines(response)
    assert b"Upgrade: websocket" in lines(response)
    assert response.keep_alive is (status[0] == "4")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Date", "x")], [b"Date: x", b"Server: workerkit"]),
        ([("server", "x")], [b"server: x", b"Date: Sat, 21 Nov 2026 11:00:00 GMT"]),
        ([("SERVER", "x"), ("date", "y")], [b"SERVER: x", b"date: y"]),
    ],
)
def test_the_applications_date_and_server_replace_ours(headers: list[tuple[str, str]], expected: list[bytes]) -> None:
    """Each is sent once."""
    told = [line for line in lines(start(headers=headers, known=0)) if line.lower().startswith((b"date", b"server"))]

    assert told == expected


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        pytest.param([("X", "a\r\nInjected: 1")], "X", id="CRLF in a value"),
        pytest.param([("X", "a\nb")], "X", id="LF in a value"),
        pytest.param([("X", "a\rb")], "X", id="CR in a value"),
        pytest.param([("X", "a\x00")], "X", id="NUL in a value"),
        pytest.param([("X", "a\x1b")], "X", id="a control character in a value"),
        pytest.param([("X", "a\x7f")], "X", id="DEL in a value"),
        pytest.param([("X", "€")], "X", id="not latin-1"),
        pytest.param([("X", "a\u2028b")], "X", id="a line separator"),
        pytest.param([("X Y", "a")], "X Y", id="a space in a name"),
        pytest.param([("X:", "a")], "X:", id="a colon in a name"),
        pytest.param([("X\r\nY", "a")], "X", id="CRLF in a name"),
        pytest.param([("", "a")], "''", id="an empty name"),
        pytest.param([("Ü", "a")], "Ü", id="a name above ASCII"),
        pytest.param([(b"X", "a")], "b'X'", id="a name of bytes"),
        pytest.param([("X", b"a")], "X", id="a value of bytes"),
        pytest.param([("X", 5)], "X", id="a number"),
        pytest.param([("X", None)], "X", id="None"),
        pytest.param([(["X"], "a")], "X", id="a list for a name"),
        pytest.param([("X", "a"), ("Y",)], "Y", id="one alone"),
        pytest.param([("X", "a", "b")], "X", id="three together"),
        pytest.param([TEXT, 5], "5", id="a number for a header"),
        pytest.param(5, "int", id="a number for the list"),
        pytest.param([("Content-Length", "x")], "Content-Length", id="a length that is no number"),
        pytest.param([("Content-Length", "-1")], "Content-Length", id="a negative length"),
        pytest.param([("Content-Length", "٢")], "Content-Length", id="a length in Arabic digits"),
        pytest.param([("Content-Length", "")], "Content-Length", id="an empty length"),
        pytest.param([("Content-Length", "1" * 5000)], "Content-Length", id="a length of 5000 digits"),
        pytest.param([LENGTH_5, LENGTH_5], "Content-Length", id="two lengths"),
        pytest.param([("Transfer-Encoding", "chunked")], "Transfer-Encoding", id="Transfer-Encoding"),
        pytest.param([("transfer-encoding", "identity")], "transfer-encoding", id="transfer-encoding"),
        pytest.param([("Keep-Alive", "timeout=5")], "Keep-Alive", id="Keep-Alive"),
        pytest.param([("TE", "trailers")], "TE", id="TE"),
        pytest.param([("Trailer", "X")], "Trailer", id="Trailer"),
        pytest.param([("Upgrade", "h2c")], "Upgrade", id="Upgrade with 200"),
        pytest.param([("Connection", "upgrade")], "Connection", id="Connection: upgrade with 200"),
        pytest.param([("Connection", "X-Secret")], "Connection", id="Connection: X-Secret"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named(headers: Any, named: str) -> None:
    """The application's mistake is an ApplicationError that says which header it is about."""
    with pytest.raises(ApplicationError) as refused:
        start(headers=headers)

    assert named in str(refused.value)


@pytest.mark.parametrize(
    "status",
    ["", "200", "20 OK", "2000 OK", "OK", "200OK", "abc OK", "099 Low", "200 a\r\nX: b", "200 \x00", "200 €", "٢٠٠ OK",
     "100 Continue", "103 Early Hints", 200, b"200 OK", None, ["200 OK"]],
)  # fmt: skip
def test_a_status_that_cannot_be_sent_is_an_error(status: Any) -> None:
    """Three digits, a space and a reason in latin-1; never one that announces another response."""
    with pytest.raises(ApplicationError):
        start(status)


@pytest.mark.parametrize("status", ["200 ", "200 Ol\xe9", "299 Something Else", "404 Not Found", "999 Max"])
def test_a_reason_is_the_applications(status: str) -> None:
    """Any reason goes, an empty one too."""
    assert lines(start(status))[0] == b"HTTP/1.1 " + status.encode("latin-1")


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "\xe9", "\xc3\x85", "\x80\x9f\xa0\xad\xff"])
def test_a_value_may_hold_any_byte_but_controls(value: str) -> None:
    """A str stands for bytes: UTF-8 that an application spells as latin-1 passes unchanged."""
    expected = b"X: " + value.encode("latin-1")

    assert expected in lines(start(headers=[("X", value)]))
    assert field_line("X", value) == expected + b"\r\n"


def test_a_field_line_is_checked_on_its_own() -> None:
    """Early hints are written line by line, under the same rules."""
    assert field_line("Link", "</a.css>; rel=preload") == b"Link: </a.css>; rel=preload\r\n"
    for name, value in (("A B", "x"), ("A", "x\n"), ("A", "€"), (b"A", "x"), ("A", b"x")):
        with pytest.raises(ApplicationError):
            field_line(name, value)  # type: ignore[arg-type]


def test_chunks_are_read_by_another_implementation() -> None:
    """What begin and chunk write, h11 reads back."""
    response = start(known=None)
    data = b"".join((response.head, *chunk(b"hello "), *chunk(b""), *chunk(b"w" * 300), LAST_CHUNK))
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(CONTINUE + data)

    informational = client.next_event()
    final = client.next_event()
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data

    assert isinstance(informational, h11.InformationalResponse)
    assert isinstance(final, h11.Response)
    assert final.status_code == 200
    assert body == b"hello " + b"w" * 300
    assert isinstance(event, h11.EndOfMessage)


@pytest.mark.parametrize("status", [400, 408, 413, 414, 417, 431, 500, 501, 503, 505])
def test_an_error_response_is_complete_and_closes(status: int) -> None:
    """It has a reason phrase, a length that is right, our fields, and says that it closes."""
    head, _, body = error_response(status, "the reason", OURS).partition(b"\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status} {REASONS[status]}\r\n".encode())
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert OURS.strip() in head
    assert body == f"{status} {REASONS[status]}: the reason\n".encode()


def test_an_error_response_needs_no_reason() -> None:
    """Without one, and for a status without a phrase, it is still complete."""
    assert error_response(500).endswith(b"\r\n\r\n500 Internal Server Error\n")
    assert error_response(599).startswith(b"HTTP/1.1 599 Error\r\n")


def test_dates_are_written_in_english() -> None:
    """The fixed format of HTTP, whatever the locale; for each month and weekday."""
    assert http_date(*time.gmtime(784111777)[:7]) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    for day in range(0, 400, 7):
        moment = time.gmtime(day * 86400 * 1.01)
        expected = time.strftime("%a, %d %b %Y %H:%M:%S GMT", moment)
        assert http_date(*moment[:7]) == expected.encode()
