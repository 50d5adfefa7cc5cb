"""The client's end of the control socket: an answer, or one clear error."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workerkit.control.client import ask
from workerkit.errors import ControlError, Unreachable

DEADLINE = 10.0
STATUS = {"command": "status"}

Peer = Callable[[socket.socket], object]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Peer], str]]:
    """Have one client dealt with by a function; returns the path."""
    threads = []
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(DEADLINE)

    def serve(peer: Peer) -> str:
        path = str(tmp_path / "control.sock")
        listener.bind(path)
        listener.listen()

        def meet() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(DEADLINE)
                peer(accepted)

        threads.append(threading.Thread(target=meet))
        threads[0].start()
        return path

    yield serve
    for thread in threads:
        thread.join(DEADLINE)
    listener.close()


def answers(line: bytes) -> Peer:
    def peer(connection: socket.socket) -> None:
        assert connection.recv(1000) == b'{"command": "status"}\n'
        connection.sendall(line)

    return peer


def test_an_answer(serve: Callable[[Peer], str]) -> None:
    """The answer is returned as it came."""
    assert ask(serve(answers(b'{"ok": true, "pid": 1}\n')), STATUS, DEADLINE) == {"ok": True, "pid": 1}


def test_a_refusal(serve: Callable[[Peer], str]) -> None:
    """The server's reason is the error's message."""
    path = serve(answers(b'{"ok": false, "error": "no such thing"}\n'))
    with pytest.raises(ControlError, match=r"^no such thing$") as caught:
        ask(path, STATUS, DEADLINE)

    assert caught.value.exit_code == 1


@pytest.mark.parametrize("line", [b"", b'{"ok": tr', b"hello\n"], ids=["nothing", "half", "no JSON"])
def test_a_server_that_goes_away(serve: Callable[[Peer], str], line: bytes) -> None:
    """Without a whole answer, nobody knows what has become of the request."""
    path = serve(answers(line))
    with pytest.raises(Unreachable, match="went away without an answer") as caught:
        ask(path, STATUS, DEADLINE)

    assert caught.value.exit_code == 5


def test_a_server_that_does_not_listen_to_us(serve: Callable[[Peer], str]) -> None:
    """A refusal is heard though the server has closed without reading what we have to say."""
    path = serve(lambda connection: connection.sendall(b'{"ok": false, "error": "too many"}\n'))
    with pytest.raises(ControlError, match=r"^too many$"):
        ask(path, {"command": "x" * 1_000_000}, DEADLINE)


def test_a_server_that_is_silent(serve: Callable[[Peer], str]) -> None:
    """Patience ends when it should."""
    path = serve(lambda connection: [connection.recv(1000), connection.recv(1000)])
    with pytest.raises(Unreachable, match=r"has not answered within 0\.05 s"):
        ask(path, STATUS, 0.05)


def test_a_server_that_drips(serve: Callable[[Peer], str]) -> None:
    """The time is for the whole answer, not for each piece of it."""
    moments = iter(range(100))

    def drip(connection: socket.socket) -> None:
        connection.recv(1000)
        for _ in range(50):
            try:
                connection.sendall(b" ")
            except OSError:
                return

    path = serve(drip)
    with pytest.raises(Unreachable, match="has not answered within 3 s"):
        ask(path, STATUS, 3, lambda: next(moments))


def test_nobody_was_ever_there(tmp_path: Path) -> None:
    """The error says how there would be a socket."""
    with pytest.raises(Unreachable, match=r"there is no such file; .* --control-socket"):
        ask(str(tmp_path / "none.sock"), STATUS, DEADLINE)


def test_nobody_is_there_any_more(tmp_path: Path) -> None:
    """A socket that a killed server left is told from a missing one."""
    path = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(Unreachable, match="nobody answers there"):
        ask(path, STATUS, DEADLINE)


def test_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says who may."""

    class Forbidden(socket.socket):
        def connect(self, _: object) -> None:
            raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(Unreachable, match="not permitted; whoever runs the server, or root"):
        ask("/run/some.sock", STATUS, DEADLINE)


def test_a_full_queue(tmp_path: Path) -> None:
    """A server that does not even accept is not waited for longer than said."""
    path = str(tmp_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as stuck, socket.socket(socket.AF_UNIX) as one:
        stuck.bind(path)
        stuck.listen(0)
        one.connect(path)
        with pytest.raises(Unreachable, match="too many are asking, or the server is stuck"):
            ask(path, STATUS, 0.05)


def test_a_path_that_cannot_be() -> None:
    """Whatever else the system says is passed on."""
    with pytest.raises(Unreachable, match="path too long"):
        ask("/" + "x" * 200, STATUS, DEADLINE)
