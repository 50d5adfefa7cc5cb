"""Plays a connection against ``workerkit.http``: bytes in, a list of what they were taken for out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

from workerkit.errors import ProtocolError
from workerkit.http.body import BodyDecoder, body_decoder
from workerkit.http.fields import FieldsCache
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead

LIMITS = HttpLimits()

BROWSER = (
    b"Host: shop.example:8000\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
    b'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/128.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: session=abcdef\r\n\r\n"
)

Event = tuple[object, ...]
"""A request (head facts, fields, body), a refusal (status, reason) or the word that something is incomplete."""


def facts(head: RequestHead) -> Event:
    """Everything a head says, as one comparable tuple."""
    fields = head.fields
    return (
        *(head.method, head.target, head.path, head.query, head.authority, head.minor),
        *(head.keep_alive, head.content_length, head.chunked, head.expect_continue),
        *(fields.pairs, fields.host, fields.content_length, fields.content_type, fields.chunked),
        *(fields.close, fields.keep_alive, fields.expect_continue, fields.upgrade),
    )


class Conversation:
    """A connection's worth of requests, read one after the other as a protocol would."""

    def __init__(self, limits: HttpLimits = LIMITS, cache: FieldsCache | None = None) -> None:
        self.events: list[Event] = []
        self.refused = False
        self._limits = limits
        self._reader = HeadReader(limits, cache)
        self._head: RequestHead | None = None
        self._decoder: BodyDecoder | None = None
        self._body = b""

    def receive(self, data: bytes) -> None:
        while data and not self.refused:
            try:
                data = self._read_body(data) if self._decoder is not None else self._read_head(data)
            except ProtocolError as error:
                self.refused = True
                self.events.append(("refused", error.status, str(error)))

    def end(self) -> list[Event]:
        if not self.refused and (self._decoder is not None or self._reader.started):
            self.events.append(("incomplete",))
        return self.events

    def _read_head(self, data: bytes) -> bytes:
        head = self._reader.feed(data)
        if head is None:
            return b""
        self._head = head
        self._decoder = body_decoder(head, self._limits)
        if self._decoder is None:
            self._complete()
        return self._reader.rest

    def _read_body(self, data: bytes) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        self._body += decoder.feed(data)
        if not decoder.done:
            return b""
        self._complete()
        return decoder.rest

    def _complete(self) -> None:
        assert self._head is not None
        self.events.append(("request", facts(self._head), self._body))
        self._head = self._decoder = None
        self._body = b""


def converse(pieces: Iterable[bytes], limits: HttpLimits = LIMITS, cache: FieldsCache | None = None) -> list[Event]:
    conversation = Conversation(limits, cache)
    for piece in pieces:
        conversation.receive(piece)
    return conversation.end()


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))


def split_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(borders)]


def every_way(data: bytes, limits: HttpLimits = LIMITS) -> list[Event]:
    """Converse with the same bytes split in many ways; return what all of them were taken for."""
    whole = converse([data], limits)
    assert converse(byte_by_byte(data), limits) == whole
    # The same random splits each time, and others for other bytes.
    chance = random.Random(data)
    for pieces in (2, 3, 5, 9):
        places = [chance.randrange(len(data) + 1) for _ in range(pieces - 1)]
        assert converse(split_at(data, places), limits) == whole, places
    return whole


def summary(events: Iterable[Event]) -> list[object]:
    """``"GET /path"`` for a request, the status for a refusal, ``"incomplete"``."""
    told: list[object] = []
    for event in events:
        if event[0] == "request":
            head = event[1]
            assert isinstance(head, tuple)
            told.append(f"{head[0]} {head[1]}")
        else:
            told.append(event[1] if event[0] == "refused" else event[0])
    return told


def refusal(data: bytes, limits: HttpLimits = LIMITS) -> int:
    """The status that all ways of splitting these bytes are refused with, before any request was accepted."""
    [(kind, status, _)] = every_way(data, limits)
    assert kind == "refused"
    assert isinstance(status, int)
    return status
