"""Request and answer, in messages: the half of such a protocol that does not depend on what the messages are.

A subclass says where a message ends (``parse``) and what is answered (``answer``). Everything else is here:
reading without blocking, buffers and their limits, pipelining, slow readers, deadlines, drain. The answer is a job of
the kind ``call``, so that these protocols run on every worker class, and an idle connection costs no thread.

A connection goes through these phases, ``_STEPS`` maps each to the method that goes on from it:

    READ      between messages, or inside one
    ANSWER    complete messages wait for their job, or the job runs
    FLUSH     the peer has not taken all answers yet: nothing more is read from it
    LINGER    our side is closed and the peer still sends (see ``endings``)
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from workerkit.errors import Disconnected, ProtocolError
from workerkit.frames import summary, user_frames
from workerkit.net.outbox import Outbox
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.protocols.endings import LINGER_FOR, peer_name, read_away

_RECEIVE: Final = 65536
_BATCH: Final = 128
_READ, _ANSWER, _FLUSH, _LINGER = range(4)


class MessageProtocol(Protocol):
    """Subclass it and write ``parse`` and ``answer``; one instance serves all connections of a worker."""

    job = "call"
    limit = 1 << 20
    """Bytes that one message may have."""
    idle_timeout: float | None = 300.0
    """Seconds that a connection is kept between messages; None: for ever."""
    read_timeout = 30.0
    """Seconds within which a message must be complete, from its first byte."""
    write_timeout = 30.0
    """Seconds within which a peer must have taken the next part of its answers."""
    answer_memory = 65536
    """Bytes of answers that wait in memory for a slow peer; more wait in a file."""
    log = logging.getLogger("workerkit.error")

    @abstractmethod
    def parse(self, buffer: bytearray) -> Any:
        """Take the first message out of what has arrived and return it; None: it is not complete yet.

        Called whenever more has arrived, often with the same beginning: it must be quick and must not block. Its
        bytes are removed by ``del buffer[:size]``. What it returns goes to ``answer``.

        Raises:
            ProtocolError: This is no message. What came before is answered, and the connection ends.
        """

    @abstractmethod
    def answer(self, message: Any) -> bytes | None:
        """Return the answer to a message; None or ``b""``: there is none. This is the job: it may block.

        Where the worker class is ``multithread``, it is called for several connections at a time.

        Raises:
            ProtocolError: The message has no meaning; as in ``parse``.
        """

    def last_word(self, error: Exception) -> bytes:  # noqa: ARG002  for those who have one
        """Return what is sent before a connection is closed for an error.

        The error is a ProtocolError, whose text may be told to the peer, or whatever ``answer`` has raised, which is
        in the log and none of the peer's business.
        """
        return b""

    def connect(self, stream: Stream) -> MessageConnection:
        """Return the conversation for a new connection.

        Override it to return a subclass that keeps what is known of a peer, in an ``answer`` of its own.
        """
        return MessageConnection(stream, self)

    def adopt(self, stream: Stream, state: bytes) -> Connection:
        """Go on with a conversation that another worker has handed over; see ``Protocol.adopt``."""
        connection = super().adopt(stream, state)
        if isinstance(connection, MessageConnection):
            connection.keep_idling()
        return connection


class MessageConnection(Connection):
    """One conversation in messages."""

    __slots__ = (
        "_buffer",
        "_ending",
        "_error",
        "_leaving",
        "_looked",
        "_messages",
        "_outbox",
        "_phase",
        "_waiting_for",
        "protocol",
    )

    def __init__(self, stream: Stream, protocol: MessageProtocol) -> None:
        super().__init__(stream)
        self.protocol = protocol
        self._phase = _READ
        self._buffer = bytearray()
        self._messages: list[Any] = []
        self._outbox = Outbox(stream, protocol.answer_memory)
        self._error: Exception | None = None
        self._waiting_for: Next | None = None
        self._ending = False
        self._leaving = False
        self._looked = False

    # -- for subclasses, inside the job --------------------------------------------------------------------------

    def answer(self, message: Any) -> bytes | None:
        """Return the answer to a message of this peer; by default the protocol's."""
        return self.protocol.answer(message)

    def end(self) -> None:
        """Close the connection once this answer has been sent."""
        self._ending = True

    # -- the worker's side ---------------------------------------------------------------------------------------

    def advance(self, now: float) -> Next:
        """Go on; see ``Connection.advance``."""
        try:
            return _STEPS[self._phase](self, now)
        except Disconnected:
            return Next.CLOSE

    def take(self) -> Job:
        """Return the job that answers what has arrived."""
        return self._answer_all

    def expire(self, now: float) -> Next:
        """Tell a peer that did not finish its message in time; close in silence otherwise."""
        if self._phase == _READ and self._buffer:
            self._error = ProtocolError("the message did not arrive in time")
            try:
                return self._refuse(now)
            except Disconnected:
                return Next.CLOSE
        return Next.CLOSE

    def drain(self, now: float) -> Next:  # noqa: ARG002  deadlines stay as they are
        """Answer what has arrived, a message that has begun included, and close, or go to another worker."""
        if not (self.protocol.hands_over and self._is_transferable):
            self._leaving = True
        return _WAITS_FOR[self._phase]

    def export(self) -> bytes | None:
        """Let an idle connection go to another worker, which need not know anything of it; see ``Connection.export``.

        A subclass is taken to know something of its peer, and stays. One that overrides this, and ``adopt`` of its
        protocol, may go.
        """
        is_idle = self._phase == _READ and not self._buffer and not self._messages and self._error is None
        return b"" if is_idle and self._is_transferable else None

    @property
    def _is_transferable(self) -> bool:
        knows_nothing = type(self) is MessageConnection or type(self).export is not MessageConnection.export
        return knows_nothing and self.stream.layer is None

    def keep_idling(self) -> None:
        """Take the deadline that is set for that of the next message."""
        self._waiting_for = Next.IDLE

    def close(self) -> None:
        """Forget what was not sent."""
        self._outbox.close()

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, now: float) -> Next:
        if not self._messages and self._error is None:
            if self._leaving and not self._buffer:
                if self._looked:
                    return self._linger(now)
                # Once: what a busy peer had sent before it could know is still answered.
                self._looked = True
            data = self.stream.recv(_RECEIVE)
            if data is None:
                return self._await(now)
            if not data:
                return Next.CLOSE
            self._buffer += data
            self._parse()
        if self._messages:
            self._phase, self._waiting_for, self.deadline = _ANSWER, None, None
            return Next.RUN
        return self._await(now) if self._error is None else self._refuse(now)

    def _await(self, now: float) -> Next:
        """Wait for the rest of a message, or for the next one."""
        protocol = self.protocol
        if self._leaving and not self._buffer:
            return self._linger(now)
        waits_for = Next.READ if self._buffer else Next.IDLE
        if waits_for is not self._waiting_for:
            timeout = protocol.read_timeout if self._buffer else protocol.idle_timeout
            self._waiting_for = waits_for
            self.deadline = None if timeout is None else now + timeout
        return waits_for

    def _parse(self) -> bool:
        """Take complete messages out of the buffer, one job's worth; return whether there is anything to do."""
        try:
            while len(self._messages) < _BATCH and self._parse_one():
                pass
        except ProtocolError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  a mistake in parse() ends this connection, not the worker
            self._log_failure("reading a message", error)
            self._error = error
        return bool(self._messages) or self._error is not None

    def _parse_one(self) -> bool:
        protocol, buffer = self.protocol, self._buffer
        before = len(buffer)
        message = protocol.parse(buffer) if buffer else None
        if (before - len(buffer) if message is not None else len(buffer)) > protocol.limit:
            raise ProtocolError(f"a message is longer than {protocol.limit} bytes")
        if message is None:
            return False
        if len(buffer) == before:
            raise RuntimeError("parse() returned a message and took nothing out of the buffer")
        self._messages.append(message)
        return True

    # -- answering -----------------------------------------------------------------------------------------------

    def _answer_all(self) -> bool:
        """Answer the messages with one send; return whether that failed. This is the job."""
        messages, self._messages = self._messages, []
        answers = bytearray()
        failed = False
        for message in messages:
            try:
                answers += self.answer(message) or b""
            except ProtocolError as error:
                self._error = error
                break
            except BaseException as error:  # noqa: BLE001  SystemExit too: it cannot end the server that it runs in
                self._log_failure("answering", error)
                self._error = error if isinstance(error, Exception) else RuntimeError(summary(error))
                failed = True
                break
            if self._ending:
                break
        try:
            if answers:
                self._outbox.write((memoryview(answers),))
        except Disconnected:
            self._outbox.close()
            self._ending = True
        return failed

    def _after_job(self, now: float) -> Next:
        return self._flush(now) if self._outbox.size else self._go_on(now)

    def _flush(self, now: float) -> Next:
        before = self._outbox.size
        if not self._outbox.flush():
            if self._phase != _FLUSH or self._outbox.size < before:
                self._phase = _FLUSH
                self.deadline = now + self.protocol.write_timeout
            return Next.WRITE
        return self._go_on(now)

    def _go_on(self, now: float) -> Next:
        """All answers are sent: take the next messages, if they are here already."""
        if self._error is not None:
            return self._refuse(now)
        if self._ending:
            return self._linger(now)
        self._phase, self._waiting_for, self.deadline = _READ, None, None
        return Next.AGAIN if self._parse() or self._leaving else self._await(now)

    # -- ending --------------------------------------------------------------------------------------------------

    def _refuse(self, now: float) -> Next:
        """Say the last word and close."""
        error, self._error = self._error, None
        assert error is not None  # noqa: S101  callers know it
        self._ending = True
        if isinstance(error, ProtocolError):
            self.protocol.log.info("Closed the connection with %s: %s", peer_name(self.stream), error)
        try:
            word = self.protocol.last_word(error)
        except Exception as mistake:  # noqa: BLE001  then there is none, and the connection ends all the same
            self._log_failure("saying the last word", mistake)
            word = b""
        if word:
            self._outbox.write((word,))
        return self._flush(now)

    def _linger(self, now: float) -> Next:
        if self._phase != _LINGER:
            self._phase = _LINGER
            self.deadline = now + LINGER_FOR
            self.stream.shut_write()
        return read_away(self.stream)

    def _log_failure(self, doing: str, error: BaseException) -> None:
        self.protocol.log.error(
            "Error %s for %s\n%s%s", doing, peer_name(self.stream), user_frames(error), summary(error)
        )


_Step = Callable[[MessageConnection, float], Next]

_STEPS: tuple[_Step, ...] = (
    MessageConnection._read,
    MessageConnection._after_job,
    MessageConnection._flush,
    MessageConnection._linger,
)

# What drain() answers in a phase; in ANSWER nobody asks, or the job waits already.
_WAITS_FOR: tuple[Next, ...] = (Next.AGAIN, Next.RUN, Next.WRITE, Next.READ)
