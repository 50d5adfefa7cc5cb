"""The worker's side of a connection: a state machine that reads a request, has it answered, and goes on or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from workerkit.errors import ApplicationError, DeadlineExceeded, Disconnected, ProtocolError, RequestOverdue
from workerkit.http import response
from workerkit.http.response import BodyMode
from workerkit.net.protocol import Job, Next
from workerkit.protocols.endings import LINGER_FOR, read_away
from workerkit.protocols.http1.exchange import DISCARD_LIMIT
from workerkit.protocols.http1.phases import BODY, CALL, CLOSED, DISCARD, FLUSH, HEAD, IDLE, LINGER, WAITING_FOR
from workerkit.protocols.http1.reader import Http1Reader

_DISCARD_FOR: Final = 1.0
_GRACE: Final = 2.0
_NEW: Final = b"new"
_USED: Final = b"used"

# Plain names, because an attribute of an enum costs the request path 0.1 µs each time.
_AGAIN: Final = Next.AGAIN
_WAIT_IDLE: Final = Next.IDLE


class Http1Connection(Http1Reader):
    """One HTTP/1 connection, as its worker drives it; ``Http1Exchange`` is what a gateway sees of it."""

    __slots__ = ("_called_at", "_discarded")

    def advance(self, now: float) -> Next:
        """Go on; see ``Connection.advance``."""
        try:
            phase = self._phase
            if phase == IDLE:
                return self._read_head(now)
            return _STEPS[phase](self, now)
        except Disconnected:
            self._phase = CLOSED
            return Next.CLOSE
        except ProtocolError as error:
            return self._refuse(error, now)

    def take(self) -> Job:
        """Return the job that answers the request."""
        return self._answer

    def expire(self, now: float) -> Next:
        """Answer 408 to a request that did not arrive in time (RFC 9110 section 15.5.9); close in silence otherwise."""
        if self._phase in (BODY, HEAD):
            return self._refuse(ProtocolError("the request did not arrive in time", 408), now)
        if self._phase == FLUSH:
            self.deadline = self._reader_deadline(now)
            if self.deadline > now:
                return Next.WRITE
            # Or the kernel would go on offering what it still holds.
            self.stream.reset_on_close()
        self._phase = CLOSED
        return Next.CLOSE

    def drain(self, now: float) -> Next:
        """Make the response under way the last one; an idle client gets a moment, for its request may be on its way.

        A connection that another worker will take over is promised to stay open, as ever.
        """
        protocol = self._protocol
        if protocol.leaving:
            self._tell_of_drain()
        if protocol.hands_over and self._is_plain:
            return Next.AGAIN if self._received else WAITING_FOR[self._phase]
        self._leaving = True
        if self._phase == IDLE and not self._received:
            grace = now + _GRACE
            self.deadline = grace if self.deadline is None else min(self.deadline, grace)
            return Next.IDLE
        return Next.AGAIN if self._received else WAITING_FOR[self._phase]

    def export(self) -> bytes | None:
        """Tell whether a request has come before, if nothing of the next one has; see ``Connection.export``."""
        if self._phase != IDLE or self._received or not self._reader.is_empty or not self._is_plain:
            return None
        return _NEW if self._reader.cache is None else _USED

    def adopted(self, state: bytes) -> Http1Connection:
        """Go on where another worker's connection has stopped."""
        if state == _USED:
            self._reader.cache = self._protocol.fields_cache
        return self

    @property
    def _is_plain(self) -> bool:
        """Whether its bytes on the wire mean the same to another process: with TLS, they do not."""
        return self.stream.layer is None

    def close(self) -> None:
        """Let go of buffers and files."""
        if self._outbox is not None:
            self._outbox.close()
        self._close_body()
        if self._handed_over:
            # The application's descriptor may still be open, and somebody wait there.
            self.stream.shut_read()

    # -- the job -----------------------------------------------------------------------------------------------------

    def early_hints(self, fields: Iterable[tuple[str, str]]) -> None:
        """Send a 103 with these fields at once; nothing, if the response's head has left.

        Called by the application, in the job.

        Raises:
            ApplicationError: A field breaks HTTP, or the request has ended; nothing was sent.
            Disconnected: The client is gone.
        """
        if self._phase != CALL:
            raise ApplicationError("early hints were given after the request had ended")
        # A client of HTTP/1.0 knows no response but the last (RFC 9110 section 15.2).
        if self.started or self._handed_over or not self.head.minor:
            return
        from workerkit.http.early_hints import render  # noqa: PLC0415  few applications give any

        self._send((render(fields),))

    def _answer(self) -> bool:
        """Run the gateway; return whether the request failed. This is the job."""
        self._mode = None
        self.response_fields = ()
        self.status = ""
        self.sent = 0
        protocol = self._protocol
        access = protocol.access
        if protocol.times_requests:
            self._called_at = protocol.clock()
        failed = False
        try:
            protocol.gateway(self)
            self._finish()
        except Disconnected as error:
            protocol.log.debug("%s %s: %s", self.head.method, self.head.path, error)
            self._abort()
        except DeadlineExceeded as error:
            # A body that did not come; or a response that was not taken, which has begun and can only end.
            self._fail(408, str(error))
        except RequestOverdue as error:
            self._fail(error.status, str(error))
            failed = True
        except ProtocolError as error:
            # The rest of a streamed body broke the rules while the application was reading it.
            self._fail(error.status, str(error))
        except BaseException:  # SystemExit too: an application cannot end the server that it runs in
            protocol.log.exception("Error handling request %s %s", self.head.method, self.head.target)
            self._fail(500, None)
            failed = True
        self._drain_callbacks = None
        if access is not None:
            access.add(self, protocol.clock() - self._called_at if protocol.times_requests else 0.0)
        return failed or self.status >= "5"

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
        self.status = str(status)
        self.response_fields = ()
        try:
            self._send((answer,))
        except Disconnected:
            self._abort()

    def _abort(self) -> None:
        if self._mode is BodyMode.CLOSE:
            # Closing would say that the body is complete, so the connection has to break.
            self.stream.reset_on_close()
        self._keep_alive = False
        self._phase = CLOSED
        self.status = self.status or "499"

    def _peer_name(self) -> str:
        peer = self.stream.peer
        return peer[0] if isinstance(peer, tuple) else "-"

    # -- after the job -----------------------------------------------------------------------------------------------

    def _after_job(self, now: float) -> Next:
        self._mode = None
        if self._outbox is None and self._decoder is None and self._body_buffer is None and self._keep_alive:
            return self._next_request(now)
        self._phase = FLUSH
        return self._flush(now)

    def _flush(self, now: float) -> Next:
        outbox = self._outbox
        if outbox is not None:
            if not outbox.flush():
                self.deadline = self._reader_deadline(now)
                return Next.WRITE
            outbox.close()
            self._outbox = self._draught = None
        self._close_body()
        if not self._keep_alive:
            return self._linger(now) if self._may_still_send() else self._end()
        if self._decoder is not None:
            return self._begin_discard(now)
        return self._next_request(now)

    def _next_request(self, now: float) -> Next:
        self._phase = IDLE
        # An idle connection holds nothing of what was asked and answered.
        del self.head, self.body
        self.response_fields = ()
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
        self._phase = DISCARD
        self._discarded = 0
        self.deadline = now + _DISCARD_FOR
        return self._discard(now)

    def _discard(self, now: float) -> Next:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101  the phase says so
        while self._discarded <= DISCARD_LIMIT:
            data = self._arrived()
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

    # -- ending ------------------------------------------------------------------------------------------------------

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
            self._phase = FLUSH
            self.deadline = self._reader_deadline(now)
            return Next.WRITE
        self._close_body()
        self._received = b""
        self.stream.shut_write()
        self._phase = LINGER
        self.deadline = now + LINGER_FOR
        return self._read_away(now)

    def _read_away(self, now: float) -> Next:
        step = read_away(self.stream)
        return self._end(now) if step is Next.CLOSE else step

    def _end(self, now: float = 0.0) -> Next:  # noqa: ARG002  every step is handed the time
        self._phase = CLOSED
        return Next.CLOSE


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
