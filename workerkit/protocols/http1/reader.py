"""The worker's side of a connection while a request comes in: its head, then its body.

A body is buffered before the application is called. One that is too large for that is read by the application
itself, in the job, as it comes.
"""

from __future__ import annotations

import io
from typing import IO, Final

from workerkit.errors import BrokenBody, Disconnected, ProtocolError
from workerkit.http import response
from workerkit.http.body import body_decoder
from workerkit.http.request import HeadReader, RequestHead
from workerkit.net.protocol import Next
from workerkit.net.stream import Stream
from workerkit.protocols.http1.body import PIECE, StreamedBody, buffered
from workerkit.protocols.http1.context import Http1Context
from workerkit.protocols.http1.exchange import Http1Exchange
from workerkit.protocols.http1.phases import BODY, CALL, CLOSED, HEAD, IDLE

_RECEIVE: Final = PIECE + 8192
"""Bytes that are asked of a stream at once: a head, and with it all of a body whose client sends it by 64 KiB."""

# A plain name, because an attribute of an enum costs the request path 0.1 µs each time.
_RUN: Final = Next.RUN


class Http1Reader(Http1Exchange):
    """A connection that reads requests."""

    __slots__ = ("_body_buffer", "_patience", "_phase", "_reader")

    def __init__(self, stream: Stream, protocol: Http1Context) -> None:
        super().__init__(stream, protocol)
        self._phase = IDLE
        self._reader = HeadReader(protocol.limits)
        self._body_buffer: IO[bytes] | None = None
        self._patience = 0.0
        """For how many seconds more a job waits for a body that is too slow."""

    def describe_job(self, now: float) -> str | None:
        """Return the request that runs, or waits to; see ``Connection.describe_job``."""
        return f"{self.describe_request()}, for {now - self.asked_at:.1f} s" if self._phase == CALL else None

    def _read_head(self, now: float) -> Next:
        data: bytes | None
        if self._received:
            data, self._received = self._received, b""
        else:
            data = self.stream.recv(_RECEIVE)
            if data is None:
                return self._await_head(now)
            if not data:
                self._phase = CLOSED
                return Next.CLOSE
        head = self._reader.feed(data)
        if head is None:
            return self._await_head(now)
        self.head = head
        self.deadline = None
        if head.chunked or head.content_length:
            return self._begin_body(head, now)
        self.body = io.BytesIO()
        self._received, self._reader.rest = self._reader.rest, b""
        self.asked_at = now
        self._phase = CALL
        return _RUN

    def _await_head(self, now: float) -> Next:
        if self._reader.started:
            if self._phase == IDLE:
                # The first byte ends the idle time; the whole head must come within one timeout from here.
                self._phase = HEAD
                self.deadline = now + self._protocol.options.head_timeout
            return Next.READ
        if self.deadline is None:
            self.deadline = now + self._protocol.options.head_timeout
        return Next.IDLE

    # -- bodies ------------------------------------------------------------------------------------------------------

    def _begin_body(self, head: RequestHead, now: float) -> Next:
        self._decoder = decoder = body_decoder(head, self._protocol.limits)
        assert decoder is not None  # noqa: S101  the head announced a body
        self._body_buffer = None
        self._received, self._reader.rest = self._reader.rest, b""
        if head.content_length > self._protocol.options.request_buffer:
            return self._stream_body(now)
        if head.expect_continue and not self._received:
            self._send((response.CONTINUE,))
        self._phase = BODY
        self.deadline = self._protocol.body_pace.begin(now)
        return self._read_body(now) if self._received else Next.READ

    def _read_body(self, now: float) -> Next:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101  the phase says so
        assert self.deadline is not None  # noqa: S101  so does it
        options = self._protocol.options
        more_is_likely = True
        while more_is_likely:
            came_with_head = bool(self._received)
            data = self._arrived()
            if data is None:
                return Next.READ
            if not data:
                # RFC 9112 section 8: a message cut short is no message; there is nobody left to tell.
                raise Disconnected("the request's body was cut short")
            # What came with the head was probably sent together with the rest.
            more_is_likely = came_with_head or len(data) == _RECEIVE
            payload = decoder.feed(data)
            if payload:
                self._body_buffer = buffered(self._body_buffer, payload, options.request_memory)
            if decoder.done:
                self._received = decoder.rest
                return self._body_complete(now)
            self.deadline = self._protocol.body_pace.go_on(self.deadline, len(data), now)
            if self._body_size() > options.request_buffer:
                return self._stream_body(now)
        return Next.READ

    def _arrived(self) -> bytes | None:
        """Return what nobody has looked at yet, or else what has arrived since; as ``Stream.recv``."""
        if self._received:
            data, self._received = self._received, b""
            return data
        return self.stream.recv(_RECEIVE)

    def _body_size(self) -> int:
        return 0 if self._body_buffer is None else self._body_buffer.tell()

    def _body_complete(self, now: float) -> Next:
        self._decoder = None
        self.deadline = None
        self.asked_at = now
        self.body = self._body_buffer or io.BytesIO()
        self.body.seek(0)
        self._phase = CALL
        return Next.RUN

    def _stream_body(self, now: float) -> Next:
        """Call the application now; it reads the rest of the body as it comes."""
        self.deadline = None
        self.asked_at = now
        self._patience = self._protocol.body_pace.timeout
        self._continue_wanted = self.head.expect_continue and not self._received
        self.body = io.BufferedReader(StreamedBody(self._body_buffer, self._receive_body), PIECE)
        self._phase = CALL
        return Next.RUN

    def _receive_body(self) -> bytes:
        """Return the next part of a streamed body, ``b""`` at its end; called inside the job.

        Raises:
            Disconnected: The client left before the body was complete.
            BrokenBody: Its framing breaks the protocol.
            DeadlineExceeded: Nothing came for body_timeout seconds, or too little in the long run.
        """
        decoder = self._decoder
        if decoder is None:
            return b""
        if self._continue_wanted:
            self._continue_wanted = False
            # No interim response follows the final one: the client has learnt from that whether to send its body.
            if not self.started:
                self._send((response.CONTINUE,))
        while not decoder.done:
            if self._received:
                data, self._received = self._received, b""
            else:
                data = self._await_body()
            try:
                payload = decoder.feed(data)
            except ProtocolError as error:
                # Whatever the application makes of it, where the next request begins is no longer known.
                self._leaving, self._keep_alive = True, False
                raise BrokenBody(str(error), error.status) from None
            if payload:
                return payload
        self._received = decoder.rest
        self._decoder = None
        return b""

    def _await_body(self) -> bytes:
        """Wait for the next bytes, inside the job; how long the application takes between two calls is not counted."""
        protocol = self._protocol
        deadline = self.stream.deadline = protocol.clock() + self._patience
        data = self.stream.read(PIECE)
        if not data:
            raise Disconnected("the request's body was cut short")
        now = protocol.clock()
        self._patience = protocol.body_pace.go_on(deadline, len(data), now) - now
        return data

    def _close_body(self) -> None:
        buffer, self._body_buffer = self._body_buffer, None
        if buffer is not None:
            buffer.close()
