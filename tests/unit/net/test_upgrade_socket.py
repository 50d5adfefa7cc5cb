"""The socket that an application takes: a second descriptor of its connection."""

from __future__ import annotations

import copy
import gc
import os
import socket
from collections.abc import Iterator

import pytest

from workerkit.errors import ApplicationError
from workerkit.net.address import TCPAddress
from workerkit.net.stream import Stream
from workerkit.net.upgrade import OnFirstUse, Upgrade


@pytest.fixture
def stream() -> Iterator[Stream]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield Stream(ours, theirs, TCPAddress("127.0.0.1", 80), lambda *_: None)
    ours.close()
    theirs.close()


def upgrade_of(stream: Stream, early: bytes = b"") -> Upgrade:
    return Upgrade(stream, None, lambda: early)


def client_of(stream: Stream) -> socket.socket:
    return stream.peer  # type: ignore[no-any-return]


def test_it_is_a_blocking_socket_of_the_same_connection(stream: Stream) -> None:
    """What is taken is a socket.socket that blocks, with a descriptor of its own."""
    taken = upgrade_of(stream).take()
    taken.sendall(b"to the client")

    assert isinstance(taken, socket.socket)
    assert taken.fileno() != stream.fileno()
    assert taken.getblocking()
    assert os.get_blocking(taken.fileno())
    assert client_of(stream).recv(99) == b"to the client"


def test_it_is_of_the_class_that_a_library_has_patched_in(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is the one that socket.socket is when the socket is taken, not when our module was imported."""

    class Patched(socket.socket):
        """What a greenlet library would put there."""

    monkeypatch.setattr(socket, "socket", Patched)

    assert isinstance(upgrade_of(stream).take(), Patched)


def test_taking_it_again_gives_the_same(stream: Stream) -> None:
    """However often an application asks, there is one socket."""
    upgrade = upgrade_of(stream)

    assert upgrade.take() is upgrade.take()
    assert upgrade.socket.fileno() == upgrade.take().fileno()


def test_what_came_early_is_received_first(stream: Stream) -> None:
    """Bytes that arrived with the request come before what the kernel holds, in pieces as small as asked for."""
    client_of(stream).sendall(b"late")
    taken = upgrade_of(stream, b"early").take()

    assert taken.recv(2, socket.MSG_PEEK) == b"ea"
    assert [taken.recv(2) for _ in range(3)] == [b"ea", b"rl", b"y"]
    assert taken.recv(99) == b"late"


def test_what_came_early_is_received_into_a_buffer(stream: Stream) -> None:
    """recv_into, by which files made from sockets read, has the early bytes too."""
    client_of(stream).sendall(b"late")
    taken = upgrade_of(stream, b"early").take()
    buffer = bytearray(9)

    assert (taken.recv_into(buffer, 3), buffer[:3]) == (3, b"ear")
    with taken.makefile("rb") as file:
        assert file.read(6) == b"lylate"


def test_the_stream_is_not_blocking_again_after_the_end(stream: Stream) -> None:
    """Both descriptors share that flag, and the worker's poller must never block."""
    upgrade = upgrade_of(stream)
    upgrade.take()
    upgrade.end()

    assert stream.recv(1) is None


def test_the_end_comes_after_the_connections(stream: Stream) -> None:
    """A worker that quits closes connections under their jobs; that is no error of the job."""
    upgrade = upgrade_of(stream)
    upgrade.take()
    stream.close()

    upgrade.end()


def test_what_is_to_happen_at_the_end(stream: Stream) -> None:
    """Callbacks are called once, the last first, whether the connection was taken or not."""
    calls: list[str] = []
    upgrade = upgrade_of(stream)
    upgrade.at_end(lambda: calls.append("first"))
    upgrade.at_end(lambda: calls.append("second"))
    upgrade.end()
    upgrade.end()

    assert calls == ["second", "first"]


def test_a_dropped_socket_is_closed_without_a_warning(stream: Stream) -> None:
    """Applications leave it to the server to close the connection, as with other servers they had to."""
    fd = upgrade_of(stream).take().fileno()
    gc.collect()

    with pytest.raises(OSError):
        os.fstat(fd)


def test_what_cannot_be_taken(stream: Stream) -> None:
    """Where the exchange has gone too far, whoever uses the socket is told, and nothing was taken."""

    def too_late() -> bytes:
        raise ApplicationError("too late")

    upgrade = Upgrade(stream, None, too_late)
    with pytest.raises(ApplicationError, match="too late"):
        upgrade.socket.fileno()
    assert not upgrade.taken


def test_looking_is_no_use(stream: Stream) -> None:
    """A debugger that prints or copies the environ takes nothing; the first attribute does."""
    upgrade = upgrade_of(stream)
    offered = upgrade.socket
    repr(offered)
    copy.copy(offered)
    copy.deepcopy({"gunicorn.socket": OnFirstUse(object)})
    assert not hasattr(offered, "__wrapped__")
    assert bool(offered)
    assert not upgrade.taken

    offered.getpeername()
    assert upgrade.taken


def test_it_is_made_once() -> None:
    """What stands for an object makes it at its first use and keeps it."""
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return "text"

    stand_in = OnFirstUse(make)
    assert (stand_in.upper(), stand_in.title()) == ("TEXT", "Text")
    assert len(made) == 1
