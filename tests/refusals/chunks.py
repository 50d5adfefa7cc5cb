"""The chunked coding (RFC 9112 section 7.1). Bodies that are broken far behind their beginning are read by the
application itself, which must not get away with a part of them.
"""

from __future__ import annotations

from tests.refusals.case import LIMITS, REQUEST_BUFFER, Case, Refused, Understood

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
# More than is received at once, so that what is behind it comes when the application is reading.
_LARGE = b"%x\r\n%b\r\n" % (20 * REQUEST_BUFFER, b"A" * 20 * REQUEST_BUFFER)

_SIZES = {
    "nothing": b"\r\n",
    "nothing but an extension": b";a\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "a plus": b"+1\r\n",
    "a minus": b"-1\r\n",
    "an underscore": b"0_2e\r\n",
    "a space first": b" 1\r\n",
    "a space behind": b"1 \r\n",
    "a space before an extension": b"1 ;a\r\n",
    "a tab behind": b"1\t\r\n",
    "17 digits": b"00000000000000001",
    "4000 digits, none of them its end": b"1" * 4000,
    "no digits": b"INVALID!!!\r\n",
    "a tail": b"5z\r\n",
    "Arabic digits": b"\xd9\xa2\r\n",
    "a quote": b'"1"\r\n',
    "NUL": b"1\x00\r\n",
}
_LINE_ENDS = {
    "LF behind the size": b"1\nA\r\n",
    "CR behind the size": b"1\rA\r\n",
    "CR CR behind the size": b"1\r\r",
    "LF behind the data": b"1\r\nA\n",
    "CR behind the data": b"1\r\nA\r1",
    "X LF behind the data": b"1\r\nAX\n",
    "nothing behind the data": b"1\r\nA0\r\n",
    "two other bytes behind the data": b"5\r\nAAAAAXX",
    "more data than the size": b"5\r\nAAAAAA\r\n",
    "LF behind the last size": b"0\n\r\n",
    "LF behind the trailers": b"0\r\n\n",
    "CR X behind the trailers": b"0\r\n\rX",
    "X LF behind the trailers": b"0\r\nX\n",
}
_EXTENSIONS = {
    "LF": b"1;a\nA",
    "CR": b"1;a\rb",
    "NUL": b"1;a\x00",
    "an escape sequence": b"1;a\x1b[31m",
    "DEL": b"1;\x7f",
    "a byte above ASCII outside of quotes": b"1;a\x80",
    "an open quote": b'1;a="b\r\n',
    "an escaped line end": b'1;a="b\\\r\n',
    "a control character in quotes": b'1;a="b\x01',
    "4097 bytes": b"1;" + b"a" * 4097,
    "17 KB in all": (b"1;" + b"a" * 4000 + b"\r\nA\r\n") * 5,
}
_TRAILERS = {
    "a request": b"GET /evil HTTP/1.1\r\n",
    "two words": b"A B: c\r\n",
    "no name": b": c\r\n",
    "a space before the colon": b"A : c\r\n",
    "no colon": b"Name\r\n",
    "a space first": b" A: b\r\n",
    "folded": b"A: b\r\n c\r\n",
    "LF": b"A: b\nC: d\r\n",
    "CR": b"A: b\rC: d\r\n",
    "NUL": b"A: \x00\r\n",
}
# What could pass for a field of the head (RFC 9110 section 6.5.1), and its key in an environ.
_DROPPED = {
    b"Content-Length: 5": "CONTENT_LENGTH",
    b"Transfer-Encoding: chunked": "HTTP_TRANSFER_ENCODING_2",
    b"Host: evil": "HTTP_HOST_2",
    b"Authorization: Basic eDp5": "HTTP_AUTHORIZATION",
    b"Content-Type: text/evil": "CONTENT_TYPE",
    b"Forwarded: for=evil": "HTTP_FORWARDED",
    b"X-Forwarded-Proto: https": "HTTP_X_FORWARDED_PROTO",
    b"Cookie: a=evil": "HTTP_COOKIE",
    b"X-Other: evil": "HTTP_X_OTHER",
}


def _refused(what: str, section: str, tables: dict[str, bytes]) -> tuple[Refused, ...]:
    return tuple(Refused(f"{what}: {name}", f"RFC 9112 {section}", HEAD + body) for name, body in tables.items())


def _decoded(name: str, section: str, body: bytes, payload: bytes) -> Understood:
    return Understood(name, f"RFC 9112 {section}", HEAD + body, ("POST /",), payload)


CASES: tuple[Case, ...] = (
    _decoded("chunks", "7.1", b"5\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n", b"hello0123456789"),
    _decoded("line ends as data", "7.1", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    _decoded("a request as data", "7.1",
             b"16\r\nGET /evil HTTP/1.1\r\n\r\n\r\n0\r\n\r\n", b"GET /evil HTTP/1.1\r\n\r\n"),
    _decoded("extensions", "7.1.1", b'1; a="b;\\"c\xff" ; d\r\nA\r\n0;e\r\n\r\n', b"A"),
    *_refused("chunk size", "7.1", _SIZES),
    *_refused("chunk", "7.1", _LINE_ENDS),
    *_refused("chunk extension", "7.1.1", _EXTENSIONS),
    *_refused("trailer", "7.1.2", {name: b"0\r\n" + line for name, line in _TRAILERS.items()}),
    Refused("trailers above the limit", "RFC 6585 5",
            HEAD + b"0\r\nA: " + b"b" * LIMITS.limit_request_trailers, 431),
    Refused("many trailers above the limit", "RFC 6585 5",
            HEAD + b"0\r\n" + b"A: b\r\n" * (LIMITS.limit_request_trailers // 6 + 1), 431),
    Refused("a chunk above the limit", "RFC 9110 15.5.14", HEAD + b"%x\r\n" % (LIMITS.limit_request_body + 1), 413),
    Refused("a chunk of 16 digits", "RFC 9110 15.5.14", HEAD + b"f" * 16 + b"\r\n", 413),
    *(
        Understood(
            f"trailer {line.partition(b':')[0].decode()} is dropped", "RFC 9110 6.5.1",
            HEAD + b"1\r\nA\r\n0\r\n" + line + b"\r\n\r\n", ("POST /",), b"A",
            {key: None, "HTTP_HOST": "a", "wsgi.url_scheme": "http"}, trusted=True,
        )
        for line, key in _DROPPED.items()
    ),
    Refused("a broken size behind 80 KB", "RFC 9112 7.1", HEAD + _LARGE + b"0x5\r\n", calls=1),
    Refused("LF behind 80 KB of data", "RFC 9112 7.1", HEAD + _LARGE[:-2] + b"\n", calls=1),
    Refused("a request for trailers behind 80 KB", "RFC 9112 7.1.2",
            HEAD + _LARGE + b"0\r\nGET /evil HTTP/1.1\r\n", calls=1),
    Refused("a chunk above the limit behind 80 KB", "RFC 9110 15.5.14",
            HEAD + _LARGE + b"%x\r\n" % LIMITS.limit_request_body, 413, calls=1),
)  # fmt: skip
