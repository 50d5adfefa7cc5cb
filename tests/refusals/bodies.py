"""Bodies that end early, bodies that nobody reads, and clients that still send when they are answered."""

from __future__ import annotations

from tests.refusals.case import LIMITS, REQUEST_BUFFER, Case, Cut, Gone, Sending, Understood, Waiting
from tests.refusals.chunks import HEAD as CHUNKED
from tests.refusals.framing import post

_SOURCE = "RFC 9112 8"
_LARGE = b"A" * 2 * REQUEST_BUFFER
_REQUESTS = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_GONE = b"POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 * len(_LARGE))


def _unread(size: int) -> bytes:
    body = (_REQUESTS * (size // len(_REQUESTS) + 1))[:size]
    return b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body


CASES: tuple[Case, ...] = (
    Cut("no byte of a body", _SOURCE, post(b"Content-Length: 5"), called=False),
    Cut("4 of 5 bytes", _SOURCE, post(b"Content-Length: 5", body=b"hell"), called=False),
    Cut("no chunk", _SOURCE, CHUNKED, called=False),
    Cut("half a chunk", _SOURCE, CHUNKED + b"5\r\nhel", called=False),
    Cut("a chunk without its end", _SOURCE, CHUNKED + b"5\r\nhello", called=False),
    Cut("no last chunk", _SOURCE, CHUNKED + b"5\r\nhello\r\n", called=False),
    Cut("no end behind the last chunk", "gunicorn 3382", CHUNKED + b"5\r\nhello\r\n0\r\n", called=False),
    Cut("half an end behind the last chunk", _SOURCE, CHUNKED + b"5\r\nhello\r\n0\r\n\r", called=False),
    Cut("half of a large length", _SOURCE, post(b"Content-Length: %d" % (2 * len(_LARGE)), body=_LARGE), called=True),
    Cut("a large length without a byte", _SOURCE, post(b"Content-Length: %d" % len(_LARGE)), called=True),
    Cut("half of a large chunk", _SOURCE, CHUNKED + b"%x\r\n" % (2 * len(_LARGE)) + _LARGE, called=True),
    Cut("no last chunk behind a large one", _SOURCE, CHUNKED + b"%x\r\n%b\r\n" % (len(_LARGE), _LARGE), called=True),
    Cut("no end behind a large one", "gunicorn 3382",
        CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(_LARGE), _LARGE), called=True),
    Understood("a body that nobody reads", "RFC 9112 9.3", _unread(100), ("POST /unread",), None),
    Understood("a body of 60 KB that nobody reads", "RFC 9112 9.3", _unread(60000), ("POST /unread",), None),
    Waiting("leave to send a body", "RFC 9110 10.1.1",
            post(b"Expect: 100-continue", b"Content-Length: 5"), b"hello"),
    Waiting("leave to send chunks", "gevent 2075",
            post(b"Expect: 100-continue", b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n\r\n"),
    Waiting("leave to send a large body, when it is read", "RFC 9110 10.1.1",
            post(b"Expect: 100-continue", b"Content-Length: %d" % len(_LARGE)), _LARGE),
    Waiting("no leave for a large body that nobody reads", "RFC 9110 10.1.1",
            post(b"Expect: 100-continue", b"Content-Length: %d" % len(_LARGE)).replace(b" / ", b" /unread "), None),
    Waiting("no leave for what is too large", "RFC 9110 10.1.1",
            post(b"Expect: 100-continue", b"Content-Length: %d" % (2 * LIMITS.limit_request_body)), None),
    Gone("a reset before a byte", "CVE-2024-49769", b""),
    Gone("a reset in a head", "CVE-2022-31015", _GONE[:40]),
    Gone("a reset in a body", "CVE-2022-31015", _GONE + b"A"),
    Gone("a reset in a body that is being read", "CVE-2022-31015", _GONE + _LARGE),
    Gone("a reset behind a request", "CVE-2022-31015", _GONE + _LARGE * 2),
    Gone("a reset behind a bad request", "CVE-2022-31015", post(b"Content-Length: x")),
    Sending("a body of 1 MB that nobody reads", "RFC 9112 9.6", _unread(2 * REQUEST_BUFFER).replace(
        b"Content-Length: %d" % (2 * REQUEST_BUFFER), b"Content-Length: %d" % LIMITS.limit_request_body, 1), 200),
    Sending("400 to a head", "RFC 9112 9.6", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    Sending("414 to a request line", "RFC 9112 9.6", b"GET /" + b"a" * LIMITS.limit_request_line, 414),
    Sending("431 to a head", "RFC 9112 9.6", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * LIMITS.limit_request_fields, 431),
    Sending("413 to a length", "RFC 9112 9.6", post(b"Content-Length: %d" % (4 * LIMITS.limit_request_body)), 413),
    Sending("400 to a chunk", "RFC 9112 9.6", CHUNKED + b"0x5\r\n", 400),
    Sending("413 to a chunk", "RFC 9112 9.6", CHUNKED + b"%x\r\n" % (4 * LIMITS.limit_request_body), 413),
    Sending("400 to a chunk that the application reads", "RFC 9112 9.6",
            CHUNKED + b"%x\r\n%b\r\n0x5\r\n" % (len(_LARGE), _LARGE), 400),
    Sending("500 of an application that reads nothing", "RFC 9112 9.6",
            b"POST /fault/raises HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LIMITS.limit_request_body, 500),
)  # fmt: skip
