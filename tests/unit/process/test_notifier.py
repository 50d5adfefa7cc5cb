"""What systemd is told, read from a socket like its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerkit.process.attachment import WorkerStatus
from workerkit.process.loop import EventLoop
from workerkit.process.systemd import Notifier


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """An arbiter with two workers, of which one is ready."""

    pid = os.getpid()
    reloading = False
    requests = 7

    def status(self) -> list[WorkerStatus]:
        ready = WorkerStatus("default", 0, 0, 11, 1, "ready", self.requests, 0)
        return [ready, ready.replace(number=1, slot=1, state="booting", requests=0)]


class Manager:
    """The other end: systemd's."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address.replace("@", "\0"))

    def heard(self) -> list[list[str]]:
        """Return what has been said since the last time, message by message."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


STATUS = "STATUS=1 workers ready, 7 requests finished by them"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = f"@workerkit-notify-{os.getpid()}"
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield manager
    manager.close()


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop(Clock())
    loop.open()
    yield loop
    loop.close()


def notifier(manager: Manager, loop: EventLoop, **more: str) -> Notifier:
    """Return one that is attached, and has said its first words."""
    made = Notifier.take({"NOTIFY_SOCKET": manager.address, **more})
    assert made is not None
    made.attach(Server(), loop)  # type: ignore[arg-type]
    return made


def pass_time(loop: EventLoop, seconds: float) -> None:
    loop.clock.now += seconds  # type: ignore[attr-defined]
    loop.turn(until=0.0)


def test_the_life_of_a_service(manager: Manager, loop: EventLoop) -> None:
    """Ready, reloading with the time at which it began, ready again, stopping."""
    told = notifier(manager, loop)
    told.on_ready()
    told.on_reloading()
    told.on_reloaded(None)
    told.on_stopping()
    told.detach()

    assert manager.heard() == [
        [STATUS],
        ["READY=1", STATUS],
        ["RELOADING=1", "MONOTONIC_USEC=1000000000", "STATUS=Reloading"],
        ["READY=1", STATUS],
        ["STOPPING=1", STATUS.replace("=", "=Stopping. ")],
    ]


def test_a_reload_that_is_given_up_is_told_with_its_reason(manager: Manager, loop: EventLoop) -> None:
    """The service is ready, with the old code; a reason of several lines stays in one value."""
    told = notifier(manager, loop)
    told.on_reloaded("no such\nmodule")
    told.detach()

    assert manager.heard()[1] == ["READY=1", STATUS.replace("=", "=Reload given up: no such module. ")]


def test_the_status_is_told_when_it_has_changed(manager: Manager, loop: EventLoop) -> None:
    """Every ten seconds it is looked at, and nothing is said twice."""
    told = notifier(manager, loop)
    pass_time(loop, 10)
    assert manager.heard() == [[STATUS]]

    told._server.requests = 8
    pass_time(loop, 10)
    assert manager.heard() == [[STATUS.replace("7", "8")]]
    told.detach()


def test_the_watchdog_is_patted_twice_as_often_as_it_asks(manager: Manager, loop: EventLoop) -> None:
    """As long as the loop turns."""
    told = notifier(manager, loop, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    pass_time(loop, 1.4)
    assert manager.heard() == [[STATUS], ["WATCHDOG=1"]]

    pass_time(loop, 0.1)
    pass_time(loop, 1.5)
    assert manager.heard() == [["WATCHDOG=1"]] * 2
    told.detach()


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}])
def test_a_watchdog_that_watches_somebody_else(manager: Manager, loop: EventLoop, more: dict[str, str]) -> None:
    """It is patted only if it was set for this process."""
    told = notifier(manager, loop, **more)
    pass_time(loop, 5)
    told.detach()

    assert manager.heard() == [[STATUS]]


def test_a_successor_speaks_for_itself(manager: Manager, loop: EventLoop) -> None:
    """Once another process is the service, this one's end is not the service's."""
    told = notifier(manager, loop)
    told.on_succeeded(4711)
    told.on_stopping()
    pass_time(loop, 10)
    told.detach()

    assert manager.heard() == [[STATUS], ["MAINPID=4711"]]


def test_the_variables_are_removed() -> None:
    """Workers, and what the application starts, cannot speak for the service."""
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}

    assert Notifier.take(environ) is not None
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_an_address_that_is_none_of_ours(address: str) -> None:
    """Without a Unix socket, nobody is told."""
    assert Notifier.take({"NOTIFY_SOCKET": address}) is None


def test_nobody_listens(tmp_path: Path, loop: EventLoop) -> None:
    """A service manager that is gone is no reason not to serve."""
    told = Notifier(str(tmp_path / "gone"))
    told.attach(Server(), loop)  # type: ignore[arg-type]
    told.on_ready()
    told.forget()
    told.on_stopping()
    told.detach()
