"""Readiness polling, on the platform's best primitive and on the portable one."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from workerkit.net import poller
from workerkit.net.poller import READ, WRITE, Poller, make_poller, wait_for


@pytest.fixture(params=["best", "portable"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Poller]:
    if request.param == "portable":
        monkeypatch.setattr(poller, "_epoll", None)
    return make_poller


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_poller_tells_who_is_ready(make: Callable[[], Poller], pair: tuple[socket.socket, socket.socket]) -> None:
    """A descriptor is told when it is ready for what it is watched for, and not before or after."""
    ours, theirs = pair
    polling = make()
    polling.register(ours.fileno(), READ)
    assert list(polling.poll(0)) == []

    theirs.send(b"x")
    assert list(polling.poll(5.0)) == [(ours.fileno(), READ)]

    polling.modify(ours.fileno(), WRITE)
    assert list(polling.poll(5.0)) == [(ours.fileno(), WRITE)]

    polling.unregister(ours.fileno())
    assert list(polling.poll(0)) == []
    polling.close()


def test_waiting_ends_when_it_is_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    """Waiting for one descriptor says whether it became ready in time; a timeout below 0 is none left."""
    ours, theirs = pair
    assert wait_for(ours.fileno(), WRITE, None)
    assert not wait_for(ours.fileno(), READ, 0.001)
    assert not wait_for(ours.fileno(), READ, -1.0)

    theirs.close()

    assert wait_for(ours.fileno(), READ, 5.0)


def test_pollers_survive_monkey_patching() -> None:
    """A library that takes epoll and poll out of ``select`` afterwards does not take them from us."""
    program = (
        "import os, select, workerkit.net.poller as p\n"
        "del select.epoll, select.poll\n"
        "r, w = os.pipe(); os.write(w, b'x')\n"
        "polling = p.make_poller(); polling.register(r, p.READ)\n"
        "assert polling.poll(5.0) == [(r, p.READ)] and p.wait_for(r, p.READ, 5.0)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
