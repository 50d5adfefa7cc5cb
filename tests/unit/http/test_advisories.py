"""What other servers and parsers fell for, each byte for byte as its advisory tells it."""

from __future__ import annotations

import pytest
from feeding import every_way, summary

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = {
    "SNYK-541164 two framings": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gunicorn 2021 signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "gunicorn 2021 underscored length": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "CVE-2024-1135 chunked and identity": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "CVE-2024-6827 xchunked": POST + b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello",
    "CVE-2024-6827 gzip last": POST + b"Transfer-Encoding: chunked, gzip\r\nContent-Length: 5\r\n\r\nhello",
    "gunicorn #3047 underscored chunk": CHUNKED + b"0_2e\r\n",
    "gunicorn #3047 hexadecimal chunk": CHUNKED + b"0x1\r\nA\r\n0\r\n\r\n",
    "gunicorn #3047 signed chunk": CHUNKED + b"+1\r\nA\r\n0\r\n\r\n",
    "gunicorn #3144 NUL and CR in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: v\x00\r\r\n\r\n",
    "gunicorn #3255 empty target": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "gunicorn #3556 CR in a chunk extension": CHUNKED + b"1;a\rb\r\nA\r\n0\r\n\r\n",
    "gunicorn #3366 two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "gunicorn #3366 two content types": POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
    "gunicorn #3371 control character in a path": b"GET /\x1f HTTP/1.1\r\nHost: a\r\n\r\n",
    "gunicorn #3371 above ASCII in a path": b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "gunicorn 27 gzip alone": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "CVE-2019-16785 LF line ends": b"GET / HTTP/1.1\nHost: a\n\n",
    "CVE-2019-16789 vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "CVE-2019-16792 two lengths": POST + b"Content-Length: 0\r\nContent-Length: 30\r\n\r\n",
    "CVE-2020-5236 control character": b"GET / HTTP/1.1\r\nHost: a\r\nBad-header: xxxxxxxxxxxxxxx\x10\r\n\r\n",
    "CVE-2022-24761 signed length": POST + b"Content-Length: +10\r\n\r\n0123456789",
    "CVE-2022-24761 hexadecimal chunk": CHUNKED + b"0x01\r\nA\r\n0\r\n\r\n",
    "CVE-2022-24761 junk in a chunk extension": CHUNKED + b"1;\x01\x7f\r\nA\r\n0\r\n\r\n",
    "CVE-2024-49768 a request behind a bad one": b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "cheroot #714 space before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "cheroot #737 two lengths": POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "cheroot invalid chunk": CHUNKED + b"INVALID!!!\r\n",
    "CVE-2025-43859 any two bytes after a chunk": CHUNKED + b"5\r\nAAAAAXX2\r\nAA\r\n0\r\n\r\n",
    "CVE-2018-7159 length in two words": POST + b"Content-Length: 1 2\r\n\r\nhello",
    "CVE-2020-8287 two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "CVE-2020-8201 CR for a dash": POST + b"Content\rLength: 5\r\n\r\nhello",
    "CVE-2021-22959 space before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "CVE-2021-22960 chunk extension": CHUNKED + b"1;\nA\r\n0\r\n\r\n",
    "CVE-2022-32213 chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "CVE-2022-32214 LF alone": POST.replace(b"a\r\n", b"a\n") + b"Content-Length: 5\r\n\r\nhello",
    "CVE-2022-32215 folded coding": POST + b"Transfer-Encoding: chunked\r\n , identity\r\n\r\n0\r\n\r\n",
    "CVE-2022-35256 field without CRLF": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n",
    "CVE-2023-30589 CR as delimiter": b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "CVE-2024-27982 space before the first field": b"POST / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\nhello",
    "CVE-2025-23167 CR X ends the head": b"GET / HTTP/1.1\r\nHost: a\r\n\rX",
    "CVE-2025-58068 a request in the trailers": CHUNKED + b"0\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    "CVE-2023-41419 a request in the trailers": CHUNKED + b"0\r\nGET /x HTTP/1.1\r\n\r\n",
    "CVE-2026-44546 line separators": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\x0bZ: w\r\n\r\n",
    "starlette a path in Host": b"GET / HTTP/1.1\r\nHost: a/b?\r\n\r\n",
    "CVE-2020-11076 junk before chunked": POST + b"Transfer-Encoding: \x00chunked\r\n\r\n0\r\n\r\n",
    "CVE-2023-40175 empty length": POST + b"Content-Length:\r\n\r\n",
    "CVE-2023-40175 end of trailers": CHUNKED + b"0\r\nXX\r\n",
    "CVE-2021-41136 LF line ends": b"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello",
    "CVE-2024-21647 endless chunk extension": CHUNKED + b"1;" + b"x" * 4200,
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in REFUSED.items()])
def test_the_trigger_is_refused_and_nothing_behind_it_is_read(data: bytes) -> None:
    """One 400, no request before it nor after, however the bytes are split."""
    assert summary(every_way(data + EVIL)) == [400]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + EVIL, [501], id="CVE-2019-16786 gzip, chunked"
        ),
        pytest.param(
            POST + b"Sec-WebSocket-Key1: x\r\n\r\n" + EVIL, ["POST /", "GET /evil"], id="Key1 adds no 8 bytes of body"
        ),
        pytest.param(
            POST + b"Transfer_Encoding: chunked\r\nContent_Length: 9\r\n\r\n" + EVIL,
            ["POST /", "GET /evil"],
            id="underscores never frame",
        ),
        pytest.param(CHUNKED + b"0\r\n", ["incomplete"], id="gunicorn #3382 cut after the last chunk"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: \x80\xff\r\n\r\n", ["GET /"], id="CVE-2026-42544"
        ),
        pytest.param(
            b"GET /%1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /%1b[31m"], id="CVE-2020-7694 escapes stay escaped"
        ),
    ],
)
def test_the_trigger_means_only_what_it_says(data: bytes, told: list[object]) -> None:
    """These are valid, or refused for another reason, and frame nothing that they should not."""
    assert summary(every_way(data)) == told
