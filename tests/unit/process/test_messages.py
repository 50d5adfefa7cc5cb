"""Messages between the arbiter and its processes, over a real socketpair."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from workerkit.process.messages import (
    Adopted,
    BecomeMold,
    BootFailed,
    Channel,
    Drain,
    ForkWorker,
    Message,
    Quit,
    Ready,
    ReopenLogs,
    Retiring,
    Signalled,
    Unfit,
)

EVERY_KIND: tuple[Message, ...] = (
    Adopted(4711),
    Ready(),
    BootFailed("no module named 'shop'", '  File "wsgi.py", line 1\n    import shop\n', 4),
    Retiring("100 requests"),
    Signalled(15),
    Drain(last=True, hand_over=False),
    Drain(last=False, hand_over=False),
    Quit(),
    ReopenLogs(),
    ForkWorker(3, 1, 2, True),
    BecomeMold(),
    Unfit("it runs 2 threads"),
)


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(pair: tuple[Channel, Channel], message: Message) -> None:
    """Every kind of message survives the way, type and facts, in both directions."""
    for sender, receiver in (pair, pair[::-1]):
        assert sender.send(message)
        [received] = receiver.receive()
        assert (type(received), received) == (type(message), message)


def test_messages_arrive_in_order(pair: tuple[Channel, Channel]) -> None:
    """What was sent one after the other is received together, oldest first."""
    ours, theirs = pair
    for message in EVERY_KIND:
        ours.send(message)

    assert theirs.receive() == list(EVERY_KIND)


def test_nothing_to_receive_is_no_wait(pair: tuple[Channel, Channel]) -> None:
    """Receiving never blocks, and an open line that is silent has not ended."""
    assert pair[0].receive() == []
    assert not pair[0].ended


def test_half_a_message_waits_for_its_other_half(pair: tuple[Channel, Channel]) -> None:
    """The border of a message is its line end, however the bytes arrive."""
    ours, theirs = pair
    ours.send(Retiring("100 requests"))
    ours.send(Quit())
    with socket.socket(fileno=theirs.detach()) as raw:
        line = raw.recv(1000)
    sender, receiver = socket.socketpair()
    channel = Channel(receiver)

    with sender:
        sender.send(line[:17])
        assert channel.receive() == []
        sender.send(line[17:])
        assert channel.receive() == [Retiring("100 requests"), Quit()]
    channel.close()


def test_the_end_comes_after_the_last_words(pair: tuple[Channel, Channel]) -> None:
    """What a process said before it closed its end is received, and then the line has ended."""
    ours, theirs = pair
    theirs.send(BootFailed("why", "", 3))
    theirs.close()

    assert ours.receive() == [BootFailed("why", "", 3)]
    assert ours.ended


def test_sending_to_nobody_is_harmless(pair: tuple[Channel, Channel]) -> None:
    """A message to a process that is gone is told to have failed, and nothing is raised."""
    ours, theirs = pair
    theirs.close()

    assert not ours.send(Quit())


def test_sending_never_blocks_and_never_tears_a_message(pair: tuple[Channel, Channel]) -> None:
    """A process that has stopped reading costs its messages, and those that went out arrive whole."""
    ours, theirs = pair
    sent = 0
    while ours.send(Retiring("x" * 1000)):
        sent += 1

    assert sent > 10
    assert theirs.receive() == [Retiring("x" * 1000)] * sent


def test_a_descriptor_travels_with_its_message(pair: tuple[Channel, Channel]) -> None:
    """What is sent with a message is received as a descriptor of the same file that no exec inherits."""
    ours, theirs = pair
    reader, writer = os.pipe()
    ours.send(ForkWorker(0, 0, 1, False), (writer,))
    os.close(writer)

    assert theirs.receive() == [ForkWorker(0, 0, 1, False)]
    received = theirs.take_fd()
    os.write(received, b"through")

    assert os.read(reader, 100) == b"through"
    assert not os.get_inheritable(received)
    os.close(received)
    os.close(reader)


def test_a_channel_gives_its_descriptor_away(pair: tuple[Channel, Channel]) -> None:
    """A detached descriptor goes on as somebody else's end of the line."""
    ours, theirs = pair
    again = Channel(socket.socket(fileno=theirs.detach()))
    again.send(Ready())

    assert ours.receive() == [Ready()]
    again.close()
