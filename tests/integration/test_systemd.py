"""The real command as systemd starts it: with sockets that are open already, and somebody to report to."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGTERM, SIGUSR2

import pytest
from harness import DEADLINE, Launcher, Server, wait_for_exit

from workerkit.testing.server import COMMAND

ACTIVATE = """
import fcntl, os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]  # not in the way of 3 and after
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
pid = str(os.getpid())
os.environ.update(LISTEN_PID=pid, LISTEN_FDS=str(len(fds)), WATCHDOG_PID=pid)
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(*sockets: socket.socket) -> tuple[str, ...]:
    """Return what starts the command as systemd would, with these sockets."""
    return (sys.executable, "-c", ACTIVATE, ",".join(str(one.fileno()) for one in sockets), *COMMAND)


class Manager:
    """Hears what the service says, as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)
        self.heard: list[str] = []

    def wait_for(self, line: str) -> str:
        """Wait for a line that begins so, and return its message."""
        while True:
            message = self._socket.recv(4096).decode()
            self.heard += message.split("\n")
            if any(part.startswith(line) for part in message.split("\n")):
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def listening() -> Iterator[list[socket.socket]]:
    """Two sockets that somebody else has opened."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]


def start(serve: Launcher, sockets: list[socket.socket], *arguments: str, **named: object) -> Server:
    fds = [one.fileno() for one in sockets]
    variables = {"LISTEN_FDNAMES": "web:admin"} | dict(named.pop("variables", {}))  # type: ignore[call-overload]
    return serve(*arguments, program=activated(*sockets), pass_fds=fds, variables=variables, **named)


def url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("workers", [1, 0])
def test_passed_sockets_are_served_where_no_address_is_named(
    serve: Launcher, listening: list[socket.socket], workers: int
) -> None:
    """As with gunicorn and uvicorn, a socket unit is enough; whoever waits since before the start is answered."""
    with socket.create_connection(listening[0].getsockname(), DEADLINE) as early:
        early.sendall(b"GET / HTTP/1.0\r\n\r\n")
        server = start(serve, listening, "tells_release:app", bind=None, workers=workers, ready=1)
        assert early.recv(100).startswith(b"HTTP/1.1 200")

    assert set(server.wait_for_addresses(2)) == set(map(url, listening))
    server.stop()


def test_a_socket_is_served_by_its_name(serve: Launcher, listening: list[socket.socket]) -> None:
    """``systemd:admin`` is what ``FileDescriptorName=admin`` names, and no other."""
    server = start(serve, listening, "hello", bind="systemd:admin")

    assert server.wait_for_addresses() == [url(listening[1])]


def test_the_application_sees_nothing_of_it(
    serve: Launcher, listening: list[socket.socket], manager: Manager
) -> None:
    """Neither the variables nor a way to speak for the service."""
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "60000000"}
    server = start(serve, listening, "tells_release:app", bind=None, variables=variables)
    reply = server.fetch("/variables").body.decode()

    assert "HOME" in reply or "PATH" in reply
    assert not any(name in reply for name in ("LISTEN_", "NOTIFY_SOCKET", "WATCHDOG"))


def test_the_service_manager_is_told(serve: Launcher, manager: Manager) -> None:
    """READY when workers serve; RELOADING and READY around a reload; STOPPING; the watchdog all the time."""
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"}
    server = serve("hello", workers=2, variables=variables)
    assert "STATUS=" in manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    manager.wait_for("WATCHDOG=1")
    server.signal(SIGHUP)
    assert "\nMONOTONIC_USEC=" in manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    server.signal(SIGTERM)
    manager.wait_for("STOPPING=1")
    server.wait_for_end(0)


def test_an_upgrade_of_a_service(serve: Launcher, listening: list[socket.socket], manager: Manager) -> None:
    """The new arbiter has systemd's sockets again, and is the service's main process; the old one ends unnoticed."""
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"}
    server = start(serve, listening, "tells_release:app", bind="systemd:web", variables=variables)
    manager.wait_for("READY=1")
    for _ in range(2):
        old = int(server.log.find(r"\[(\d+)\] \[INFO\] Listening")[-1][1])
        os.kill(old, SIGUSR2)
        main = int(manager.wait_for("MAINPID=").partition("=")[2])
        wait_for_exit([old])
        assert main != old
        manager.wait_for("WATCHDOG=1")
        server.fetch("/")

    assert "STOPPING=1" not in manager.heard
    os.kill(main, SIGTERM)
    wait_for_exit([main])
    server.wait_for_end(0)
    assert set(server.wait_for_addresses(3)) == {url(listening[0])}
