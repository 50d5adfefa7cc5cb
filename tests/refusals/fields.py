"""Field lines of the head (RFC 9112 section 5), and fields with rules of their own."""

from __future__ import annotations

from tests.refusals.case import Case, Refused, Understood
from tests.refusals.framing import post


def _get(lines: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + lines


CASES: tuple[Case, ...] = (
    Refused("a space before the colon", "RFC 9112 5.1", _get(b"Name : x\r\n")),
    Refused("a tab before the colon", "RFC 9112 5.1", _get(b"Name\t: x\r\n")),
    Refused("Content-Length and a space", "RFC 9112 5.1", post(b"Content-Length : 5", body=b"hello")),
    Refused("Transfer-Encoding and a space", "RFC 9112 5.1", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    Refused("a space before the first field", "RFC 9112 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n"),
    Refused("a tab before the first field", "RFC 9112 2.2", b"GET / HTTP/1.1\r\n\tHost: a\r\n"),
    Refused("no colon", "RFC 9112 5", _get(b"Name\r\n")),
    Refused("no name", "RFC 9112 5", _get(b": x\r\n")),
    Refused("a name in two words", "RFC 9110 5.1", _get(b"A B: x\r\n")),
    Refused("a name in brackets", "RFC 9110 5.1", _get(b"(A): x\r\n")),
    Refused("a name above ASCII", "RFC 9110 5.1", _get(b"Nam\xe9: x\r\n")),
    Refused("NUL in a name", "RFC 9110 5.1", _get(b"Na\x00me: x\r\n")),
    Refused("CR in a name", "RFC 9110 5.1", post(b"Content\rLength: 5", body=b"hello")),
    *(
        Refused(f"{byte:#04x} in a value", "RFC 9110 5.5", _get(b"Name: a%cb\r\n" % byte))
        for byte in (*range(9), *range(10, 32), 127)
    ),
    Refused("NUL and CR at the end of a value", "RFC 9110 5.5", _get(b"Name: v\x00\r\r\n")),
    Refused("a folded line", "RFC 9112 5.2", _get(b"Name: a\r\n b\r\n")),
    Refused("a line folded by a tab", "RFC 9112 5.2", _get(b"Name: a\r\n\tb\r\n")),
    Refused("a folded line of spaces", "RFC 9112 5.2", _get(b"Name: a\r\n \r\n")),
    Refused("LF ends a field", "RFC 9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n"),
    Refused("LF ends everything", "RFC 9112 2.2", b"GET / HTTP/1.1\nHost: a\n\n"),
    Refused("LF ends the head", "RFC 9112 2.2", _get(b"\n")),
    Refused("CR ends a field", "RFC 9112 2.2", b"GET / HTTP/1.1\r\nHost: a\rName: x\r\n"),
    Refused("CR CR LF ends a field", "RFC 9112 2.2", _get(b"Name: x\r\r\n")),
    Refused("CR X ends the head", "RFC 9112 2.2", _get(b"\rX")),
    Refused("CR X behind the request line", "RFC 9112 2.2", b"GET / HTTP/1.1\r\n\rX"),
    Understood("bytes above ASCII in a value", "RFC 9110 5.5", _get(b"Name: \x80\xff\r\n\r\n"),
               environ={"HTTP_NAME": "\x80\xff"}),
    Understood("white space around a value", "RFC 9110 5.6.3", _get(b"Name: \t a\tb \t\r\n\r\n"),
               environ={"HTTP_NAME": "a\tb"}),
    Refused("another expectation", "RFC 9110 10.1.1", post(b"Expect: 200-ok", b"Content-Length: 1", body=b"x"), 417),
    Refused("two expectations", "RFC 9110 10.1.1",
            post(b"Expect: 100-continue, x", b"Content-Length: 1", body=b"x"), 417),
    Understood("an expectation in HTTP/1.0 is none", "RFC 9110 10.1.1",
               b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
               ("POST /",), b"x"),
    Understood("an expectation without a body is none", "RFC 9110 10.1.1", _get(b"Expect: 100-continue\r\n\r\n")),
    Understood("an expectation with the body behind it", "RFC 9110 10.1.1",
               post(b"Expect: 100-continue", b"Content-Length: 1", body=b"x"), ("POST /",), b"x"),
    Refused("two content types", "RFC 9110 8.3", post(b"Content-Type: text/plain", b"content-type: text/html")),
    Understood("an upgrade to nobody knows what", "RFC 9110 7.8",
               post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello"),
               ("POST /",), b"hello"),
    Understood("an upgrade without Connection", "RFC 9110 7.8", _get(b"Upgrade: websocket\r\n\r\n")),
)  # fmt: skip
