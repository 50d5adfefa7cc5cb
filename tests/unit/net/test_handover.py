"""The queue of idle connections, with real sockets."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from workerkit.net.address import Address, TCPAddress, UnixAddress
from workerkit.net.handover import HandedOver, Handover


@pytest.fixture
def handover() -> Iterator[Handover]:
    made = Handover()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end of a connection and the worker's."""
    client, worker = socket.socketpair()
    with client, worker:
        worker.setblocking(False)
        yield client, worker


def handed_over(worker: socket.socket, **facts: Any) -> HandedOver:
    known = HandedOver(worker, ("192.0.2.7", 4711), TCPAddress("127.0.0.1", 8000), "module:Class", b"\x00\xff", 12.5)
    return known._replace(**facts)


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("192.0.2.7", 4711), TCPAddress("127.0.0.1", 8000)),
        (("2001:db8::7", 4711, 0, 2), TCPAddress("::1", 8000)),
        ("", UnixAddress("/run/app\udcff.sock")),
        ("/tmp/client", UnixAddress("@abstract")),
    ],
)
def test_what_is_known_of_a_connection_travels_with_it(
    handover: Handover, pair: tuple[socket.socket, socket.socket], peer: object, local: Address
) -> None:
    """Peer, listener, state and deadline arrive as they were sent, of every kind of address."""
    sent = handed_over(pair[1], peer=peer, local=local)
    assert handover.send(sent)
    received = handover.receive()

    with received.socket:
        assert received[1:] == sent[1:]


def test_the_connection_goes_on(handover: Handover, pair: tuple[socket.socket, socket.socket]) -> None:
    """What a client sends while its connection is in the queue is read by whoever takes it, without blocking."""
    client, worker = pair
    assert handover.send(handed_over(worker))
    worker.close()
    client.sendall(b"late")

    with handover.receive().socket as taken:
        assert taken.recv(10) == b"late"
        assert not taken.getblocking()
        assert not os.get_inheritable(taken.fileno())
        taken.sendall(b"answered")
    assert client.recv(10) == b"answered"


def test_an_empty_queue_says_so(handover: Handover) -> None:
    """Who finds nothing to take is told as by accept(2)."""
    with pytest.raises(BlockingIOError):
        handover.receive()


def test_a_full_queue_takes_nothing(handover: Handover, pair: tuple[socket.socket, socket.socket]) -> None:
    """When nobody takes them, sending ends with a plain no, and goes on once there is room."""
    sent = 0
    while handover.send(handed_over(pair[1])):
        sent += 1
    assert sent > 50

    for _ in range(sent):
        handover.receive().socket.close()
    assert handover.send(handed_over(pair[1]))


def test_what_does_not_fit_stays(handover: Handover, pair: tuple[socket.socket, socket.socket]) -> None:
    """A state that is too long, or a peer that has no spelling, is not sent at all."""
    assert not handover.send(handed_over(pair[1], state=b"x" * 20_000))
    assert not handover.send(handed_over(pair[1], peer=b"\0abstract"))

    with pytest.raises(BlockingIOError):
        handover.receive()


def test_without_a_free_descriptor_nothing_is_lost(
    handover: Handover, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Who has no room for a descriptor leaves the connection in the queue."""
    assert handover.send(handed_over(pair[1]))
    lowest_free = os.dup(0)
    os.close(lowest_free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        with pytest.raises(OSError) as raised:
            handover.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert raised.value.errno == errno.EMFILE
    handover.receive().socket.close()


def test_another_arbiter_has_the_same_queue(pair: tuple[socket.socket, socket.socket]) -> None:
    """What is in the queue survives the one who made it, in the hands of who inherited its descriptors."""
    first = Handover()
    assert first.send(handed_over(pair[1]))
    second = Handover.from_fds([os.dup(fd) for fd in first.fds()])
    first.close()

    assert second is not None
    second.receive().socket.close()
    second.close()


def test_who_inherits_nothing_makes_one() -> None:
    """An arbiter whose predecessor had no queue begins with one of its own."""
    made = Handover.from_fds([])

    assert made is not None
    made.close()
