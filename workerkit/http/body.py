"""The body of a request, taken out of its framing (RFC 9112, 6)."""

from __future__ import annotations

from typing import Protocol

from workerkit.http.chunked import ChunkedDecoder
from workerkit.http.limits import HttpLimits, body_too_large
from workerkit.http.request import RequestHead


class BodyDecoder(Protocol):
    """Takes the bytes that follow a head, gives the payload.

    ``feed`` what was received until ``done``; then ``rest`` is what came after the message, still as bytes. A
    decoder that is done is not fed again.
    """

    rest: bytes

    @property
    def done(self) -> bool:
        """Whether the body is complete."""

    def feed(self, data: bytes) -> bytes:
        """Return what of ``data`` is payload; raise ``ProtocolError`` at the first byte that cannot be right."""


class LengthDecoder:
    """A body of ``Content-Length`` bytes, of which ``remaining`` are still to come."""

    __slots__ = ("remaining", "rest")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.rest = b""

    @property
    def done(self) -> bool:
        return self.remaining == 0

    def feed(self, data: bytes) -> bytes:
        surplus = len(data) - self.remaining
        if surplus <= 0:
            self.remaining -= len(data)
            return data
        payload, self.rest = data[: self.remaining], data[self.remaining :]
        self.remaining = 0
        return payload


def body_decoder(head: RequestHead, limits: HttpLimits) -> BodyDecoder | None:
    """Return what decodes the body that follows ``head``; None if none follows.

    Raises:
        ProtocolError: 413, when its length is over the limit already.
    """
    if head.chunked:
        return ChunkedDecoder(limits)
    if head.content_length == 0:
        return None
    if head.content_length > limits.limit_request_body > 0:
        raise body_too_large(limits)
    return LengthDecoder(head.content_length)
