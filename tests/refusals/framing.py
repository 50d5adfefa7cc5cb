"""Where the body ends, as the head says (RFC 9112 section 6)."""

from __future__ import annotations

from tests.refusals.case import LIMITS, Case, Refused, Understood


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """Return a request with these fields."""
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *lines, b"", body])


def _length(name: str, value: bytes, status: int = 400) -> Refused:
    return Refused(f"Content-Length: {name}", "RFC 9110 8.6", post(b"Content-Length:" + value, body=b"hello"), status)


def _coding(name: str, value: bytes, status: int = 400) -> Refused:
    data = post(b"Transfer-Encoding:" + value, body=b"0\r\n\r\n")
    return Refused(f"Transfer-Encoding: {name}", "RFC 9112 6.1", data, status)


CASES: tuple[Case, ...] = (
    Understood(
        "a length", "RFC 9112 6.2", post(b"Content-Length: 5", body=b"hello"), ("POST /",), b"hello"
    ),
    Understood(
        "chunked, in capitals", "RFC 9112 7",
        post(b"Transfer-Encoding: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"), ("POST /",), b"hello",
    ),
    Understood("no framing is no body", "RFC 9112 6.3", post(), ("POST /",)),
    Understood("a body of GET", "RFC 9110 9.3.1", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
               body=b"hello"),
    Refused("a length and chunked", "RFC 9112 6.3",
            post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Refused("chunked and a length", "RFC 9112 6.3",
            post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n")),
    Refused("a length of 0 and chunked", "RFC 9112 6.3",
            post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Refused("two lengths", "RFC 9112 6.3", post(b"Content-Length: 2", b"Content-Length: 3", body=b"abc")),
    Refused("the same length twice", "RFC 9112 6.3", post(b"Content-Length: 2", b"content-length: 2", body=b"ab")),
    _length("a list", b" 2, 2"),
    _length("a plus", b" +2"),
    _length("an underscore", b" 1_0"),
    _length("hexadecimal", b" 0x2"),
    _length("negative", b" -1"),
    _length("a fraction", b" 2.0"),
    _length("an exponent", b" 1e1"),
    _length("a space alone", b" "),
    _length("nothing", b""),
    _length("two words", b" 1 2"),
    _length("a vertical tab", b" \x0b2"),
    _length("a form feed behind", b" 2\x0c"),
    _length("a no-break space", b" 2\xa0"),
    _length("Arabic digits", b" \xd9\xa2"),
    _length("quoted", b' "2"'),
    _length("19 digits", b" " + b"1" * 19),
    _length("40 digits", b" " + b"1" * 40),
    _length("5000 digits", b" " + b"1" * 5000),
    _length("5000 zeros", b" " + b"0" * 5000),
    Refused("Content-Length: above the limit", "RFC 9110 15.5.14",
            post(b"Content-Length: %d" % (LIMITS.limit_request_body + 1)), 413),
    _coding("gzip", b" gzip"),
    _coding("chunked, gzip", b" chunked, gzip"),
    _coding("gzip, chunked", b" gzip, chunked", 501),
    _coding("xchunked", b" xchunked"),
    _coding("chunkedx", b" chunkedx"),
    _coding("chunked twice", b" chunked, chunked"),
    _coding("chunked on two lines", b" chunked\r\nTransfer-Encoding: chunked"),
    _coding("chunked, then identity on a line", b" chunked\r\nTransfer-Encoding: identity"),
    _coding("gzip, then chunked on a line", b" gzip\r\nTransfer-Encoding: chunked"),
    _coding("identity", b" identity"),
    _coding("identity, chunked", b" identity, chunked"),
    _coding("an empty coding first", b" ,chunked"),
    _coding("an empty coding last", b" chunked,"),
    _coding("nothing", b""),
    _coding("in quotes", b' "chunked"'),
    _coding("a parameter", b" chunked;q=1"),
    _coding("after a vertical tab", b" \x0bchunked"),
    _coding("before a form feed", b" chunked\x0c"),
    _coding("after NUL", b" \x00chunked"),
    _coding("after a no-break space", b" \xa0chunked"),
    _coding("folded", b"\r\n chunked"),
    _coding("folded behind", b" chunked\r\n , identity"),
    Refused("chunked in HTTP/1.0", "RFC 9112 6.1",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Refused("chunked and a length in HTTP/1.0", "RFC 9112 6.1",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
)  # fmt: skip
