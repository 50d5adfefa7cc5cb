"""Messages between the arbiter and its processes, over a real socketpair."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork
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
from workerkit.testing.deadline import DEADLINE

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

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
    with socket.socket(fileno=os.dup(theirs.fileno())) as raw:
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


def test_descriptors_that_nobody_takes_are_closed_with_the_channel(pair: tuple[Channel, Channel]) -> None:
    """A child that closes what is its parent's keeps nothing of what its parent has only just received."""
    ours, theirs = pair
    reader, writer = os.pipe()
    ours.send(ForkWorker(0, 0, 1, False), (writer,))
    os.close(writer)
    theirs.receive()
    theirs.close()

    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_channel_goes_on_elsewhere(pair: tuple[Channel, Channel]) -> None:
    """Its descriptors are another end of the line, with all that the first one could do."""
    ours, theirs = pair
    again = Channel.of(*map(os.dup, theirs.fds))
    theirs.close()
    again.send(Ready())

    assert ours.receive() == [Ready()]
    assert len(again.fds) == 2
    again.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has signals for pipes")
@pytest.mark.parametrize("user", ["the same", pytest.param("another", marks=ROOT)])
def test_a_process_dies_with_its_arbiter(user: str) -> None:
    """It is killed when the arbiter ends, even when that is killed itself, although it is stuck and another user."""
    reader, writer = os.pipe()

    def arbiter() -> int:
        ours, theirs = Channel.pair()

        def worker() -> int:
            ours.close()
            assert theirs.die_with_peer()
            if user == "another":
                os.setresuid(65534, 65534, 65534)
            os.write(writer, b"%d" % os.getpid())
            return sum(range(1 << 62))

        fork(worker)
        theirs.close()
        signal.pause()
        return 0

    pid = fork(arbiter)
    end = os.pidfd_open(int(os.read(reader, 20)))

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert wait_for(end, READ, DEADLINE), "the worker lives on"
    for fd in (end, reader, writer):
        os.close(fd)


def test_an_arbiter_that_is_gone_already_is_noticed(pair: tuple[Channel, Channel]) -> None:
    """What happened before the kernel was asked for a signal has sent none, so one looks."""
    ours, theirs = pair
    ours.close()

    child = fork(lambda: 9 if theirs.die_with_peer() else 7)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
