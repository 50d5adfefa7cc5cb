"""Slow clients, on an injected clock: what they have is a timeout, and what their bytes are worth."""

from __future__ import annotations

import pytest
from http1_peer import MEGABYTE, START, Connect, Peer, chunked, echo, get, hello, parts, post, replies

from workerkit.net.poller import READ, WRITE
from workerkit.net.protocol import Next
from workerkit.protocols.http1.pace import Pace

# -- the rule --


def test_a_byte_is_worth_its_time_at_the_least_rate() -> None:
    """At 100 bytes a second, a byte puts the deadline off by 10 ms."""
    pace = Pace.of(10.0, 100)

    assert pace.go_on(pace.begin(START), 1, START + 5.0) == pytest.approx(START + 10.01)


def test_haste_is_not_saved_up() -> None:
    """However much came at once, the next byte must come within one timeout."""
    pace = Pace.of(10.0, 100)

    assert pace.go_on(pace.begin(START), MEGABYTE, START + 5.0) == START + 15.0


def test_any_rate_will_do() -> None:
    """With a rate of 0, each byte buys a whole timeout."""
    pace = Pace.of(10.0, 0)

    assert pace.go_on(START + 0.1, 1, START) == START + 10.0


# -- bodies --


def drip_until_expired(peer: Peer, every: float, byte: bytes = b"x") -> float:
    """Send a byte now and then, as a worker that looks at deadlines sees it; return how long that was borne."""
    began = peer.clock.now
    peer.drive()
    while (left := peer.time_left) is not None and left > 0:
        peer.send(byte)
        peer.drive()
        peer.clock.now += every
        assert peer.clock.now < began + 3600.0, "it is borne for ever"
    peer.carry_out(peer.connection.expire(peer.clock()))
    return peer.clock.now - began


@pytest.mark.parametrize("every", [0.01, 1.0, 29.0])
def test_a_dripping_head_has_one_timeout(connect: Connect, every: float) -> None:
    """However often another byte of a head comes, all of it must come within head_timeout."""
    peer = connect(head_timeout=20.0)
    peer.send(b"GET / HTTP/1.1\r\nX: ")

    assert drip_until_expired(peer, every) <= 20.0 + every
    assert replies(peer.receive())[0].status == 408


@pytest.mark.parametrize("every", [0.1, 1.0, 29.0])
@pytest.mark.parametrize("request_head", [post(b"x" * MEGABYTE)[:-MEGABYTE], chunked()[:-5] + b"fffff\r\n"])
def test_a_dripping_body_has_little_more_than_one_timeout(connect: Connect, request_head: bytes, every: float) -> None:
    """A body below body_min_rate ends after body_timeout and what its bytes are worth, by 408."""
    peer = connect(echo, body_timeout=30.0)
    peer.send(request_head)

    assert drip_until_expired(peer, every) < 32.0 + every
    assert replies(peer.receive())[0].status == 408
    assert Next.RUN not in peer.steps


def test_a_body_at_the_least_rate_has_all_the_time_in_the_world(connect: Connect) -> None:
    """A client that keeps up body_min_rate is never ended."""
    peer = connect(echo, body_timeout=5.0, body_min_rate=1000)
    body = b"x" * 200_000
    request = post(body)
    for start in range(0, len(request), 1000):
        peer.send(request[start : start + 1000])
        peer.drive()
        assert peer.time_left is None or peer.time_left > 0
        peer.clock.now += 1.0

    assert replies(peer.receive())[0].body == body


def test_a_dripping_stream_is_ended(connect: Connect) -> None:
    """A body that the application reads as it comes has as little time, and the client is told by 408."""
    peer = connect(echo, request_buffer=10, body_timeout=30.0)

    def a_byte_a_second() -> None:
        peer.clock.now += 1.0
        if peer.waits[-1] != (READ, None) and (peer.waits[-1][1] or 0.0) <= peer.clock.now:
            raise TimeoutError
        peer.send(b"x")

    peer.plan = [a_byte_a_second] * 29
    peer.send(post(b"x" * 1000)[:-1000])
    peer.drive()

    assert replies(peer.receive())[0].status == 408
    last = peer.waits[-1][1]
    assert last is not None
    assert last < START + 31.0, "a byte now and then bought time"


def test_an_application_that_takes_its_time_costs_the_client_none(connect: Connect) -> None:
    """While the application does not read, the client's time does not pass."""
    seen: list[float] = []

    def slow(environ, start_response):  # type: ignore[no-untyped-def]  # an application
        for _ in range(5):
            environ["wsgi.input"].read(10)
            peer.clock.now += 100.0
        return hello(environ, start_response)

    peer = connect(slow, request_buffer=10, body_timeout=30.0)
    peer.sends_when_awaited(*[b"x" * 10] * 5)
    peer.send(post(b"x" * 50)[:-50])
    peer.drive()

    seen += [deadline for _, deadline in peer.waits if deadline is not None]
    assert replies(peer.receive())[0].status == 200
    assert [round(deadline - START) for deadline in seen] == [30, 130, 230, 330, 430]


# -- responses --


def sip_until_expired(peer: Peer, size: int, every: float) -> float:
    began = peer.clock.now
    step = peer.drive()
    assert step is Next.WRITE
    while (left := peer.time_left) is not None and left > 0:
        assert peer.socket.recv(size), "it ended by itself"
        peer.clock.now += every
        peer.carry_out(peer.connection.advance(peer.clock()))
        assert peer.clock.now < began + 7200.0, "it is borne for ever"
    return peer.clock.now - began


@pytest.mark.parametrize("every", [1.0, 29.0])
def test_a_sipping_reader_has_little_more_than_one_timeout(connect: Connect, every: float) -> None:
    """A client that takes a byte just before each deadline is given up all the same."""
    peer = connect(parts(b"x" * 8 * MEGABYTE), write_timeout=30.0)
    peer.send(get())

    assert sip_until_expired(peer, 1, every) < 40.0 + every
    assert peer.carry_out(peer.connection.expire(peer.clock())) is Next.CLOSE


def test_what_the_kernel_got_rid_of_counts(connect: Connect) -> None:
    """A reader from whom the kernel has not yet asked for more is not given up while it takes what the kernel has."""
    peer = connect(parts(b"x" * 8 * MEGABYTE), write_timeout=30.0)
    peer.send(get())
    peer.drive()
    peer.clock.now += 30.0
    took = len(peer.socket.recv(60_000))

    assert took
    assert peer.carry_out(peer.connection.expire(peer.clock())) is Next.WRITE
    assert peer.time_left is not None
    assert peer.time_left > 10.0


def test_a_reader_who_takes_nothing_is_given_up_inside_the_job(connect: Connect) -> None:
    """Past response_buffer the application waits, for no longer than write_timeout."""
    peer = connect(parts(*[b"x" * MEGABYTE] * 8), write_timeout=30.0, response_buffer=MEGABYTE)
    peer.send(get())

    assert peer.drive() is Next.CLOSE
    assert peer.waits[-1] == (WRITE, START + 30.0)


def test_a_reader_who_sips_is_given_up_inside_the_job(connect: Connect) -> None:
    """A byte now and then buys no time there either."""
    peer = connect(parts(*[b"x" * MEGABYTE] * 8), write_timeout=30.0, response_buffer=MEGABYTE)

    def sip() -> None:
        peer.clock.now += 1.0
        peer.socket.recv(1)

    peer.plan = [sip] * 29
    peer.send(get())

    assert peer.drive() is Next.CLOSE
    assert all(deadline is not None and deadline < START + 40.0 for _, deadline in peer.waits)
