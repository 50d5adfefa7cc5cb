"""Request lines (RFC 9112 section 3)."""

from __future__ import annotations

from tests.refusals.case import Case, Refused, Understood

_HOST = b"\r\nHost: a\r\n\r\n"


def _line(name: str, source: str, line: bytes, status: int = 400) -> Refused:
    return Refused(name, source, line + _HOST, status)


CASES: tuple[Case, ...] = (
    Understood("one empty line first", "RFC 9112 2.2", b"\r\nGET / HTTP/1.1" + _HOST),
    Refused("two empty lines first", "RFC 9112 2.2", b"\r\n\r\n"),
    _line("half an empty line first", "RFC 9112 2.2", b"\rGET / HTTP/1.1"),
    _line("the other half first", "RFC 9112 2.2", b"\nGET / HTTP/1.1"),
    _line("a space first", "RFC 9112 3", b" GET / HTTP/1.1"),
    _line("a method that is no token", "RFC 9110 9.1", b"G(T / HTTP/1.1"),
    _line("no method", "RFC 9112 3", b" / HTTP/1.1"),
    _line("a method that nobody knows", "RFC 9110 9.1", b"BREW / HTTP/1.1", 501),
    _line("a method in lower case", "RFC 9110 9.1", b"get / HTTP/1.1", 501),
    _line("HTTP/2.0", "RFC 9110 15.6.6", b"GET / HTTP/2.0", 505),
    Refused("the preface of HTTP/2", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    Refused("HTTP/0.9", "RFC 9112 3", b"GET /\r\n"),
    _line("HTTP/0.9, spelt out", "RFC 9112 2.3", b"GET / HTTP/0.9"),
    _line("HTTP/1.2", "RFC 9112 2.3", b"GET / HTTP/1.2"),
    _line("HTTP/1.32", "RFC 9112 2.3", b"GET / HTTP/1.32"),
    _line("HTTP/1.", "RFC 9112 2.3", b"GET / HTTP/1."),
    _line("HTTP/01.1", "RFC 9112 2.3", b"GET / HTTP/01.1"),
    _line("http/1.1", "RFC 9112 2.3", b"GET / http/1.1"),
    _line("another protocol", "RFC 9112 2.3", b"GET / RTSP/1.0"),
    _line("two spaces", "RFC 9112 3", b"GET  / HTTP/1.1"),
    _line("a space at the end", "RFC 9112 3", b"GET / HTTP/1.1 "),
    _line("a tab for a space", "RFC 9112 3", b"GET\t/ HTTP/1.1"),
    _line("a vertical tab for a space", "RFC 9112 3", b"GET\x0b/ HTTP/1.1"),
    _line("a form feed for a space", "RFC 9112 3", b"GET /\x0cHTTP/1.1"),
    _line("LF for a space", "RFC 9112 3", b"GET /\nHTTP/1.1"),
    _line("CR for a space", "RFC 9112 3", b"GET /\rHTTP/1.1"),
    _line("a space in the target", "RFC 9112 3.2", b"GET /a b HTTP/1.1"),
    _line("no target", "RFC 9112 3.2", b"GET  HTTP/1.1"),
    _line("an asterisk for GET", "RFC 9112 3.2.4", b"GET * HTTP/1.1"),
    Understood("an asterisk for OPTIONS", "RFC 9112 3.2.4", b"OPTIONS * HTTP/1.1" + _HOST, ("OPTIONS *",)),
    _line("an authority for GET", "RFC 9112 3.2.3", b"GET a:80 HTTP/1.1"),
    _line("a relative reference", "RFC 9112 3.2.1", b"GET a/b HTTP/1.1"),
    _line("a query without a path", "RFC 9112 3.2.1", b"GET ?a HTTP/1.1"),
    _line("a fragment", "RFC 9112 3.2", b"GET /a#b HTTP/1.1"),
    _line("a fragment of a query", "RFC 9112 3.2", b"GET /a?b#c HTTP/1.1"),
    _line("a control character in the target", "RFC 9112 3.2", b"GET /a\x01 HTTP/1.1"),
    _line("NUL in the target", "RFC 9112 3.2", b"GET /a\x00 HTTP/1.1"),
    _line("DEL in the target", "RFC 9112 3.2", b"GET /a\x7f HTTP/1.1"),
    _line("a byte above ASCII in the target", "RFC 3986 2", b"GET /\xc3\xa9 HTTP/1.1"),
    _line("half an escape", "RFC 3986 2.1", b"GET /a%2 HTTP/1.1"),
    _line("a percent sign alone", "RFC 3986 2.1", b"GET /a?100% HTTP/1.1"),
    _line("an escape without digits", "RFC 3986 2.1", b"GET /a%zz HTTP/1.1"),
    _line("another scheme", "RFC 9112 3.2.2", b"GET ftp://a/ HTTP/1.1"),
    _line("an absolute target without a host", "RFC 9110 4.2.1", b"GET http:///a HTTP/1.1"),
    _line("an absolute target with a user", "RFC 9110 4.2.4", b"GET http://u@a/ HTTP/1.1"),
    _line("an absolute target with a fragment", "RFC 9112 3.2.2", b"GET http://a/#b HTTP/1.1"),
    Understood(
        "an absolute target wins over Host",
        "RFC 9112 3.2.2",
        b"GET http://b:8000/c?d HTTP/1.1" + _HOST,
        ("GET /c",),
        environ={"HTTP_HOST": "b:8000", "QUERY_STRING": "d"},
    ),
    _line("CONNECT", "RFC 9110 9.3.6", b"CONNECT a:80 HTTP/1.1", 501),
    _line("CONNECT without a port", "RFC 9112 3.2.3", b"CONNECT a HTTP/1.1"),
    _line("CONNECT to a path", "RFC 9112 3.2.3", b"CONNECT / HTTP/1.1"),
    Refused("a TLS greeting", "RFC 8446 5.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    _line("the PROXY protocol, unasked", "PROXY 2.1", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1"),
    Refused("the binary PROXY protocol, unasked", "PROXY 2.2",
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x7f" * 12),
)  # fmt: skip
