"""What other servers and parsers fell for, each byte for byte as its advisory or changelog tells it."""

from __future__ import annotations

from tests.refusals.case import Case, Refused, Understood
from tests.refusals.chunks import HEAD as CHUNKED
from tests.refusals.framing import post

_GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
_END = b"0\r\n\r\n"
_EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"


def _two_codings(first: bytes, second: bytes) -> bytes:
    return post(b"Transfer-Encoding: " + first, b"Transfer-Encoding: " + second, body=_END)


CASES: tuple[Case, ...] = (
    # gunicorn
    Refused("two framings", "SNYK-541164", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=_END)),
    Refused("two equal lengths", "SNYK-541164", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    Understood("Sec-WebSocket-Key1 adds no 8 bytes", "gunicorn 20.1, 2021", _GET + b"Sec-WebSocket-Key1: x\r\n\r\n"),
    Refused("a signed length", "gunicorn 20.1, 2021", post(b"Content-Length: +5", body=b"hello")),
    Refused("an underscored length", "gunicorn 20.1, 2021", post(b"Content-Length: 1_0", body=b"0123456789")),
    Refused("chunked and identity", "CVE-2024-1135", _two_codings(b"chunked", b"identity")),
    Refused("identity and chunked", "CVE-2024-1135", _two_codings(b"identity", b"chunked")),
    Refused("xchunked", "CVE-2024-6827", post(b"Transfer-Encoding: xchunked", b"Content-Length: 5", body=b"hello")),
    Refused("gzip last", "CVE-2024-6827",
            post(b"Transfer-Encoding: chunked, gzip", b"Content-Length: 5", body=b"hello")),
    Refused("an underscored chunk", "gunicorn 3047", CHUNKED + b"0_2e\r\n"),
    Refused("a hexadecimal chunk", "gunicorn 3047", CHUNKED + b"0x1\r\nA\r\n" + _END),
    Refused("a signed chunk", "gunicorn 3047", CHUNKED + b"+1\r\nA\r\n" + _END),
    Refused("NUL and CR in a value", "gunicorn 3144", _GET + b"X: v\x00\r\r\n\r\n"),
    Refused("an empty target", "gunicorn 3255", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("CR in a chunk extension", "gunicorn 3556", CHUNKED + b"1;a\rb\r\nA\r\n" + _END),
    Refused("two hosts", "gunicorn 3366", _GET + b"Host: b\r\n\r\n"),
    Refused("two content types", "gunicorn 3366", post(b"Content-Type: a/b", b"Content-Type: c/d")),
    Refused("a control character in a path", "gunicorn 3371", b"GET /\x1f HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("above ASCII in a path", "gunicorn 3371", b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("gzip alone", "gunicorn 27", post(b"Transfer-Encoding: gzip", body=_END)),
    Refused("chunk data without CRLF", "gunicorn 27", CHUNKED + b"1\r\nA0\r\n\r\n"),
    Refused("a space behind a name", "gunicorn 27", _GET + b"Name : x\r\n\r\n"),
    Understood("the body of a HEAD is no request", "gunicorn 27",
               b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(_EVIL), _EVIL), ("HEAD /",), _EVIL),
    # waitress
    Refused("LF line ends", "CVE-2019-16785", b"GET / HTTP/1.1\nHost: a\n\n"),
    Refused("gzip, chunked", "CVE-2019-16786",
            post(b"Transfer-Encoding: gzip, chunked", b"Content-Length: 5", body=_END), 400),
    Refused("a vertical tab before chunked", "CVE-2019-16789", post(b"Transfer-Encoding: \x0bchunked", body=_END)),
    Refused("two lengths that made none", "CVE-2019-16792",
            post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    Refused("a control character behind many others", "CVE-2020-5236",
            _GET + b"Bad-header: xxxxxxxxxxxxxxx\x10\r\n\r\n"),
    Refused("a signed length of two digits", "CVE-2022-24761", post(b"Content-Length: +10", body=b"0123456789")),
    Refused("a chunk of 0x01", "CVE-2022-24761", CHUNKED + b"0x01\r\nA\r\n" + _END),
    Refused("junk in a chunk extension", "CVE-2022-24761", CHUNKED + b"1;\x01\x7f\r\nA\r\n" + _END),
    Refused("a request behind a bad one", "CVE-2024-49768",
            _GET + b"X : y\r\n\r\n" + _EVIL),
    Refused("chunked twice", "waitress 464", _two_codings(b"chunked", b"chunked")),
    # cheroot
    Refused("Content-Length and a space", "cheroot 714", post(b"Content-Length : 5", body=b"hello")),
    Refused("two lengths, the last of them 0", "cheroot 737",
            post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello")),
    Refused("INVALID!!!", "cheroot, garden 47", CHUNKED + b"INVALID!!!\r\n"),
    # uvicorn, h11
    Understood("an escape sequence stays escaped", "CVE-2020-7694", b"GET /%1b[31m HTTP/1.1\r\nHost: a\r\n\r\n",
               ("GET /\x1b[31m",), environ={"RAW_URI": "/%1b[31m"}),
    Refused("any two bytes behind a chunk", "CVE-2025-43859", CHUNKED + b"5\r\nAAAAAXX2\r\nAA\r\n" + _END),
    # llhttp, node
    Refused("a length in two words", "CVE-2018-7159", post(b"Content-Length: 1 2", body=b"hello")),
    Refused("a bad coding", "CVE-2019-15605", post(b"Transfer-Encoding: chunked , x", body=_END)),
    Refused("CR for a dash", "CVE-2020-8201", post(b"Content\rLength: 5", body=b"hello")),
    Refused("two codings", "CVE-2020-8287", _two_codings(b"chunked", b"eee")),
    Refused("a length, a space, a colon", "CVE-2021-22959", post(b"Content-Length : 5", body=b"hello")),
    Refused("LF in a chunk extension", "CVE-2021-22960", CHUNKED + b"1;\nA\r\n" + _END),
    Refused("chunked not last", "CVE-2022-32213", post(b"Transfer-Encoding: chunked, identity", body=_END)),
    Refused("LF alone", "CVE-2022-32214", b"POST / HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\nhello"),
    Refused("a folded coding", "CVE-2022-32215", post(b"Transfer-Encoding: chunked\r\n , identity", body=_END)),
    Refused("a field without CRLF", "CVE-2022-35256", _GET + b"X: y\rZ: w\r\n\r\n"),
    Refused("CR as delimiter", "CVE-2023-30589", b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    Refused("a space before the first field", "CVE-2024-27982",
            b"POST / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\nhello"),
    Refused("CR LF CR X ends the head", "CVE-2025-23167", b"GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    # eventlet, gevent
    Refused("a request for trailers", "CVE-2025-58068", CHUNKED + b"0\r\n" + _EVIL),
    Refused("an invalid trailer on a kept connection", "CVE-2023-41419", CHUNKED + b"0\r\nGET /x HTTP/1.1\r\n\r\n"),
    # granian, daphne, starlette
    Understood("a subprotocol above ASCII", "CVE-2026-42544", _GET + b"Sec-WebSocket-Protocol: \x80\xff\r\n\r\n"),
    *(
        Refused(f"{byte:#04x} for a line end", "CVE-2026-44546", _GET + b"X: y%cZ: w\r\n\r\n" % byte)
        for byte in b"\x0b\x0c\x1c\x1d\x1e"
    ),
    Understood("0x85 is no line end", "CVE-2026-44546",
               _GET + b"X: y\x85Z: w\r\n\r\n", environ={"HTTP_X": "y\x85Z: w"}),
    Refused("a path in Host", "Starlette 1.0.1", b"GET / HTTP/1.1\r\nHost: a/b?\r\n\r\n"),
    # puma
    Refused("junk before chunked", "CVE-2020-11076", post(b"Transfer-Encoding: \x00chunked", body=_END)),
    Refused("chunked among others", "CVE-2020-11077", post(b"Transfer-Encoding: x, chunked, y", body=_END)),
    Refused("chunked by a lenient reading", "CVE-2022-24790", post(b"Transfer-Encoding: chunked foo", body=_END)),
    Refused("an empty length", "CVE-2023-40175",
            post(b"Content-Length:", body=_EVIL)),
    Refused("XX for the end of trailers", "CVE-2023-40175", CHUNKED + b"0\r\nXX\r\n"),
    Refused("LF line ends of a request with a body", "CVE-2021-41136",
            b"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello"),
    Refused("an endless chunk extension", "CVE-2024-21647", CHUNKED + b"1;" + b"x" * 4200),
    Refused("the PROXY protocol without a line end", "CVE-2026-47736", b"PROXY " + b"x" * 8190, 414),
    Refused("the PROXY protocol behind a request", "CVE-2026-47737",
            _GET + b"\r\nPROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", answered=1),
)  # fmt: skip
