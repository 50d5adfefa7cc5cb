"""The chunked coding: what is decoded, and what is refused, however it is split."""

from __future__ import annotations

import random

import pytest
from feeding import LIMITS, byte_by_byte, converse, every_way, split_at, summary

from workerkit.http.chunked import ChunkedDecoder
from workerkit.http.limits import HttpLimits

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def status_of(body: bytes, limits: HttpLimits = LIMITS) -> object:
    [told] = summary(every_way(HEAD + body, limits))
    return told


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        pytest.param(b"0\r\n\r\n", b"", id="empty"),
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", id="one"),
        pytest.param(b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", b"hello world", id="three"),
        pytest.param(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, id="either case"),
        pytest.param(b"0000000000000005\r\nhello\r\n0000\r\n\r\n", b"hello", id="sixteen digits"),
        pytest.param(b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", id="line ends as data"),
        pytest.param(b"5;name=value;flag\r\nhello\r\n0;last\r\n\r\n", b"hello", id="extensions"),
        pytest.param(b'5; a="b;\\"c\xff" ; d\r\nhello\r\n0\r\n\r\n', b"hello", id="quoted extensions"),
        pytest.param(b"5\r\nhello\r\n0\r\nName: value\r\nOther:\r\n\r\n", b"hello", id="trailers"),
    ],
)
def test_a_body_is_decoded(body: bytes, payload: bytes) -> None:
    """The payload comes out, however the bytes are split, and the next request after it."""
    events = every_way(HEAD + body + NEXT)

    assert summary(events) == ["POST /", "GET /next"]
    assert events[0][2] == payload


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\r\n", id="no size"),
        pytest.param(b";a\r\n", id="no size but an extension"),
        pytest.param(b"0x5\r\nhello\r\n", id="0x"),
        pytest.param(b"0x01\r\nA\r\n", id="0x01"),
        pytest.param(b"+1\r\nA\r\n", id="plus"),
        pytest.param(b"-1\r\nA\r\n", id="minus"),
        pytest.param(b"0_2e\r\n", id="underscore"),
        pytest.param(b" 1\r\nA\r\n", id="leading space"),
        pytest.param(b"1 \r\nA\r\n", id="trailing space"),
        pytest.param(b"1 ;a\r\nA\r\n", id="space before an extension"),
        pytest.param(b"1\t\r\nA\r\n", id="trailing tab"),
        pytest.param(b"00000000000000001\r\nA\r\n", id="seventeen digits"),
        pytest.param(b"INVALID!!!\r\n", id="no digits"),
        pytest.param(b"5z\r\nhello\r\n", id="a tail"),
        pytest.param(b"\xd9\xa2\r\nab\r\n", id="Arabic digits"),
        pytest.param(b"1\nA\r\n", id="LF after the size"),
        pytest.param(b"1\rA\r\n", id="CR after the size"),
        pytest.param(b"1\r\rA\r\n", id="CR CR after the size"),
        pytest.param(b"1\r\nA\n", id="LF after the data"),
        pytest.param(b"1\r\nA\r1", id="CR after the data"),
        pytest.param(b"1\r\nA0\r\n\r\n", id="nothing after the data"),
        pytest.param(b"5\r\nAAAAAXX2\r\n", id="two other bytes after the data"),
        pytest.param(b"5\r\nAAAAAA\r\n", id="more data than the size"),
        pytest.param(b"0\n\r\n", id="LF after the last size"),
        pytest.param(b"0\r\n\n", id="LF after the trailers"),
        pytest.param(b"0\r\n\rX", id="CR X after the trailers"),
        pytest.param(b"1;a\nA\r\n", id="LF in an extension"),
        pytest.param(b"1;a\rb\r\nA\r\n", id="CR in an extension"),
        pytest.param(b"1;a\x00\r\nA\r\n", id="NUL in an extension"),
        pytest.param(b"1;a\x1b[31m\r\nA\r\n", id="a control character in an extension"),
        pytest.param(b"1;a\x80\r\nA\r\n", id="above ASCII outside of quotes"),
        pytest.param(b'1;a="b\r\nA\r\n', id="an open quote"),
        pytest.param(b'1;a="b\\\r\nA\r\n', id="an escaped line end"),
        pytest.param(b'1;a="b\x01"\r\nA\r\n', id="a control character in quotes"),
        pytest.param(b"0\r\nGET /evil HTTP/1.1\r\n", id="a request for a trailer"),
        pytest.param(b"0\r\nA B: c\r\n", id="a trailer's name in two words"),
        pytest.param(b"0\r\n: c\r\n", id="a trailer without name"),
        pytest.param(b"0\r\nA : c\r\n", id="a space before a trailer's colon"),
        pytest.param(b"0\r\nName\r\n", id="a trailer without value"),
        pytest.param(b"0\r\n folded: c\r\n", id="a space before a trailer"),
        pytest.param(b"0\r\nA: b\r\n c\r\n", id="a folded trailer"),
        pytest.param(b"0\r\nA: b\nC: d\r\n", id="LF after a trailer"),
        pytest.param(b"0\r\nA: b\rC: d\r\n", id="CR after a trailer"),
        pytest.param(b"0\r\nA: \x00\r\n", id="NUL in a trailer"),
    ],
)
def test_a_broken_body_is_refused(body: bytes) -> None:
    """400, and neither the body nor a request behind it comes out of it."""
    assert status_of(body) == 400
    assert status_of(body + b"\r\n0\r\n\r\n" + NEXT) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"g",
        b"-",
        b"1 ",
        b"1\n",
        b"00000000000000000",
        b"1;\n",
        b'1;"\r',
        b"1\r\nAA",
        b"1\r\nA\rA",
        b"0\r\n\n",
        b"0\r\n\r\r",
        b"0\r\nGET ",
        b"0\r\n ",
        b"0\r\nName\r",
        b"0\r\nName: \n",
    ],
)
def test_the_byte_that_settles_it_is_the_last_one_waited_for(body: bytes) -> None:
    """These bytes are refused at their end, all but the last of them are not."""
    assert status_of(body) == 400
    assert status_of(body[:-1]) == "incomplete"


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Content-Type", b"Forwarded"]
)
def test_a_trailer_becomes_nothing(name: bytes) -> None:
    """A trailer that could pass for a header field changes neither this request nor the next."""
    plain = every_way(HEAD + b"1\r\nA\r\n0\r\n\r\n" + NEXT)

    assert every_way(HEAD + b"1\r\nA\r\n0\r\n" + name + b": 5\r\n\r\n" + NEXT) == plain


class TestBounds:
    """What a client may send that is no data is bounded, and does not wait for its end."""

    def test_one_extension_is_bounded(self) -> None:
        """4096 bytes up to the line's CR pass in one chunk, one more does not."""
        assert summary(every_way(HEAD + b"0;" + b"a" * 4095 + b"\r\n\r\n")) == ["POST /"]
        assert status_of(b"0;" + b"a" * 4096) == "incomplete"
        assert status_of(b"0;" + b"a" * 4097) == 400

    def test_all_extensions_are_bounded_together(self) -> None:
        """Many small extensions count as one large one."""
        chunk = b"1;" + b"a" * 99 + b"\r\nA\r\n"
        limits = HttpLimits(limit_chunk_extensions=1000)

        assert summary(every_way(HEAD + chunk * 10 + b"0\r\n\r\n", limits)) == ["POST /"]
        assert status_of(chunk * 10 + b"1;", limits) == "incomplete"
        assert status_of(chunk * 10 + b"1;a", limits) == 400

    def test_trailers_are_bounded(self) -> None:
        """Trailers up to the limit pass, 431 beyond it."""
        limits = HttpLimits(limit_request_trailers=20)

        assert summary(every_way(HEAD + b"0\r\nName: 0123456\r\n\r\n", limits)) == ["POST /"]
        assert status_of(b"0\r\nName: 0123456789abcdef", limits) == 431
        assert status_of(b"0\r\n" + b"N: 1\r\n" * 4, limits) == 431

    def test_data_is_bounded_by_the_announcement(self) -> None:
        """413 when the size line is read, before any of the data that is too much."""
        limits = HttpLimits(limit_request_body=10)

        assert summary(every_way(HEAD + b"a\r\n0123456789\r\n0\r\n\r\n", limits)) == ["POST /"]
        assert status_of(b"b\r\n", limits) == 413
        assert status_of(b"5\r\nabcde\r\n6\r\n", limits) == 413
        assert status_of(b"ffffffffffffffff\r\n", limits) == 413


@pytest.mark.parametrize("body", [b"", b"5", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n0\r\n", b"0\r\n\r"])
def test_a_body_cut_short_is_not_done(body: bytes) -> None:
    """Anything before the last line end is incomplete."""
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(body)

    assert not decoder.done


def test_data_comes_out_as_it_arrives() -> None:
    """Payload is not held back until its chunk is complete."""
    decoder = ChunkedDecoder(LIMITS)

    assert [decoder.feed(byte) for byte in byte_by_byte(b"3\r\nabc\r\n")] == [b"", b"", b"", b"a", b"b", b"c", b"", b""]


def test_a_large_body_in_small_chunks_survives_any_splits() -> None:
    """Chunks of random sizes in random pieces give back what was put in."""
    chance = random.Random(20)
    payload = chance.randbytes(5000)
    body = b""
    position = 0
    while position < len(payload):
        size = chance.randrange(1, 200)
        piece = payload[position : position + size]
        body += b"%x\r\n%b\r\n" % (len(piece), piece)
        position += size
    data = HEAD + body + b"0\r\n\r\n" + NEXT

    for _ in range(20):
        events = converse(split_at(data, [chance.randrange(len(data)) for _ in range(40)]))
        assert events[0][2] == payload
        assert summary(events) == ["POST /", "GET /next"]
