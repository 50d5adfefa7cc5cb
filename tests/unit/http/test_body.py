"""Bodies framed by their length, and the choice between the two framings."""

from __future__ import annotations

from feeding import LIMITS, byte_by_byte, every_way, refusal, summary

from workerkit.http.body import LengthDecoder, body_decoder
from workerkit.http.chunked import ChunkedDecoder
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead


def head_of(*lines: bytes) -> RequestHead:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    head = HeadReader(LIMITS).feed(data)
    assert head is not None
    return head


def test_a_decoder_is_chosen_by_the_framing() -> None:
    """Chunked and a length have theirs; no framing, or a length of 0, is no body."""
    assert isinstance(body_decoder(head_of(b"Transfer-Encoding: chunked"), LIMITS), ChunkedDecoder)
    assert isinstance(body_decoder(head_of(b"Content-Length: 3"), LIMITS), LengthDecoder)
    assert body_decoder(head_of(b"Content-Length: 0"), LIMITS) is None
    assert body_decoder(head_of(), LIMITS) is None


def test_a_length_ends_the_body() -> None:
    """Exactly so many bytes are payload, the rest is what came after the message."""
    decoder = LengthDecoder(5)

    assert (decoder.feed(b"abc"), decoder.remaining, decoder.done) == (b"abc", 2, False)
    assert (decoder.feed(b"deGET"), decoder.remaining, decoder.done) == (b"de", 0, True)
    assert decoder.rest == b"GET"


def test_a_body_that_ends_with_its_piece_leaves_nothing() -> None:
    """When the last piece is the end of the body, nothing is left over."""
    decoder = LengthDecoder(3)

    assert [decoder.feed(byte) for byte in byte_by_byte(b"abc")] == [b"a", b"b", b"c"]
    assert (decoder.done, decoder.rest) == (True, b"")


def test_a_length_over_the_limit_is_refused_before_any_of_it_comes() -> None:
    """413 for the announcement; the limit itself is allowed, and 0 is no limit."""
    limits = HttpLimits(limit_request_body=10)
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"

    assert refusal(data % 11, limits) == 413
    assert summary(every_way(data % 10 + b"x" * 10, limits)) == ["POST /"]
    assert summary(every_way(data % 11 + b"x" * 11, HttpLimits())) == ["POST /"]
