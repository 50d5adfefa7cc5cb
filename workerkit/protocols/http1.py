"""HTTP/1.1 on a connection: bytes to exchanges, responses to bytes.

The rules of the language are in ``workerkit.http``, which does no I/O; what is called to answer a request is a
gateway (``workerkit.wsgi`` has one). Here is the conversation between the two, as phases:

    IDLE      between requests: no byte of the next one has come
    HEAD      reading a request's head
    BODY      reading a body that is buffered before the application is called, so that a slow upload holds nobody
    CALL      a complete request waits for its job, or the job runs
    FLUSH     the job is done, the peer has not taken everything yet
    DISCARD   the application left a body unread: a little of it is read away, so that the connection can go on
    LINGER    our side is closed and the peer still sends: read until it has seen our answer (RFC 9112 section 9.6)
    CLOSED

``_STEPS`` maps a phase to the method that goes on from it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Self

from workerkit.errors import (
    ApplicationError,
    AppLoadError,
    ConfigError,
    DeadlineExceeded,
    Disconnected,
    ProtocolError,
)
from workerkit.http import response
from workerkit.http.body import BodyDecoder, body_decoder
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import FieldsCache, HeadReader, RequestHead
from workerkit.http.response import BodyMode
from workerkit.net.outbox import Outbox
from workerkit.net.protocol import Connection, Job, Next, Protocol, Service
from workerkit.net.stream import Stream
from workerkit.process.clock import Clock, gmtime, monotonic, wall_clock
from workerkit.telemetry.access import AccessLog, AccessRecord
from workerkit.wsgi.gateway import WsgiFacts, WsgiGateway
from workerkit.wsgi.interface import complaint

_RECEIVE: Final = 65536
_DISCARD_LIMIT: Final = 65536
_DISCARD_FOR: Final = 1.0
_LINGER_FOR: Final = 2.0
_GRACE: Final = 2.0
_JOIN_BELOW: Final = 16384


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """HTTP connections."""

    keepalive: float = field(
        default=5.0,
        metadata={
            "flags": ("--keep-alive",),
            "unit": "seconds",
            "help": "How long an idle connection is kept for its next request; 0 closes it after each response.",
        },
    )
    head_timeout: float = field(
        default=20.0,
        metadata={"unit": "seconds", "help": "Within which a request's head must have arrived; 408 after that."},
    )
    body_timeout: float = field(
        default=30.0,
        metadata={"unit": "seconds", "help": "Within which the next part of a request's body must have arrived."},
    )
    write_timeout: float = field(
        default=30.0,
        metadata={"unit": "seconds", "help": "Within which a client must have taken the next part of a response."},
    )
    request_memory: int = field(
        default=65536,
        metadata={"unit": "bytes", "help": "A request's body is buffered in memory up to this, then in a file."},
    )
    request_buffer: int = field(
        default=64 * 1024 * 1024,
        metadata={
            "unit": "bytes",
            "help": "Bodies up to this are buffered before the application is called; larger ones stream, "
            "and hold a worker's thread for as long as they take.",
        },
    )
    response_memory: int = field(
        default=65536,
        metadata={
            "unit": "bytes",
            "help": "What a slow client has not taken waits in memory up to this, then in a file.",
        },
    )
    response_buffer: int = field(
        default=256 * 1024 * 1024,
        metadata={
            "unit": "bytes",
            "help": "Past this, the application waits for its slow client, under write-timeout.",
        },
    )
    server_header: str = field(
        default="workerkit",
        metadata={"metavar": "NAME", "help": "What the Server field of responses says; empty: no such field."},
    )
    sendfile: bool = field(
        default=True,
        metadata={"help": "Send wsgi.file_wrapper files by sendfile(2)."},
    )


Gateway = Callable[["Http1Connection"], None]
"""Answers the request that the connection holds, by ``respond``, or ``start`` with ``write`` and ``send_file``."""


class Http1(Protocol):
    """The protocol of one worker: what its connections share."""

    job = "call"
    scheme = "http"
    Options = (HttpOptions, HttpLimits, ForwardedOptions)

    def __init__(
        self,
        gateway: Gateway,
        options: HttpOptions,
        limits: HttpLimits,
        log: logging.Logger,
        access: AccessLog | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.gateway = gateway
        self.options = options
        self.limits = limits
        self.log = log
        self.access = access
        self.clock = clock
        self.keeps_alive = options.keepalive > 0
        self.fields_cache = FieldsCache(limits)
        self._server = b"Server: %b\r\n" % options.server_header.encode("latin-1") if options.server_header else b""
        self._dated_at = -1
        self._dated = b""

    @classmethod
    def serving(cls, service: Service) -> Self:
        """Serve a WSGI application; see ``Protocol.serving``."""
        application = service.served
        if not callable(application):
            raise ConfigError("nothing to serve: name an application, as in `workerkit MODULE:APP`")
        problem = complaint(application, service.name)
        if problem:
            raise AppLoadError(problem)
        options: HttpOptions = service.options(HttpOptions)
        facts = WsgiFacts(
            multithread=service.multithread,
            multiprocess=service.workers > 1,
            sendfile=options.sendfile,
            worker_class=service.worker_class,
            upgrade_environ=service.upgrade_environ,
        )
        gateway = WsgiGateway(application, facts, Trust(service.options(ForwardedOptions)))
        return cls(gateway, options, service.options(HttpLimits), service.log, service.access)

    def connect(self, stream: Stream) -> Http1Connection:
        """Return the conversation for a new connection."""
        return Http1Connection(stream, self)

    def date_and_server(self, now: float) -> bytes:
        """Return the Date and Server fields; the date is made once a second (RFC 9110 section 6.6.1)."""
        second = int(now)
        if second != self._dated_at:
            self._dated_at = second
            self._dated = b"Date: %b\r\n%b" % (response.http_date(*gmtime(wall_clock())[:7]), self._server)
        return self._dated


# Phases, and the members of Next: plain names, because an attribute of an enum costs the request path 0.1 µs each.
_IDLE, _HEAD, _BODY, _CALL, _FLUSH, _DISCARD, _LINGER, _CLOSED = range(8)
_AGAIN: Final = Next.AGAIN
_RUN: Final = Next.RUN
_WAIT_IDLE: Final = Next.IDLE
_WAIT_READ: Final = Next.READ
_LENGTH: Final = BodyMode.LENGTH


class Http1Connection(Connection):
    """One HTTP/1 connection, and the exchange that is under way on it.

    A gateway, called in a job, uses ``head``, ``body``, ``stream.peer`` and ``stream.local``, and answers with
    ``respond``; or with ``start`` and then ``write`` and ``send_file``.
    """

    __slots__ = (
        "_body_buffer",
        "_called_at",
        "_continue_wanted",
        "_decoder",
        "_discarded",
        "_drain_callbacks",
        "_handed_over",
        "_head_bytes",
        "_keep_alive",
        "_leaving",
        "_must_linger",
        "_outbox",
        "_phase",
        "_protocol",
        "_reader",
        "_received",
        "_response",
        "_response_fields",
        "_sent",
        "_status",
        "body",
        "head",
    )

    head: RequestHead
    body: IO[bytes]

    def __init__(self, stream: Stream, protocol: Http1) -> None:
        super().__init__(stream)
        self._protocol = protocol
        self._phase = _IDLE
        self._reader = HeadReader(protocol.limits)
        self._received = b""
        self._leaving = False
        self._outbox: Outbox | None = None
        self._decoder: BodyDecoder | None = None
        self._continue_wanted = False
        self._response: response.ResponseStart | None = None
        self._response_fields: list[tuple[str, str]] = []
        self._head_bytes = b""
        self._body_buffer: IO[bytes] | None = None
        self._status = ""
        self._sent = 0
        self._keep_alive = True
        self._must_linger = False
        self._drain_callbacks: list[Callable[[], object]] | None = None
        self._handed_over = False

    # -- the worker's side ---------------------------------------------------------------------------------------

    def advance(self, now: float) -> Next:
        """Go on; see ``Connection.advance``."""
        try:
            phase = self._phase
            if phase == _IDLE:
                return self._read_head(now)
            return _STEPS[phase](self, now)
        except Disconnected:
            self._phase = _CLOSED
            return Next.CLOSE
        except ProtocolError as error:
            return self._refuse(error, now)

    def take(self) -> Job:
        """Return the job that answers the request."""
        return self._answer

    def expire(self, now: float) -> Next:
        """Answer 408 to a request that did not arrive in time (RFC 9110 section 15.5.9); close in silence otherwise."""
        if self._phase in (_BODY, _HEAD):
            return self._refuse(ProtocolError("the request did not arrive in time", 408), now)
        self._phase = _CLOSED
        return Next.CLOSE

    def drain(self, now: float) -> Next:
        """Make the response under way the last one; an idle client gets a moment, for its request may be on its way."""
        self._leaving = True
        if self._protocol.leaving:
            self._tell_of_drain()
        if self._phase == _IDLE and not self._received:
            grace = now + _GRACE
            self.deadline = grace if self.deadline is None else min(self.deadline, grace)
            return Next.IDLE
        return Next.AGAIN if self._received else _WAITING_FOR[self._phase]

    def close(self) -> None:
        """Let go of buffers and files."""
        if self._outbox is not None:
            self._outbox.close()
        self._close_body()
        if self._handed_over:
            # The application's descriptor may still be open, and somebody wait there.
            self.stream.shut_read()

    # -- reading a request ---------------------------------------------------------------------------------------

    def _read_head(self, now: float) -> Next:
        data: bytes | None
        if self._received:
            data, self._received = self._received, b""
        else:
            data = self.stream.recv(_RECEIVE)
            if data is None:
                return self._await_head(now)
            if not data:
                self._phase = _CLOSED
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
        self._phase = _CALL
        return _RUN

    def _await_head(self, now: float) -> Next:
        if self._reader.started:
            if self._phase == _IDLE:
                # The first byte ends the idle time; the whole head must come within one timeout from here.
                self._phase = _HEAD
                self.deadline = now + self._protocol.options.head_timeout
            return Next.READ
        if self.deadline is None:
            self.deadline = now + self._protocol.options.head_timeout
        return Next.IDLE

    def _begin_body(self, head: RequestHead, now: float) -> Next:
        self._decoder = decoder = body_decoder(head, self._protocol.limits)
        assert decoder is not None  # noqa: S101  the head announced a body
        self._body_buffer = None
        self._received, self._reader.rest = self._reader.rest, b""
        if head.content_length > self._protocol.options.request_buffer:
            return self._stream_body()
        if head.expect_continue and not self._received:
            self._send((response.CONTINUE,))
        self._phase = _BODY
        if self._received:
            return self._read_body(now)
        self.deadline = now + self._protocol.options.body_timeout
        return Next.READ

    def _read_body(self, now: float) -> Next:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101  the phase says so
        while True:
            data: bytes | None
            if self._received:
                data, self._received = self._received, b""
            else:
                data = self.stream.recv(_RECEIVE)
                if data is None:
                    return Next.READ
                if not data:
                    # RFC 9112 section 8: a message cut short is no message; there is nobody left to tell.
                    raise Disconnected("the request's body was cut short")
            payload = decoder.feed(data)
            if payload:
                self._keep(payload)
            if decoder.done:
                self._received = decoder.rest
                return self._body_complete()
            self.deadline = now + self._protocol.options.body_timeout
            if self._body_size() > self._protocol.options.request_buffer:
                return self._stream_body()
            if len(data) < _RECEIVE:
                return Next.READ

    def _keep(self, payload: bytes) -> None:
        buffer = self._body_buffer
        if buffer is None:
            buffer = self._body_buffer = io.BytesIO()
        elif isinstance(buffer, io.BytesIO) and buffer.tell() + len(payload) > self._protocol.options.request_memory:
            import tempfile  # noqa: PLC0415  its imports cost milliseconds, and most requests are small

            spooled = tempfile.TemporaryFile()  # noqa: SIM115  closed by _close_body()
            spooled.write(buffer.getbuffer())
            buffer = self._body_buffer = spooled
        buffer.write(payload)

    def _body_size(self) -> int:
        return 0 if self._body_buffer is None else self._body_buffer.tell()

    def _body_complete(self) -> Next:
        self._decoder = None
        self.deadline = None
        self.body = self._body_buffer or io.BytesIO()
        self.body.seek(0)
        self._phase = _CALL
        return Next.RUN

    def _stream_body(self) -> Next:
        """Call the application now; it reads the rest of the body as it comes."""
        self.deadline = None
        self._continue_wanted = self.head.expect_continue and not self._received
        self.body = io.BufferedReader(_StreamedBody(self, self._body_buffer), _RECEIVE)
        self._phase = _CALL
        return Next.RUN

    def read_body(self) -> bytes:
        """Return the next part of a streamed body, ``b""`` at its end. For ``_StreamedBody``, inside the job.

        Raises:
            Disconnected: The client left before the body was complete.
            ProtocolError: The body's framing is broken.
            DeadlineExceeded: Nothing came for body_timeout seconds.
        """
        decoder = self._decoder
        if decoder is None:
            return b""
        if self._continue_wanted:
            self._continue_wanted = False
            self._send((response.CONTINUE,))
        while not decoder.done:
            if self._received:
                data, self._received = self._received, b""
            else:
                self.stream.deadline = self._protocol.clock() + self._protocol.options.body_timeout
                data = self.stream.read(_RECEIVE)
                if not data:
                    raise Disconnected("the request's body was cut short")
            try:
                payload = decoder.feed(data)
            except ProtocolError:
                # Whatever the application makes of it, where the next request begins is no longer known.
                self._leaving, self._keep_alive = True, False
                raise
            if payload:
                return payload
        self._received = decoder.rest
        self._decoder = None
        return b""

    # -- the gateway's side: answering, inside the job ------------------------------------------------------------

    def _answer(self) -> bool:
        """Run the gateway; return whether the request failed. This is the job."""
        self._response = None
        self._response_fields = []
        self._status = ""
        self._sent = 0
        protocol = self._protocol
        access = protocol.access
        if access is not None:
            self._called_at = protocol.clock()
        failed = False
        try:
            protocol.gateway(self)
            self._finish()
        except (Disconnected, DeadlineExceeded) as error:
            protocol.log.debug("%s %s: %s", self.head.method, self.head.path, error)
            self._abort()
        except ProtocolError as error:
            # The rest of a streamed body broke the rules while the application was reading it.
            self._fail(error.status, str(error))
        except BaseException:  # SystemExit too: an application cannot end the server that it runs in
            protocol.log.exception("Error handling request %s %s", self.head.method, self.head.target)
            self._fail(500, None)
            failed = True
        self._drain_callbacks = None
        if access is not None:
            self._log_access(access)
        return failed or self._status >= "5"

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        """Answer at once, with a body that is complete.

        Raises:
            ApplicationError: The status, a field or the body's length break HTTP; nothing of it was sent.
            Disconnected: The client is gone.
        """
        self.start(status, fields, len(data))
        begun = self._response
        assert begun is not None  # noqa: S101  start() made it
        if begun.mode is _LENGTH and begun.length == len(data) < _JOIN_BELOW:
            # What nearly every response is: all of it leaves in one send.
            self._sent = len(data)
            whole, self._head_bytes = self._head_bytes + data, b""
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
        self._response = begun = response.begin(
            head.method,
            head.minor,
            head.keep_alive and protocol.keeps_alive and not self._leaving,
            status,
            fields,
            protocol.date_and_server(protocol.clock()),
            length,
        )
        self._status = status
        self._response_fields = fields
        self._head_bytes = begun.head
        self._keep_alive = begun.keep_alive

    @property
    def started(self) -> bool:
        """Whether the response's head has left (or is queued) and can no longer be changed."""
        return self._response is not None and not self._head_bytes

    def write(self, data: bytes) -> None:
        """Send a part of the body; what the client does not take at once is queued.

        Raises:
            ApplicationError: More than the length that was announced; the surplus is not sent.
            Disconnected: The client is gone.
            DeadlineExceeded: It took nothing for write_timeout seconds, and the queue is full.
        """
        begun = self._response
        assert begun is not None  # noqa: S101  start() comes first
        size = len(data)
        if begun.mode is BodyMode.CHUNKED:
            self._send_chunk(data, size)
        elif begun.mode is BodyMode.NONE:
            self._send_head()
        elif begun.mode is _LENGTH and self._sent + size > begun.length:
            allowed = begun.length - self._sent
            self._sent = begun.length
            self._send_with_head(data[:allowed])
            raise ApplicationError(f"the body is longer than its Content-Length of {begun.length}")
        else:
            self._sent += size
            self._send_with_head(data)

    def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        """Send ``count`` bytes of an open file from ``start``, without reading them into this process.

        The file may be closed as soon as this returns.

        Raises:
            Disconnected: The client is gone, or the file became shorter.
        """
        begun = self._response
        assert begun is not None  # noqa: S101  start() comes first
        self._send_head()
        if begun.mode is BodyMode.NONE:
            return
        if begun.mode is _LENGTH:
            count = min(count, begun.length - self._sent)
        self._sent += count
        # A file takes no buffer of ours, so the job does not wait for its reader.
        self._queue().write_file(file.fileno(), start, start + count)

    def on_drain(self, callback: Callable[[], object]) -> None:
        """Have something called, once, if the worker is ordered to leave before the request has ended.

        It is called by whoever carries out the order, or here if that has happened; it must not block.
        """
        if self._drain_callbacks is None:
            self._drain_callbacks = []
        self._drain_callbacks.append(callback)
        if self._protocol.leaving:
            self._tell_of_drain()

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

    def hand_over(self) -> bytes:
        """Leave the connection to the application, and return what has arrived on it after the request.

        Raises:
            ApplicationError: The response has begun, or the request's body was not read to its end.
        """
        if self._response is not None or self._outbox is not None or self._decoder is not None:
            raise ApplicationError("the connection cannot be taken: a response has begun, or a body is still to come")
        self._handed_over = self._must_linger = True
        self._keep_alive = False
        self._status = "101"
        early, self._received = self._received, b""
        if self._protocol.leaving:
            self.stream.shut_read()
        return early

    def _send_chunk(self, data: bytes, size: int) -> None:
        if not size:
            return  # an empty chunk would end the body
        self._sent += size
        before = b"%b%x\r\n" % (self._head_bytes, size)
        self._head_bytes = b""
        if size < _JOIN_BELOW:
            self._send((b"%b%b\r\n" % (before, data),))
        else:
            self._send((before, data, b"\r\n"))

    def _send_with_head(self, data: bytes) -> None:
        head = self._head_bytes
        if not head:
            if data:
                self._send((data,))
            return
        self._head_bytes = b""
        if len(data) < _JOIN_BELOW:
            self._send((head + data,))
        else:
            self._send((head, data))

    def _send_head(self) -> None:
        if self._head_bytes:
            head, self._head_bytes = self._head_bytes, b""
            self._send((head,))

    def _send(self, buffers: Sequence[bytes]) -> None:
        """Send in order; the queue is made only for a client that does not take everything at once."""
        if self._outbox is None:
            sent = self.stream.send(buffers) or 0
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
        options = self._protocol.options
        while outbox.size > options.response_buffer:
            self.stream.wait(self.stream.want, self._protocol.clock() + options.write_timeout)
            outbox.flush()

    def _finish(self) -> None:
        """Complete the response after the gateway has returned."""
        begun = self._response
        if begun is None:
            if self._handed_over:
                return
            raise ApplicationError("the application returned without calling start_response")
        if begun.mode is BodyMode.CHUNKED:
            last, self._head_bytes = self._head_bytes + response.LAST_CHUNK, b""
            self._send((last,))
            return
        if self._head_bytes:
            self._send_head()
        if begun.mode is _LENGTH and self._sent < begun.length:
            self._keep_alive = False
            self._protocol.log.error(
                "%s %s: the body has %d bytes and Content-Length said %d; the connection is closed",
                self.head.method, self.head.target, self._sent, begun.length,
            )  # fmt: skip

    def _fail(self, status: int, reason: str | None) -> None:
        """Answer an error instead, if nothing was sent yet; otherwise end the connection, so that it shows."""
        if self.started or self._handed_over:
            self._abort()
            return
        self._head_bytes = b""
        self._keep_alive = False
        answer = response.error_response(status, reason, self._protocol.date_and_server(self._protocol.clock()))
        if self.head.method == "HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        self._status = str(status)
        self._response_fields = []
        try:
            self._send((answer,))
        except Disconnected:
            self._abort()

    def _abort(self) -> None:
        if self._response is not None and self._response.mode is BodyMode.CLOSE:
            # Closing would say that the body is complete, so the connection has to break.
            self.stream.reset_on_close()
        self._keep_alive = False
        self._phase = _CLOSED
        self._status = self._status or "499"

    def _log_access(self, access: AccessLog) -> None:
        head = self.head
        access.add(
            AccessRecord(
                self._peer_name(),
                head.method,
                head.target,
                f"HTTP/1.{head.minor}",
                head.fields.pairs,
                self._status,
                self._response_fields,
                self._sent,
                self._protocol.clock() - self._called_at,
            )
        )

    def _peer_name(self) -> str:
        peer = self.stream.peer
        return peer[0] if isinstance(peer, tuple) else "-"

    # -- after the job -------------------------------------------------------------------------------------------

    def _after_job(self, now: float) -> Next:
        self._response = None
        if self._outbox is None and self._decoder is None and self._body_buffer is None and self._keep_alive:
            return self._next_request(now)
        self._phase = _FLUSH
        return self._flush(now)

    def _flush(self, now: float) -> Next:
        outbox = self._outbox
        if outbox is not None:
            before = outbox.size
            if not outbox.flush():
                if self.deadline is None or outbox.size < before:
                    self.deadline = now + self._protocol.options.write_timeout
                return Next.WRITE
            outbox.close()
            self._outbox = None
        self._close_body()
        if not self._keep_alive:
            return self._linger(now) if self._may_still_send() else self._end()
        if self._decoder is not None:
            return self._begin_discard(now)
        return self._next_request(now)

    def _next_request(self, now: float) -> Next:
        self._phase = _IDLE
        # A client that comes once teaches the cache nothing.
        self._reader.cache = self._protocol.fields_cache
        self.deadline = now + self._protocol.options.keepalive
        if self._leaving:
            # Told to leave while the response was being sent, which had promised that the connection stays: the
            # client's next request may be on its way.
            self.deadline = min(self.deadline, now + _GRACE)
        return _AGAIN if self._received else _WAIT_IDLE

    def _may_still_send(self) -> bool:
        """Whether closing now could destroy the answer: bytes that nobody read make the kernel send a reset."""
        return self._must_linger or self._decoder is not None or bool(self._received) or self.head.keep_alive

    def _begin_discard(self, now: float) -> Next:
        if self._continue_wanted:
            # The client still waits for our 100: it will not send the body, or it will, and nobody could tell.
            return self._linger(now)
        self._phase = _DISCARD
        self._discarded = 0
        self.deadline = now + _DISCARD_FOR
        return self._discard(now)

    def _discard(self, now: float) -> Next:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101  the phase says so
        while self._discarded <= _DISCARD_LIMIT:
            data: bytes | None
            if self._received:
                data, self._received = self._received, b""
            else:
                data = self.stream.recv(_RECEIVE)
                if data is None:
                    return Next.READ
                if not data:
                    return self._end()
            self._discarded += len(data)
            try:
                decoder.feed(data)
            except ProtocolError:
                # The request has its answer; another one would be taken for the answer to the next.
                return self._linger(now)
            if decoder.done:
                self._received = decoder.rest
                self._decoder = None
                return self._next_request(now)
        return self._linger(now)

    # -- ending --------------------------------------------------------------------------------------------------

    def _refuse(self, error: ProtocolError, now: float) -> Next:
        """Answer a request that cannot be read, and close: where the next one begins is no longer known."""
        self._keep_alive = False
        answer = response.error_response(error.status, str(error), self._protocol.date_and_server(now))
        self._protocol.log.info("Refused a request from %s with %d: %s", self._peer_name(), error.status, error)
        try:
            self._send((answer,))
            return self._linger(now)
        except Disconnected:
            return self._end()

    def _linger(self, now: float) -> Next:
        """Close our side and read on for a moment, so that the answer is not lost to a reset (RFC 9112 section 9.6)."""
        if self._outbox is not None and not self._outbox.flush():
            self._must_linger = True
            self._phase = _FLUSH
            self.deadline = now + self._protocol.options.write_timeout
            return Next.WRITE
        self._close_body()
        self._received = b""
        self.stream.shut_write()
        self._phase = _LINGER
        self.deadline = now + _LINGER_FOR
        return self._read_away(now)

    def _read_away(self, now: float) -> Next:  # noqa: ARG002  every step is handed the time
        for _ in range(16):
            data = self.stream.recv(_RECEIVE)
            if data is None:
                return Next.READ
            if not data:
                return self._end()
        return Next.AGAIN

    def _end(self, now: float = 0.0) -> Next:  # noqa: ARG002  every step is handed the time
        self._phase = _CLOSED
        return Next.CLOSE

    def _close_body(self) -> None:
        buffer, self._body_buffer = self._body_buffer, None
        if buffer is not None:
            buffer.close()


_Step = Callable[[Http1Connection, float], Next]

_STEPS: tuple[_Step, ...] = (
    Http1Connection._read_head,
    Http1Connection._read_head,
    Http1Connection._read_body,
    Http1Connection._after_job,
    Http1Connection._flush,
    Http1Connection._discard,
    Http1Connection._read_away,
    Http1Connection._end,
)

# What a connection waits for while it is in a phase; CALL: its job waits already.
_WAITING_FOR: tuple[Next, ...] = (
    Next.IDLE, Next.READ, Next.READ, Next.RUN, Next.WRITE, Next.READ, Next.READ, Next.CLOSE,
)  # fmt: skip


class _StreamedBody(io.RawIOBase):
    """A body that is read while the application runs: first what was buffered, then what comes."""

    def __init__(self, connection: Http1Connection, buffered: IO[bytes] | None) -> None:
        self._connection = connection
        self._left = b""
        self._buffered = buffered
        if buffered is not None:
            buffered.seek(0)

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
            data = self._buffered.read(_RECEIVE)
            if data:
                return data
            self._buffered = None
        return self._connection.read_body()
