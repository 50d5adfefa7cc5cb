"""A function over a stream: when it is called, how it is told to end, and what becomes of what it raises."""

from __future__ import annotations

import logging

import pytest
from conversation import Talk

from workerkit.errors import ConfigError, DeadlineExceeded, Disconnected, ProtocolError
from workerkit.net.protocol import Next, Service
from workerkit.net.stream import Stream
from workerkit.protocols.dialogue import Dialogue, dialogue
from workerkit.protocols.endings import LINGER_FOR


def echo(stream: Stream) -> None:
    for line in stream.lines():
        stream.write(line.upper())


def service(served: object) -> Service:
    return Service(served, "talks:talk", "threaded", 1, True, lambda _options: None, logging.getLogger("told"), None)


def test_it_is_run_at_once_and_closed_when_it_returns(talk: Talk) -> None:
    """The function is called without waiting for the peer's first byte; the end of its input is the end."""
    conversation = talk(dialogue(lambda stream: stream.write(b"hello\n")))

    assert conversation.connection.advance(0.0) is Next.RUN
    assert conversation.advance() is Next.READ
    assert conversation.received() == b"hello\n"
    assert conversation.has_ended()
    assert conversation.jobs == [False]


def test_it_reads_and_writes(talk: Talk) -> None:
    """Lines that the peer has sent are answered, and the peer's end ends the dialogue at once."""
    conversation = talk(dialogue(echo))
    conversation.send(b"one\ntwo")
    conversation.socket.shutdown(1)

    assert conversation.advance() is Next.CLOSE
    assert conversation.received() == b"ONE\nTWO"


def test_its_job_is_a_dialogue() -> None:
    """Worker classes that run calls only can tell."""
    assert Dialogue(echo).job == "dialogue"


def test_the_job_waits_until_somebody_takes_it(talk: Talk) -> None:
    """A connection that is looked at again before its job was taken still has it."""
    connection = talk(dialogue(echo)).connection

    assert [connection.advance(0.0), connection.advance(1.0)] == [Next.RUN, Next.RUN]


def test_drain_ends_the_input(talk: Talk) -> None:
    """A dialogue that is told to leave still reads what has arrived, and then the end."""
    conversation = talk(dialogue(echo))
    conversation.send(b"last words\n")

    assert conversation.connection.drain(0.0) is Next.AGAIN
    assert conversation.advance() is Next.CLOSE
    assert conversation.received() == b"LAST WORDS\n"
    assert conversation.jobs == [False]


def test_what_is_unread_does_not_destroy_the_last_words(talk: Talk) -> None:
    """Our side is closed first, and what the peer still sends is read away for a moment."""
    conversation = talk(dialogue(lambda stream: stream.write(b"bye\n")))
    conversation.send(b"but wait")

    assert conversation.advance() is Next.READ
    assert conversation.connection.deadline == conversation.now + LINGER_FOR
    assert conversation.received() == b"bye\n"
    conversation.send(b"more")
    assert conversation.advance() is Next.READ
    assert conversation.connection.expire(conversation.now) is Next.CLOSE


def test_closing_the_stream_leaves_the_descriptor_to_the_worker(talk: Talk) -> None:
    """``stream.close()`` in a dialogue ends both directions; the worker still finds the connection by its number."""
    conversation = talk(dialogue(lambda stream: stream.close()))
    descriptor = conversation.stream.fileno()

    assert conversation.advance() is Next.CLOSE
    assert conversation.stream.fileno() == descriptor
    assert conversation.has_ended()


@pytest.mark.parametrize("error", [Disconnected("gone"), DeadlineExceeded("late")])
def test_a_peer_that_leaves_is_no_failure(talk: Talk, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """Disconnected and DeadlineExceeded end the connection with a line for debugging only."""

    def raise_it(stream: Stream) -> None:
        raise error

    conversation = talk(dialogue(raise_it))
    conversation.advance()

    assert conversation.jobs == [False]
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, f"The dialogue with 192.0.2.7 ended: {error}")


def test_a_deadline_of_its_own(talk: Talk) -> None:
    """A function that waits past ``stream.deadline`` is ended without being a failure."""
    conversation = talk(dialogue(lambda stream: stream.read()))

    assert conversation.advance() is Next.READ
    assert conversation.jobs == [False]


def test_a_peer_that_breaks_the_rules_is_no_failure(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    """ProtocolError is one line for information: no client can fill the log with tracebacks."""

    def refuse(stream: Stream) -> None:
        raise ProtocolError("a line is too long")

    conversation = talk(dialogue(refuse))
    conversation.advance()

    assert conversation.jobs == [False]
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.INFO,
        "Closed the dialogue with 192.0.2.7: a line is too long",
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("by nought"), SystemExit(3)])
def test_anything_else_is_a_failure(talk: Talk, caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    """It is logged with the user's own frames, none of ours, and counted; a SystemExit ends no worker."""

    def fail(stream: Stream) -> None:
        raise error

    conversation = talk(dialogue(fail))
    conversation.advance()

    assert conversation.jobs == [True]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "in fail" in record.getMessage()
    assert "dialogue.py" not in record.getMessage().replace("test_dialogue.py", "")
    assert record.getMessage().endswith(f"{type(error).__name__}: {error}")


def test_a_reset_while_it_ends(talk: Talk) -> None:
    """A connection that is reset while it lingers is closed."""
    conversation = talk(dialogue(lambda stream: None))
    conversation.send(b"unread")
    conversation.advance()
    conversation.stream.socket.close()

    assert conversation.connection.advance(0.0) is Next.CLOSE


def test_it_is_made_of_what_is_served() -> None:
    """As a plugin it takes a function, and refuses nothing and coroutine functions with the reason."""

    async def speak(stream: Stream) -> None:
        """Never awaited."""

    assert Dialogue.serving(service(echo)).handle is echo
    with pytest.raises(ConfigError, match="nothing to serve"):
        Dialogue.serving(service(None))
    with pytest.raises(ConfigError, match="talks:talk is a coroutine function; a dialogue is a plain one"):
        Dialogue.serving(service(speak))
