"""Request and answer in messages: reading, pipelining, slow readers, deadlines, drain, and how it ends."""

from __future__ import annotations

import logging

import pytest
from conversation import START, Talk

from workerkit.errors import ProtocolError
from workerkit.net.protocol import Next
from workerkit.net.stream import Stream
from workerkit.protocols.endings import LINGER_FOR
from workerkit.protocols.messages import _BATCH, MessageConnection, MessageProtocol

DROWN = b"x" * 4_000_000


class Lines(MessageProtocol):
    """Answers each line in capitals; some lines have a meaning of their own."""

    limit = 100

    def parse(self, buffer: bytearray) -> bytes | None:
        if buffer.startswith(b"\0"):
            raise ProtocolError("a line has no NUL")
        if buffer.startswith(b"bug in parse"):
            raise KeyError("parse")
        end = buffer.find(b"\n") + 1
        if not end:
            return None
        line = bytes(buffer[:end])
        if line != b"greedy\n":
            del buffer[:end]
        return line

    def answer(self, line: bytes) -> bytes | None:
        match line:
            case b"hush\n":
                return None
            case b"drown\n":
                return DROWN
            case b"bug\n":
                raise ZeroDivisionError("answer")
            case b"exit\n":
                raise SystemExit(3)
            case b"nonsense\n":
                raise ProtocolError("that is nonsense")
            case b"text\n":
                return "not bytes"  # type: ignore[return-value]  # the mistake that is tested
            case _:
                return line.upper()

    def last_word(self, error: Exception) -> bytes:
        return f"! {error}\n".encode()


def test_a_message_is_answered(talk: Talk) -> None:
    """A complete message is answered, and the connection is idle again."""
    conversation = talk(Lines())

    assert conversation.advance() is Next.IDLE
    assert conversation.exchange(b"one\n") == b"ONE\n"
    assert conversation.advance() is Next.IDLE
    assert conversation.jobs == [False]


def test_a_message_may_come_in_pieces(talk: Talk) -> None:
    """Inside a message the connection is not idle, and no job runs."""
    conversation = talk(Lines())

    assert conversation.exchange(b"o") == b""
    assert conversation.advance() is Next.READ
    assert conversation.exchange(b"ne\ntw") == b"ONE\n"
    assert conversation.exchange(b"o\n") == b"TWO\n"


def test_pipelined_messages_are_one_job_and_one_send(talk: Talk) -> None:
    """What has arrived together is answered together, in order."""
    conversation = talk(Lines())

    assert conversation.exchange(b"one\nhush\ntwo\nthr") == b"ONE\nTWO\n"
    assert conversation.jobs == [False]


def test_a_flood_takes_turns_with_others(talk: Talk) -> None:
    """More messages than one job answers wait for another turn; none is lost."""
    conversation = talk(Lines())
    conversation.send(b"x\n" * (_BATCH + 1))

    assert conversation.advance() is Next.AGAIN
    assert conversation.received() == b"X\n" * _BATCH
    assert conversation.advance() is Next.IDLE
    assert conversation.received() == b"X\n"


def test_the_peer_ends_it(talk: Talk) -> None:
    """The end of input closes the connection once everything complete is answered."""
    conversation = talk(Lines())
    conversation.send(b"one\ntw")
    conversation.socket.shutdown(1)

    assert conversation.advance() is Next.READ
    assert conversation.advance() is Next.CLOSE
    assert conversation.received() == b"ONE\n"


def test_a_slow_reader_is_waited_for(talk: Talk) -> None:
    """What the peer has not taken is queued; nothing more is read from it, and its progress moves the deadline."""
    conversation = talk(Lines())
    conversation.send(b"drown\nnext\n")

    assert conversation.advance() is Next.WRITE
    assert conversation.connection.deadline == START + Lines.write_timeout
    taken = len(conversation.received())
    conversation.now += 5
    assert conversation.advance() is Next.WRITE
    assert conversation.connection.deadline == START + 5 + Lines.write_timeout
    conversation.now += 5
    assert conversation.advance() is Next.WRITE
    assert conversation.connection.deadline == START + 5 + Lines.write_timeout
    while taken < len(DROWN) + len(b"NEXT\n"):
        taken += len(conversation.received())
        conversation.advance()

    assert conversation.advance() is Next.IDLE
    assert conversation.jobs == [False]


def test_a_reader_that_takes_nothing_is_left(talk: Talk) -> None:
    """Past the write timeout the connection is closed."""
    conversation = talk(Lines())
    conversation.send(b"drown\n")
    conversation.advance()

    assert conversation.connection.expire(START + Lines.write_timeout) is Next.CLOSE


def test_idle_connections_end(talk: Talk) -> None:
    """Between messages the idle timeout counts, from the last answer on, and ends it in silence."""
    conversation = talk(Lines())
    conversation.exchange(b"one\n")

    assert conversation.connection.deadline == START + 300
    assert conversation.connection.expire(START + 300) is Next.CLOSE
    assert conversation.received() == b""


def test_idle_for_ever(talk: Talk) -> None:
    """Without an idle timeout there is no deadline between messages."""

    class Patient(Lines):
        idle_timeout = None

    conversation = talk(Patient())
    conversation.exchange(b"one\n")

    assert conversation.connection.deadline is None


def test_a_message_that_drips_is_ended(talk: Talk) -> None:
    """A message has one timeout from its first byte on, however many pieces it comes in; the peer is told."""
    conversation = talk(Lines())
    conversation.exchange(b"o")
    conversation.now += 20
    conversation.exchange(b"n")

    assert conversation.connection.deadline == START + Lines.read_timeout
    assert conversation.connection.expire(conversation.now) is Next.READ
    assert conversation.received() == b"! the message did not arrive in time\n"
    assert conversation.has_ended()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"one\n\0\n", b"ONE\n! a line has no NUL\n"),
        (b"one\nnonsense\ntwo\n", b"ONE\n! that is nonsense\n"),
        (b"one\n" + b"x" * 101, b"ONE\n! a message is longer than 100 bytes\n"),
        (b"x" * 101 + b"\n", b"! a message is longer than 100 bytes\n"),
    ],
)
def test_the_peer_breaks_the_rules(talk: Talk, caplog: pytest.LogCaptureFixture, data: bytes, answer: bytes) -> None:
    """What came before is answered, then the last word is said and the connection closed; that is no failure."""
    conversation = talk(Lines())

    assert conversation.exchange(data) == answer
    assert conversation.has_ended()
    assert conversation.connection.deadline == START + LINGER_FOR
    assert not any(conversation.jobs)
    assert [record.levelno for record in caplog.records] == [logging.INFO]


@pytest.mark.parametrize(
    ("data", "answer", "said", "failures"),
    [
        (b"one\nbug\ntwo\n", b"ONE\n! answer\n", "ZeroDivisionError: answer", [True]),
        (b"text\n", b"! can't concat str to bytearray\n", "TypeError", [True]),
        (b"exit\n", b"! SystemExit: 3\n", "SystemExit: 3", [True]),
        (b"one\nbug in parse", b"ONE\n! 'parse'\n", "KeyError: 'parse'", [False]),
        (b"greedy\n", b"! parse() returned a message and took nothing out of the buffer\n", "RuntimeError", []),
    ],
)
def test_a_bug_ends_the_connection_and_not_the_worker(
    talk: Talk, caplog: pytest.LogCaptureFixture, data: bytes, answer: bytes, said: str, failures: list[bool]
) -> None:
    """It is logged with the user's own frames; a job that raised counts as a failure."""
    conversation = talk(Lines())

    assert conversation.exchange(data) == answer
    assert conversation.has_ended()
    assert conversation.jobs == failures
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert said in record.getMessage()


def test_a_bug_in_the_last_word(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    """There is no last word then, and the connection ends all the same."""

    class Mute(Lines):
        def last_word(self, error: Exception) -> bytes:
            raise LookupError("no words")

    conversation = talk(Mute())

    assert conversation.exchange(b"\0") == b""
    assert conversation.has_ended()
    assert "LookupError: no words" in caplog.text


def test_no_last_word_by_default() -> None:
    """A protocol that says nothing before it closes need not say so."""
    assert MessageProtocol.last_word(Lines(), ProtocolError("anything")) == b""


def test_drain_while_idle(talk: Talk) -> None:
    """An idle connection is closed, after one look at what may have arrived already."""
    conversation = talk(Lines())
    conversation.advance()

    assert conversation.connection.drain(START) is Next.AGAIN
    assert conversation.advance() is Next.READ
    assert conversation.has_ended()


def test_drain_answers_what_has_arrived(talk: Talk) -> None:
    """What was sent before the peer could know is answered; what comes after is not, however busy the peer is."""
    conversation = talk(Lines())
    conversation.advance()
    conversation.send(b"one\n")
    conversation.connection.drain(START)

    assert conversation.advance() is Next.AGAIN
    assert conversation.received() == b"ONE\n"
    conversation.send(b"two\n")
    assert conversation.advance() is Next.READ
    assert conversation.has_ended()


def test_drain_waits_for_a_message_that_has_begun(talk: Talk) -> None:
    """Half a message is read to its end within its deadline, answered, and then the connection closes."""
    conversation = talk(Lines())
    conversation.exchange(b"on")

    conversation.connection.drain(START)
    assert conversation.advance() is Next.READ
    assert conversation.connection.deadline == START + Lines.read_timeout
    assert conversation.exchange(b"e\n") == b"ONE\n"
    assert conversation.has_ended()


def test_drain_while_answers_wait(talk: Talk) -> None:
    """A slow reader gets all of its answers."""
    conversation = talk(Lines())
    conversation.send(b"drown\n")
    conversation.advance()

    assert conversation.connection.drain(START) is Next.WRITE
    taken = 0
    while taken < len(DROWN):
        taken += len(conversation.received())
        conversation.advance()
    while conversation.advance() is Next.AGAIN:
        pass
    assert conversation.has_ended()


def test_a_peer_that_is_gone(talk: Talk) -> None:
    """A peer that left before its answer was made is noticed, and is no failure."""
    conversation = talk(Lines())
    conversation.send(b"drown\n")
    conversation.socket.close()

    assert conversation.advance() is Next.CLOSE
    assert conversation.jobs == [False]


def test_each_connection_may_remember(talk: Talk) -> None:
    """A connection of a subclass keeps what is known of its peer, and may end the conversation."""

    class Session(MessageConnection):
        def __init__(self, stream: Stream, protocol: MessageProtocol) -> None:
            super().__init__(stream, protocol)
            self.seen = 0

        def answer(self, line: bytes) -> bytes:
            self.seen += 1
            if line == b"quit\n":
                self.end()
            return b"%d " % self.seen + (super().answer(line) or b"")

    class Counting(Lines):
        def connect(self, stream: Stream) -> Session:
            return Session(stream, self)

    conversation = talk(Counting())

    assert conversation.exchange(b"one\n") == b"1 ONE\n"
    assert conversation.exchange(b"two\nquit\nthree\n") == b"2 TWO\n3 QUIT\n"
    assert conversation.has_ended()


def test_it_runs_everywhere() -> None:
    """Its jobs are calls, which every worker class runs."""
    assert MessageProtocol.job == "call"


def test_an_idle_conversation_can_go_to_another_worker(talk: Talk) -> None:
    """Between messages nothing need be known of it, and the deadline that is set goes on to hold there."""
    protocol = Lines()
    conversation = talk(protocol)
    assert conversation.exchange(b"word\n") == b"WORD\n"
    assert conversation.connection.export() == b""

    adopted = protocol.adopt(conversation.stream, b"")
    adopted.deadline = START + 7.0
    assert adopted.advance(conversation.now) is Next.IDLE
    assert adopted.deadline == START + 7.0


def test_a_message_that_has_begun_stays(talk: Talk) -> None:
    """A conversation that holds a part of a message cannot go."""
    conversation = talk(Lines())
    conversation.exchange(b"wo")

    assert conversation.connection.export() is None


def test_a_conversation_that_may_know_something_stays(talk: Talk) -> None:
    """A subclass is not let go behind its back, and closes when its worker leaves."""

    class Knows(MessageConnection):
        __slots__ = ()

    class Keeps(Lines):
        def connect(self, stream: Stream) -> MessageConnection:
            return Knows(stream, self)

    protocol = Keeps()
    protocol.hands_over = True
    conversation = talk(protocol)
    conversation.exchange(b"word\n")
    assert conversation.connection.export() is None

    conversation.connection.drain(conversation.now)
    while conversation.advance() is Next.AGAIN:
        pass
    assert conversation.has_ended()


def test_a_conversation_that_will_go_does_not_end(talk: Talk) -> None:
    """While others take idle connections over, to drain one ends nothing."""
    protocol = Lines()
    protocol.hands_over = True
    conversation = talk(protocol)
    conversation.exchange(b"word\n")
    conversation.connection.drain(conversation.now)

    assert conversation.exchange(b"again\n") == b"AGAIN\n"
    assert conversation.advance() is Next.IDLE
