"""Connections behind a proxy: the header, once, and then the next conversation."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sockets import arrived

from workerkit.net.address import Address, TCPAddress
from workerkit.net.listener import ListenerOptions
from workerkit.net.prelude import GRACE
from workerkit.net.protocol import Connection, Job, Next
from workerkit.net.proxied import HEADER_WITHIN, ProxyGate
from workerkit.net.refused import Refused
from workerkit.net.stream import Stream

LOG = logging.getLogger("tests.proxied")
LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"
LISTENER = TCPAddress("127.0.0.1", 8000)
PROXY = ("127.0.0.1", 4711)
NOW = 100.0


class Inner(Connection):
    """Remembers what it has heard and what it was asked for."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.deadline = 77.0
        self.heard: list[bytes | None] = []
        self.calls: list[str] = []

    def advance(self, now: float) -> Next:
        self.heard.append(self.stream.recv(100))
        return Next.IDLE

    def take(self) -> Job:
        return lambda: "the job"

    def expire(self, now: float) -> Next:
        self.calls.append("expire")
        return Next.WRITE

    def drain(self, now: float) -> Next:
        self.calls.append("drain")
        return Next.IDLE

    def export(self) -> bytes:
        return b"state"

    def describe_job(self, now: float) -> str:
        return "GET /"

    def close(self) -> None:
        self.calls.append("close")


class Visit:
    """A proxy's end, and the connection that the gate has made of the other."""

    def __init__(self, version: str = "auto", peer: Any = PROXY, allowed: tuple[str, ...] = ("127.0.0.1",)) -> None:
        ours, self.proxy = socket.socketpair()
        ours.setblocking(False)
        self.made: list[Inner] = []
        self.now = NOW
        options = ListenerOptions(proxy_protocol=version, proxy_allow_ips=allowed)
        self.gate = ProxyGate(options, self._connect, LOG, lambda: self.now)
        self.stream = Stream(ours, peer, LISTENER, lambda *_: None)
        self.connection = self.gate.connect(self.stream)

    def _connect(self, stream: Stream) -> Inner:
        self.made.append(Inner(stream))
        return self.made[-1]

    def advance(self, data: bytes = b"") -> Next:
        if data:
            self.proxy.sendall(data)
        return self.connection.advance(self.now)

    @property
    def ends(self) -> tuple[Any, Address]:
        return self.stream.peer, self.stream.local

    def close(self) -> None:
        self.connection.close()
        self.stream.close()
        self.proxy.close()


Come = Callable[..., Visit]


@pytest.fixture
def come() -> Iterator[Come]:
    """Come by a proxy."""
    visits: list[Visit] = []

    def make(*arguments: Any, **named: Any) -> Visit:
        visits.append(Visit(*arguments, **named))
        return visits[-1]

    yield make
    for visit in visits:
        visit.close()


def test_the_client_is_who_the_header_says(come: Come) -> None:
    """Stream and conversation know the client, which is asked at once, and hears what follows the header."""
    visit = come()

    assert visit.advance(LINE + b"hello") is Next.IDLE
    assert visit.ends == (("203.0.113.7", 56324), TCPAddress("192.0.2.1", 443))
    assert visit.made[0].heard == [b"hello"]


def test_a_header_may_come_byte_by_byte(come: Come) -> None:
    """Each byte is taken as it comes, so that no poller reports it twice, and none that follows is lost."""
    visit = come()
    for byte in LINE[:-1]:
        assert visit.advance(bytes([byte])) is Next.READ
        assert arrived(visit.stream.socket) == b""

    assert visit.advance(LINE[-1:] + b"x") is Next.IDLE
    assert visit.made[0].heard == [b"x"]


def test_a_header_is_read_once(come: Come) -> None:
    """A second one is the client's own bytes."""
    visit = come()
    visit.advance(LINE + b"PROXY TCP4 6.6.6.6 192.0.2.1 1 2\r\n")

    assert visit.ends[0] == ("203.0.113.7", 56324)
    assert visit.made[0].heard == [b"PROXY TCP4 6.6.6.6 192.0.2.1 1 2\r\n"]


def test_a_proxys_own_connection_keeps_its_ends(come: Come) -> None:
    """Health checks say LOCAL, or UNKNOWN."""
    visit = come()

    assert visit.advance(b"PROXY UNKNOWN\r\n") is Next.IDLE
    assert visit.ends == (PROXY, LISTENER)


def test_clients_of_one_address_share_it(come: Come) -> None:
    """What is derived from an address may be kept by its identity."""
    visit = come()
    visit.advance(LINE)
    other = Stream(visit.stream.socket, PROXY, LISTENER, lambda *_: None)
    header = LINE.replace(b"203.0.113.7", b"203.0.113.8")
    visit.proxy.sendall(header)
    visit.gate.connect(other).advance(NOW)

    assert other.peer[0] == "203.0.113.8"
    assert other.local is visit.stream.local


def test_what_is_no_header_ends_the_connection(come: Come, caplog: pytest.LogCaptureFixture) -> None:
    """At its first byte, without a conversation; the log says who did not speak the protocol."""
    caplog.set_level(logging.INFO)
    visit = come()

    assert visit.advance(b"G") is Next.CLOSE
    assert visit.made == []
    assert "Refused a connection of 127.0.0.1: it does not begin with a header of the PROXY protocol" in caplog.text


def test_a_connection_that_is_only_tried_is_no_event(come: Come, caplog: pytest.LogCaptureFixture) -> None:
    """Some health checks connect and leave."""
    visit = come()
    visit.proxy.close()

    assert visit.advance() is Next.CLOSE
    assert caplog.text == ""


def test_a_header_must_come_in_time(come: Come, caplog: pytest.LogCaptureFixture) -> None:
    """From the first look on, whatever has come of it."""
    caplog.set_level(logging.INFO)
    visit = come()
    visit.advance(b"PROXY ")
    assert visit.connection.deadline == NOW + HEADER_WITHIN
    visit.now += 5
    visit.advance(b"TCP4")

    assert visit.connection.deadline == NOW + HEADER_WITHIN
    assert visit.connection.expire(visit.now) is Next.CLOSE
    assert "no PROXY header came in time" in caplog.text


@pytest.mark.parametrize(
    ("allowed", "peer", "welcome"),
    [
        (("127.0.0.1",), PROXY, True),
        (("10.0.0.0/8",), PROXY, False),
        (("*",), ("203.0.113.9", 1), True),
        (("unix",), "", True),
        (("127.0.0.1",), "", False),
        ((), PROXY, False),
    ],
)
def test_others_than_proxies_are_turned_away(come: Come, allowed: tuple[str, ...], peer: Any, welcome: bool) -> None:
    """Whether they send a header or not: nothing of theirs is read."""
    visit = come(allowed=allowed, peer=peer)

    assert isinstance(visit.connection, Refused) is not welcome
    assert visit.advance(LINE) is (Next.IDLE if welcome else Next.CLOSE)


def test_those_turned_away_do_not_fill_the_log(come: Come, caplog: pytest.LogCaptureFixture) -> None:
    """One line at once, and after a while one for all the others."""
    visit = come(allowed=())
    for _ in range(50):
        visit.gate.connect(visit.stream)
    visit.now += 11
    visit.gate.connect(visit.stream)

    assert [record.getMessage() for record in caplog.records] == [
        "Closed 1 connections of peers that are not in proxy-allow-ips, the last of 127.0.0.1",
        "Closed 51 connections of peers that are not in proxy-allow-ips, the last of 127.0.0.1",
    ]


def test_behind_the_header_everything_is_the_next_conversations(come: Come) -> None:
    """Jobs, deadlines, drains, the state for a successor, the end."""
    visit = come()
    connection = visit.connection
    assert (connection.export(), connection.describe_job(NOW)) == (None, None)
    visit.advance(LINE)
    [inner] = visit.made

    assert connection.deadline == 77.0
    assert connection.take()() == "the job"
    assert connection.expire(NOW) is Next.WRITE
    assert connection.drain(NOW) is Next.IDLE
    assert (connection.export(), connection.describe_job(NOW)) == (b"state", "GET /")
    connection.close()
    assert inner.calls == ["expire", "drain", "close"]


def test_a_worker_that_leaves_waits_for_a_header_for_a_moment(come: Come) -> None:
    """It may be on its way; the conversation that follows is drained from its beginning."""
    visit = come()
    visit.advance()
    assert visit.connection.drain(NOW) is Next.READ
    assert visit.connection.deadline == NOW + GRACE

    visit.advance(LINE)

    assert visit.made[0].calls == ["drain"]
