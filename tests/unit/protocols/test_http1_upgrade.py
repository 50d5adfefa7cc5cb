"""An HTTP/1.1 connection that its application takes, and what a leaving worker tells a request."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from http1_peer import LOG, Clock, Connect, Environ, Peer, StartResponse, get, hello, make_protocol, post

from workerkit.net.protocol import Next
from workerkit.net.upgrade import Upgrade
from workerkit.wsgi.gateway import Application

UPGRADE = get("/", "Connection: Upgrade", "Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def offer(_environ: Environ, upgrade: Upgrade) -> Environ:
    return {"gunicorn.socket": upgrade.socket}


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect clients to an application that finds a socket."""
    peers: list[Peer] = []

    def make(application: Application = hello, **options: Any) -> Peer:
        clock = Clock()
        peers.append(Peer(make_protocol(application, clock, upgrade_environ=offer, **options), clock))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()
        peer.socket.close()


def says_hello(environ: Environ, _start_response: StartResponse) -> list[bytes]:
    """Switch, greet, read one message and leave, as a WebSocket handler does."""
    taken = environ["gunicorn.socket"]
    taken.sendall(SWITCHED + b"hello")
    environ["got"] = taken.recv(99)
    taken.sendall(environ["got"])
    raise StopIteration


def test_the_application_speaks_alone(connect: Connect) -> None:
    """The client gets the application's bytes and then the end; what it sent early is the application's to read."""
    peer = connect(says_hello)
    peer.send(UPGRADE + b"early")
    peer.drive()

    assert peer.receive() == SWITCHED + b"hello" + b"early"
    assert peer.at_end
    assert peer.failed == [False]


def test_its_last_words_are_not_lost(connect: Connect) -> None:
    """After the application, the connection reads away what the client still sends, so that it is not reset."""
    peer = connect(says_hello)
    peer.send(UPGRADE + b"early")
    peer.drive()
    peer.send(b"good-bye")

    assert peer.drive() is Next.READ
    assert not peer.closed
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.drive() is Next.CLOSE
    assert peer.receive() == SWITCHED + b"hello" + b"early"


def test_whoever_still_reads_there_is_woken(connect: Connect) -> None:
    """A library's thread that waits on its own descriptor sees the end when the connection is closed."""
    kept: list[Any] = []

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        kept.append(environ["gunicorn.socket"])
        kept[0].sendall(SWITCHED)
        return []

    peer = connect(application)
    peer.send(UPGRADE)
    assert peer.drive() is Next.READ
    peer.carry_out(peer.connection.expire(peer.clock() + 2.0))

    assert peer.closed
    assert kept[0].recv(1) == b""


def test_a_body_that_was_buffered_does_not_hinder(connect: Connect) -> None:
    """The connection can be taken once the request is complete, its body included."""

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(environ["wsgi.input"].read())
        return []

    peer = connect(application)
    peer.send(post(b"body", "Connection: Upgrade", "Upgrade: websocket"))
    peer.drive()

    assert peer.receive() == b"body"


def test_a_body_that_still_comes_does(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """While HTTP is still being read, the connection cannot be taken: the application is told, the client gets 500."""

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(b"mine")
        return []

    peer = connect(application, request_buffer=4)
    with caplog.at_level(logging.ERROR, LOG.name):
        [reply] = peer.ask(post(b"longer than that", "Connection: Upgrade", "Upgrade: websocket"))

    assert reply.status == 500
    assert "cannot be taken" in caplog.text


def test_an_offer_that_nobody_takes_changes_nothing(connect: Connect) -> None:
    """The request is answered and the connection kept, as if it had not asked."""
    peer = connect(hello)

    assert [reply.body for reply in peer.ask(UPGRADE, get())] == [b"hello", b"hello"]
    assert not peer.at_end


def test_an_error_after_the_switch_sends_nothing(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A handler's error is logged and counted; no page of it goes into the other protocol's bytes."""

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(SWITCHED)
        raise ValueError("mine")

    peer = connect(application)
    peer.send(UPGRADE)
    with caplog.at_level(logging.ERROR, LOG.name):
        peer.drive()

    assert peer.receive() == SWITCHED
    assert peer.failed == [True]
    assert "ValueError: mine" in caplog.text


# -- a worker that leaves --


def leave(peer: Peer) -> None:
    """Do what a worker does when it is ordered to leave."""
    peer.protocol.leaving = True
    peer.connection.drain(peer.clock())


def test_callbacks_are_called_in_order_and_once(connect: Connect) -> None:
    """A request that runs when the order comes hears of it; drained again, it does not."""
    calls: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for name in ("first", "second"):
            environ["workerkit.on_drain"](lambda name=name: calls.append(name))
        assert calls == []
        leave(peer)
        leave(peer)
        return hello(environ, start_response)

    peer = connect(application)
    [reply] = peer.ask(get())

    assert calls == ["first", "second"]
    assert (reply.body, reply.headers["connection"]) == (b"hello", "close")


def test_a_request_that_begins_later_is_told_at_once(connect: Connect) -> None:
    """Where the worker leaves already, the callback is called when it is given."""
    calls: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["workerkit.on_drain"](lambda: calls.append("told"))
        calls.append("given")
        return hello(environ, start_response)

    peer = connect(application)
    peer.drive()
    leave(peer)
    peer.ask(get())

    assert calls == ["told", "given"]


def test_a_request_that_has_ended_is_not_told(connect: Connect) -> None:
    """Callbacks go with their request, also on a connection that stays."""
    calls: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["workerkit.on_drain"](lambda: calls.append("told"))
        return hello(environ, start_response)

    peer = connect(application)
    peer.ask(get())
    leave(peer)

    assert calls == []


def test_a_busy_worker_does_not_leave(connect: Connect) -> None:
    """A worker that only wants the connection to end after this response tells nobody that it leaves."""
    calls: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["workerkit.on_drain"](lambda: calls.append("told"))
        peer.connection.drain(peer.clock())
        return hello(environ, start_response)

    peer = connect(application)
    peer.ask(get())

    assert calls == []


def test_a_callback_that_fails_is_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """One that raises keeps neither the next one nor the worker from going on."""
    calls: list[str] = []

    def fail() -> None:
        raise ValueError("mine")

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["workerkit.on_drain"](fail)
        environ["workerkit.on_drain"](lambda: calls.append("next"))
        leave(peer)
        return hello(environ, start_response)

    peer = connect(application)
    with caplog.at_level(logging.ERROR, LOG.name):
        [reply] = peer.ask(get())

    assert calls == ["next"]
    assert reply.status == 200
    assert "ValueError: mine" in caplog.text


def test_a_taken_socket_reads_the_end(connect: Connect) -> None:
    """After the callbacks the reading side is shut: what has arrived is read, then the end; sending goes on."""
    received: list[bytes] = []

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        taken = environ["gunicorn.socket"]
        taken.sendall(SWITCHED)
        environ["workerkit.on_drain"](lambda: taken.sendall(b"going away"))
        leave(peer)
        received.extend([taken.recv(99), taken.recv(99)])
        taken.sendall(b"!")
        return []

    peer = connect(application)
    peer.send(UPGRADE + b"early")
    peer.drive()

    assert received == [b"early", b""]
    assert peer.receive() == SWITCHED + b"going away!"


def test_a_socket_that_is_taken_from_a_leaving_worker_is_at_its_end(connect: Connect) -> None:
    """A client that comes at the last moment is not kept either."""
    received: list[bytes] = []

    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        received.append(environ["gunicorn.socket"].recv(99))
        return []

    peer = connect(application)
    leave(peer)
    peer.send(UPGRADE)
    peer.drive()

    assert received == [b""]
