"""The body of a request, as the application reads it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Final

PIECE: Final = 65536
"""Bytes that are read at once of a body that is larger than its buffer."""


def buffered(buffer: IO[bytes] | None, payload: bytes, memory: int) -> IO[bytes]:
    """Return the buffer with ``payload`` at its end: in memory up to ``memory`` bytes, past that a file."""
    if buffer is None:
        # Most bodies come in one piece, which is then shared and not copied.
        buffer = io.BytesIO(payload)
        buffer.seek(len(payload))
        return buffer
    if isinstance(buffer, io.BytesIO) and buffer.tell() + len(payload) > memory:
        import tempfile  # noqa: PLC0415  its imports cost milliseconds, and most requests are small

        spooled = tempfile.TemporaryFile()  # noqa: SIM115  closed by whoever holds the buffer
        spooled.write(buffer.getbuffer())
        buffer = spooled
    buffer.write(payload)
    return buffer


class StreamedBody(io.RawIOBase):
    """A body that is read while the application runs: first what was buffered, then what ``receive`` returns."""

    def __init__(self, buffered: IO[bytes] | None, receive: Callable[[], bytes]) -> None:
        self._left = b""
        self._buffered = buffered
        if buffered is not None:
            buffered.seek(0)
        self._receive = receive

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]  # typeshed says Buffer, io passes this
        """Fill ``target``; 0 at the end of the body."""
        if not self._left:
            self._left = self._next()
        piece, self._left = self._left[: len(target)], self._left[len(target) :]
        target[: len(piece)] = piece
        return len(piece)

    def _next(self) -> bytes:
        if self._buffered is not None:
            data = self._buffered.read(PIECE)
            if data:
                return data
            self._buffered = None
        return self._receive()
