"""What it costs to refuse: CPU time that grows as the bytes do, whatever a client makes of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable

import pytest

from tests.unit.http.feeding import Conversation, byte_by_byte
from workerkit.http.fields import FieldsCache
from workerkit.http.limits import HttpLimits

UNLIMITED = HttpLimits(
    limit_request_line=0,
    limit_request_fields=0,
    limit_request_field_size=0,
    limit_request_head=0,
    limit_chunk_extensions=1 << 30,
    limit_request_trailers=1 << 30,
)
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KIB = 1024

# What is repeated, and what stands before it. Nothing here ends: the end is never waited for.
DRIPS = {
    "a request line": (b"GET /", b"a"),
    "a request line of escapes": (b"GET /", b"%41"),
    "a field name": (HEAD, b"N"),
    "a field value": (HEAD + b"Name: ", b"x"),
    "white space in a value": (HEAD + b"Name: ", b" \t"),
    "fields": (HEAD, b"N: x\r\n"),
    "commas of a connection": (HEAD + b"Connection: ", b","),
    "chunks of a byte": (CHUNKED, b"1\r\nA\r\n"),
    "chunk extensions": (CHUNKED, b"1;a\r\nA\r\n"),
    "quotes in chunk extensions": (CHUNKED, b'1;a="b\\""\r\nA\r\n'),
    "trailers": (CHUNKED + b"0\r\n", b"N: x\r\n"),
    "a trailer": (CHUNKED + b"0\r\nN: ", b"x"),
    "data": (CHUNKED + b"ffffff\r\n", b"x"),
}


def cost(pieces: Iterable[bytes], cache: FieldsCache | None = None) -> float:
    """Return the CPU seconds that a conversation takes which refuses nothing."""
    pieces = list(pieces)
    conversation = Conversation(UNLIMITED, cache)
    gc.collect()
    began = time.process_time()
    for piece in pieces:
        conversation.receive(piece)
    spent = time.process_time() - began
    assert not conversation.refused
    return spent


def growth(make: object, cache: bool = False) -> float:
    """Return how many times as much 64 KiB cost as 16 KiB, each measured at its best."""
    assert callable(make)
    caches = [FieldsCache(UNLIMITED) if cache else None for _ in range(2)]
    quarter, whole = (min(cost(make(size), caches[0]) for _ in range(3)) for size in (16 * KIB, 64 * KIB))
    return whole / quarter


@pytest.mark.parametrize(("before", "repeated"), [pytest.param(*drip, id=name) for name, drip in DRIPS.items()])
def test_bytes_that_drip_cost_linear_time(before: bytes, repeated: bytes) -> None:
    """Four times as many bytes, one by one, cost about four times as much, not sixteen times."""
    assert growth(lambda size: byte_by_byte(before + repeated * (size // len(repeated)))) < 8


def test_pipelined_requests_cost_linear_time() -> None:
    """Four times as many requests in one piece cost about four times as much."""
    assert growth(lambda size: [(HEAD + b"\r\n") * (size // 27)], cache=True) < 8
