"""The gateway's side of a connection: the request that is under way, and the ways to answer it.

A response's head waits for the first part of its body, so that both leave in one send, which is all that most
responses need. What the client does not take at once is queued, and sent on by the worker after the job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, Final

from workerkit.errors import ApplicationError, DeadlineExceeded
from workerkit.http import response
from workerkit.http.body import BodyDecoder, LengthDecoder
from workerkit.http.request import RequestHead
from workerkit.http.response import BodyMode
from workerkit.net.job_deadline import JobDeadline
from workerkit.net.outbox import Outbox
from workerkit.net.protocol import Connection
from workerkit.net.stream import Stream
from workerkit.protocols.http1.context import Http1Context
from workerkit.protocols.http1.pace import Draught, arrived_for

DISCARD_LIMIT: Final = 65536
"""Bytes of a body that the application left unread which are read away, so that the connection can go on."""

_JOIN_BELOW: Final = 16384
# Plain names, because an attribute of an enum costs the request path 0.1 µs each time.
_NONE: Final = BodyMode.NONE
_LENGTH: Final = BodyMode.LENGTH
_CHUNKED: Final = BodyMode.CHUNKED


class Http1Exchange(Connection):
    """What a gateway, called in a job, has of a connection.

    It uses ``head``, ``body``, ``stream.peer`` and ``stream.local``, and answers with ``respond``; or with ``start``
    and then ``write`` and ``send_file``.
    """

    __slots__ = (
        "_continue_wanted",
        "_decoder",
        "_drain_callbacks",
        "_draught",
        "_handed_over",
        "_head_bytes",
        "_keep_alive",
        "_leaving",
        "_length",
        "_mode",
        "_must_linger",
        "_outbox",
        "_protocol",
        "_received",
        "asked_at",
        "body",
        "head",
        "job_deadline",
        "response_fields",
        "sent",
        "status",
    )

    head: RequestHead
    body: IO[bytes]

    def __init__(self, stream: Stream, protocol: Http1Context) -> None:
        super().__init__(stream)
        self._protocol = protocol
        self.asked_at = 0.0
        """When the request was complete, or its application called to read the rest (monotonic seconds)."""
        self.job_deadline: JobDeadline | None = None
        """When the application must have answered; None: it takes as long as it takes."""
        # What has arrived and nobody has looked at, and what makes the rest of the request's body of it.
        self._received = b""
        self._decoder: BodyDecoder | None = None
        self._continue_wanted = False
        # The response.
        self._mode: BodyMode | None = None
        """How the end of the body is told; None: the response has not begun."""
        self._length = 0
        self.response_fields: Sequence[tuple[str, str]] = ()
        self._head_bytes = b""
        self.status = ""
        self.sent = 0
        self._outbox: Outbox | None = None
        self._draught: Draught | None = None
        # How it ends.
        self._keep_alive = True
        self._leaving = False
        self._must_linger = False
        self._handed_over = False
        self._drain_callbacks: list[Callable[[], object]] | None = None

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        """Answer at once, with a body that is complete.

        Raises:
            ApplicationError: The status, a field or the body's length break HTTP; nothing of it was sent.
            Disconnected: The client is gone.
        """
        size = len(data)
        self.start(status, fields, size)
        if self._mode is _LENGTH and self._length == size < _JOIN_BELOW:
            # What nearly every response is: all of it leaves in one send.
            self.sent = size
            whole = self._head_bytes + data
            self._head_bytes = b""
            self._send((whole,))
        else:
            self.write(data)

    def start(self, status: str, fields: list[tuple[str, str]], length: int | None = None) -> None:
        """Begin the response; its head leaves with the first part of its body.

        ``length`` is the body's, where it is known and the fields do not tell it.

        Raises:
            ApplicationError: The status or a field breaks HTTP; nothing of it was sent.
        """
        head = self.head
        protocol = self._protocol
        self._head_bytes, self._mode, self._length, self._keep_alive = response.begin(
            head.method,
            head.minor,
            head.keep_alive
            and protocol.keeps_alive
            and not self._leaving
            and (self._decoder is None or self._may_read_away()),
            status,
            fields,
            protocol.date_and_server(protocol.clock()),
            length,
        )
        self.status = status
        self.response_fields = fields

    def _may_read_away(self) -> bool:
        """Whether the connection can go on if the application reads no more of the request's body.

        A client that still waits for our 100 will not send it, or it will, and nobody could tell. Who closes says so in
        the response (RFC 9112 section 9.6): a proxy would send the next request into a connection that seems to stay.
        """
        decoder = self._decoder
        too_much = isinstance(decoder, LengthDecoder) and decoder.remaining > DISCARD_LIMIT
        return not self._continue_wanted and not too_much

    @property
    def started(self) -> bool:
        """Whether the response's head has left (or is queued) and can no longer be changed."""
        return self._mode is not None and not self._head_bytes

    def write(self, data: bytes) -> None:
        """Send a part of the body; what the client does not take at once is queued.

        Raises:
            ApplicationError: More than the length that was announced; the surplus is not sent.
            Disconnected: The client is gone.
            DeadlineExceeded: It took nothing for write_timeout seconds, and the queue is full.
        """
        size = len(data)
        mode = self._mode
        if mode is _CHUNKED:
            self._send_chunk(data, size)
        elif mode is _NONE:
            self._send_head()
        elif mode is _LENGTH and self.sent + size > self._length:
            allowed = self._length - self.sent
            self.sent = self._length
            self._send_with_head(data[:allowed])
            raise ApplicationError(f"the body is longer than its Content-Length of {self._length}")
        else:
            self.sent = sent = self.sent + size
            # PEP 3333 wants each part on its way while the next one is made; the kernel sees to that.
            self._send_with_head(data, more=size >= _JOIN_BELOW and sent < self._length)

    def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        """Send ``count`` bytes of an open file from ``start``, without reading them into this process.

        The file may be closed as soon as this returns.

        Raises:
            Disconnected: The client is gone, or the file became shorter.
        """
        self._send_head()
        if self._mode is _NONE:
            return
        if self._mode is _LENGTH:
            count = min(count, self._length - self.sent)
        self.sent += count
        # A file takes no buffer of ours, so the job does not wait for its reader.
        self._queue().write_file(file.fileno(), start, start + count)

    def waited(self) -> float:
        """Return for how many seconds the request has waited for its job, which calls this first of all.

        Since the worker has read it, as long as a client that sends ahead is served; since it arrived, where the
        kernel tells that.
        """
        return max(self._protocol.clock() - self.asked_at, 0.0 if self._received else arrived_for(self.stream))

    def describe_request(self) -> str:
        """Return what is asked for, and by whom, for the log."""
        peer = self.stream.peer
        return f"{self.head.method} {self.head.target} from {peer[0] if isinstance(peer, tuple) else 'a local client'}"

    def on_drain(self, callback: Callable[[], object]) -> None:
        """Have something called, once, if the worker is ordered to leave before the request has ended.

        It is called by whoever carries out the order, or here if that has happened; it must not block.
        """
        if self._drain_callbacks is None:
            self._drain_callbacks = []
        self._drain_callbacks.append(callback)
        if self._protocol.leaving:
            self._tell_of_drain()

    def hand_over(self) -> bytes:
        """Leave the connection to the application, and return what has arrived on it after the request.

        Raises:
            ApplicationError: The response has begun, or the request's body was not read to its end.
        """
        if self._mode is not None or self._outbox is not None or self._decoder is not None:
            raise ApplicationError("the connection cannot be taken: a response has begun, or a body is still to come")
        self._handed_over = self._must_linger = True
        self._keep_alive = False
        self.status = "101"
        early, self._received = self._received, b""
        if self.job_deadline is not None and self._protocol.job_deadlines is not None:
            # From here on it is a conversation, which lasts for as long as it lasts.
            self._protocol.job_deadlines.end(self.job_deadline)
        if self._protocol.leaving:
            self.stream.shut_read()
        return early

    # -- for the worker's side: the answer is complete, the worker leaves --------------------------------------------

    def _finish(self) -> None:
        """Complete the response after the gateway has returned."""
        mode = self._mode
        if mode is None:
            if self._handed_over:
                return
            raise ApplicationError("the application returned without calling start_response")
        if mode is _CHUNKED:
            last, self._head_bytes = self._head_bytes + response.LAST_CHUNK, b""
            self._send((last,))
            return
        if self._head_bytes:
            self._send_head()
        if mode is _LENGTH and self.sent < self._length:
            self._keep_alive = False
            self._protocol.log.error(
                "%s %s: the body has %d bytes and Content-Length said %d; the connection is closed",
                self.head.method, self.head.target, self.sent, self._length,
            )  # fmt: skip

    def _tell_of_drain(self) -> None:
        """Tell the job that the worker leaves; perhaps in another thread, and perhaps in several at once."""
        callbacks = self._drain_callbacks or []
        while callbacks:
            try:
                callbacks.pop(0)()
            except Exception:
                self._protocol.log.exception("Error in a callback of workerkit.on_drain")
        if self._handed_over:
            self.stream.shut_read()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send_chunk(self, data: bytes, size: int) -> None:
        buffers = response.chunk(data)
        if not buffers:
            return
        self.sent += size
        if self._head_bytes:
            buffers = (self._head_bytes, *buffers)
            self._head_bytes = b""
        self._send((b"".join(buffers),) if size < _JOIN_BELOW else buffers)

    def _send_with_head(self, data: bytes, more: bool = False) -> None:
        head = self._head_bytes
        if not head:
            if data:
                self._send((data,), more)
            return
        self._head_bytes = b""
        if len(data) < _JOIN_BELOW:
            self._send((head + data,))
        else:
            self._send((head, data), more)

    def _send_head(self) -> None:
        if self._head_bytes:
            head, self._head_bytes = self._head_bytes, b""
            self._send((head,))

    def _send(self, buffers: Sequence[bytes], more: bool = False) -> None:
        """Send in order; the queue is made only for a client that does not take everything at once.

        ``more``: a large body goes on at once, so packets may be filled.
        """
        if self._outbox is None:
            sent = self.stream.send(buffers, more) or 0
            if sent == len(buffers[0]) and len(buffers) == 1:
                return
            for position, buffer in enumerate(buffers):
                if sent < len(buffer):
                    self._queue().write([memoryview(buffer)[sent:], *buffers[position + 1 :]])
                    break
                sent -= len(buffer)
            return
        self._outbox.write(buffers)
        self._relieve()

    def _queue(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(self.stream, self._protocol.options.response_memory)
        return self._outbox

    def _relieve(self) -> None:
        """Wait, inside the job, while the queue is over its limit."""
        outbox = self._queue()
        limit = self._protocol.options.response_buffer
        if outbox.size <= limit:
            return
        clock = self._protocol.clock
        draught = self._new_draught() if self._draught is None else self._draught
        deadline = draught.begin(clock())
        while outbox.size > limit:
            try:
                self.stream.wait(self.stream.want, deadline)
            except DeadlineExceeded:
                if draught.go_on(clock()) <= deadline:
                    raise
            else:
                outbox.flush()
            deadline = draught.go_on(clock())

    def _reader_deadline(self, now: float) -> float:
        """Return by when the client must have taken more of what is queued; for the worker's side, after the job."""
        if self._draught is None:
            return self._new_draught().begin(now)
        return self._draught.begin(now) if self.deadline is None else self._draught.go_on(now)

    def _new_draught(self) -> Draught:
        self._draught = draught = Draught(self.stream, self._queue(), self._protocol.write_pace)
        return draught
