"""How many connections an address may have."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workerkit.net.address import TCPAddress
from workerkit.net.caps import AddressCap
from workerkit.net.protocol import Connection, Job, Next
from workerkit.net.refused import Refused
from workerkit.net.stream import Stream

LOG = logging.getLogger("tests.caps")

Arrive = Callable[[Any], Stream]


class Line(Connection):
    def advance(self, now: float) -> Next:
        return Next.IDLE

    def take(self) -> Job:
        raise AssertionError("nothing is ever announced")


class Now:
    value = 100.0


@pytest.fixture
def arrive() -> Iterator[Arrive]:
    """Make streams of peers."""
    pairs: list[socket.socket] = []

    def make(peer: Any) -> Stream:
        pairs.extend(socket.socketpair())
        return Stream(pairs[-1], peer, TCPAddress("127.0.0.1", 8000), lambda *_: None)

    yield make
    for end in pairs:
        end.close()


@pytest.fixture
def cap() -> AddressCap:
    return AddressCap(2, Line, LOG, lambda: Now.value)


def welcome(cap: AddressCap, stream: Stream) -> bool:
    return not isinstance(cap.connect(stream), Refused)


def test_an_address_has_so_many_and_no_more(cap: AddressCap, arrive: Arrive) -> None:
    """The next one is over before it begins; other addresses are not concerned."""
    assert [welcome(cap, arrive(("192.0.2.7", port))) for port in range(4)] == [True, True, False, False]
    assert welcome(cap, arrive(("192.0.2.8", 1)))
    assert cap.connect(arrive(("192.0.2.7", 9))).advance(0.0) is Next.CLOSE


def test_one_that_ends_makes_room(cap: AddressCap, arrive: Arrive) -> None:
    """Only one that was counted does, and only once."""
    streams = [arrive(("192.0.2.7", port)) for port in range(3)]
    assert [welcome(cap, stream) for stream in streams] == [True, True, False]

    cap.release(streams[2].fileno())
    assert not welcome(cap, arrive(("192.0.2.7", 4)))
    for _ in range(2):
        cap.release(streams[0].fileno())

    assert [welcome(cap, arrive(("192.0.2.7", port))) for port in (5, 6)] == [True, False]


def test_connections_of_another_worker_count_too(cap: AddressCap, arrive: Arrive) -> None:
    """What is handed over is taken, however many there are, and then there is no room for others."""
    taken = [arrive(("192.0.2.7", port)) for port in range(3)]
    assert all(cap.hold(stream) for stream in taken)
    assert not welcome(cap, arrive(("192.0.2.7", 9)))
    for stream in taken:
        cap.release(stream.fileno())

    assert welcome(cap, arrive(("192.0.2.7", 9)))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"), [True, True, False]),
        (("2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"), [True, True, True]),
        (("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"), [True, True, False]),
        (("::ffff:192.0.2.7", "::ffff:192.0.2.8", "::ffff:192.0.2.9"), [True, True, True]),
        (("fe80::1%eth0", "fe80::2%eth0", "fe80::3%eth1"), [True, True, False]),
    ],
)
def test_a_network_of_ipv6_is_one_address(
    cap: AddressCap, arrive: Arrive, hosts: tuple[str, ...], expected: list[bool]
) -> None:
    """One client has 64 bits to choose from; an IPv4 address counts alike however it is written."""
    assert [welcome(cap, arrive((host, 1, 0, 0))) for host in hosts] == expected


def test_unix_sockets_have_no_cap(cap: AddressCap, arrive: Arrive) -> None:
    """All their peers look alike."""
    assert all(welcome(cap, arrive("")) for _ in range(5))


def test_what_is_forgotten_takes_no_room(cap: AddressCap, arrive: Arrive) -> None:
    """A million clients that came and went leave nothing behind."""
    for number in range(300):
        stream = arrive((f"192.0.2.{number % 256}", 1))
        cap.connect(stream)
        cap.release(stream.fileno())

    assert (cap._counts, cap._held) == ({}, {})


def test_those_turned_away_are_counted_and_told_together(
    cap: AddressCap, arrive: Arrive, caplog: pytest.LogCaptureFixture
) -> None:
    """One line at once, then one for many."""
    for port in range(30):
        cap.connect(arrive(("192.0.2.7", port)))
    Now.value += 11
    cap.connect(arrive(("192.0.2.7", 99)))

    text = "Closed {} connections of addresses that have 2 already (connections-per-address), the last of 192.0.2.7"
    assert [record.getMessage() for record in caplog.records] == [text.format(1), text.format(28)]
