"""What a peer has not taken yet.

A response must not wait for a slow reader while it holds the only thread, so what the kernel refuses is queued here,
in order: in memory up to a limit, past that in an unnamed file. The worker's loop sends the rest whenever the peer
takes more. File bodies are queued as they are and leave by sendfile(2).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from workerkit.errors import Disconnected
from workerkit.net.poller import WRITE
from workerkit.net.stream import Stream

_PIECE = 1 << 20
_BATCH = 16


@dataclass(slots=True, eq=False, repr=False)
class _FileSlice:
    """Bytes ``start`` to ``end`` of an open file that this queue owns."""

    fd: int
    start: int
    end: int


class Outbox:
    """The queue of one connection. Used by one thread at a time, never blocking."""

    __slots__ = ("_in_memory", "_memory_limit", "_queue", "_spool", "_spooled", "_stream", "size")

    def __init__(self, stream: Stream, memory_limit: int) -> None:
        self._stream = stream
        self._memory_limit = memory_limit
        self._queue: deque[memoryview | _FileSlice] = deque()
        self._in_memory = 0
        self._spool: IO[bytes] | None = None
        self._spooled = 0
        self.size = 0
        """Bytes that wait here."""

    def write(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Send what the peer takes at once and queue the rest.

        Raises:
            Disconnected: The peer is gone.
        """
        if self._queue and not self.flush():
            self._append(buffers)
            return
        sent = self._stream.send(buffers) or 0
        for position, buffer in enumerate(buffers):
            if sent < len(buffer):
                self._append([memoryview(buffer)[sent:], *buffers[position + 1 :]])
                return
            sent -= len(buffer)

    def write_file(self, fd: int, start: int, end: int) -> None:
        """Send bytes ``start`` to ``end`` of an open file; the caller may close its descriptor afterwards.

        Raises:
            Disconnected: The peer is gone.
        """
        if not self._queue or self.flush():
            piece = _FileSlice(fd, start, end)
            if self._send_slice(piece):
                return
            start = piece.start
        self._queue.append(_FileSlice(os.dup(fd), start, end))
        self.size += end - start

    def flush(self) -> bool:
        """Send on; return whether nothing is left.

        Raises:
            Disconnected: The peer is gone.
        """
        queue = self._queue
        while queue:
            first = queue[0]
            if isinstance(first, _FileSlice):
                before = first.start
                done = self._send_slice(first)
                self.size -= first.start - before
                if not done:
                    return False
                queue.popleft()
                self._release(first)
            elif not self._send_memory():
                return False
        return True

    def close(self) -> None:
        """Forget what is queued and close the files."""
        while self._queue:
            first = self._queue.popleft()
            if isinstance(first, _FileSlice):
                self._release(first)
        self.size = self._in_memory = 0
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _send_memory(self) -> bool:
        batch: list[memoryview] = []
        for piece in self._queue:
            if isinstance(piece, _FileSlice) or len(batch) == _BATCH:
                break
            batch.append(piece)
        sent = self._stream.send(batch)
        if sent is None:
            return False
        self.size -= sent
        self._in_memory -= sent
        for piece in batch:
            if sent < len(piece):
                self._queue[0] = piece[sent:]
                self._stream.want = WRITE
                return False
            sent -= len(piece)
            self._queue.popleft()
        return True

    def _send_slice(self, piece: _FileSlice) -> bool:
        while piece.start < piece.end:
            sent = self._stream.send_file(piece.fd, piece.start, min(_PIECE, piece.end - piece.start))
            if sent is None:
                return False
            if sent == 0:
                raise Disconnected("a file became shorter while it was sent")
            piece.start += sent
        return True

    def _append(self, buffers: Sequence[bytes | memoryview]) -> None:
        for buffer in buffers:
            size = len(buffer)
            self.size += size
            if self._in_memory + size <= self._memory_limit:
                # A copy: the application may reuse its buffer once write() has returned.
                self._queue.append(memoryview(bytes(buffer)))
                self._in_memory += size
            else:
                self._to_file(buffer)

    def _to_file(self, buffer: bytes | memoryview) -> None:
        if self._spool is None:
            import tempfile  # noqa: PLC0415  its imports cost milliseconds, and most servers never get here

            self._spool = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by close()
            self._spooled = 0
        last = self._queue[-1] if self._queue else None
        rest = memoryview(buffer)
        while rest:
            rest = rest[self._spool.write(rest) :]
        start, self._spooled = self._spooled, self._spooled + len(buffer)
        if isinstance(last, _FileSlice) and last.fd == self._spool.fileno():
            last.end = self._spooled
        else:
            self._queue.append(_FileSlice(self._spool.fileno(), start, self._spooled))

    def _release(self, piece: _FileSlice) -> None:
        if self._spool is None or piece.fd != self._spool.fileno():
            os.close(piece.fd)
        elif not self._queue:
            # Everything was sent: give the disk back, and let a later burst begin in memory.
            self._spool.close()
            self._spool = None
