"""What a worker class offers to a request for another protocol, and how its protocol learns that it leaves."""

from __future__ import annotations

import importlib
import socket
import sys
from typing import Any

import pytest
from crew import Crew, http, say_path

from workerkit.net.address import TCPAddress
from workerkit.net.stream import Stream
from workerkit.net.upgrade import Upgrade
from workerkit.process.messages import Drain, Quit, ReopenLogs
from workerkit.workers.base import Worker


class Calls(Worker):
    """Runs what ends by itself."""

    jobs = frozenset({"call"})

    def run(self) -> None:
        """Nothing is run here."""


class Dialogues(Calls):
    """Runs what may stay."""

    jobs = frozenset({"call", "dialogue"})


def offers(worker_class: type[Worker], *, upgrade: str = "websocket", **fields: str) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environ = {
            "REQUEST_METHOD": "GET",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "",
            "HTTP_CONNECTION": "Upgrade",
            "HTTP_UPGRADE": upgrade,
            **fields,
        }
        stream = Stream(ours, "", TCPAddress("127.0.0.1", 80), lambda *_: None)
        return worker_class.upgrade_environ(environ, Upgrade(stream, None, lambda: b""))


def class_of(name: str) -> type[Worker]:
    """Return a class of ours; importing its module imports no library."""
    module, _, attribute = name.partition(":")
    found: type[Worker] = getattr(importlib.import_module(f"workerkit.workers.{module}"), attribute)
    return found


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("sync:SyncWorker", set()),
        ("threaded:ThreadedWorker", {"gunicorn.socket"}),
        ("eventlet:EventletWorker", {"gunicorn.socket", "eventlet.input"}),
    ],
)
def test_what_our_classes_offer(name: str, keys: set[str]) -> None:
    """A socket where dialogues are run, and what the users of a library expect."""
    assert offers(class_of(name)).keys() == keys


def test_a_class_offers_a_socket_if_it_runs_dialogues() -> None:
    """Classes of other people need do nothing for that."""
    assert offers(Calls).keys() == set()
    assert offers(Dialogues).keys() == {"gunicorn.socket"}


def test_gevent_without_gevent_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that package is not installed, its key is missing, which is how libraries notice."""
    from workerkit.workers import gevent_websocket

    monkeypatch.setitem(sys.modules, "geventwebsocket.exceptions", None)
    monkeypatch.setattr(gevent_websocket, "_handshake_class", gevent_websocket._handshake_class.__wrapped__)

    assert offers(class_of("gevent:GeventWorker")).keys() == {"gunicorn.socket"}


def test_gevent_offers_another_protocol_the_socket_alone() -> None:
    """Only a WebSocket request finds a WebSocket."""
    worker_class = class_of("gevent:GeventWorker")

    assert offers(worker_class, upgrade="h2c").keys() == {"gunicorn.socket"}


def test_the_protocol_is_told_before_the_order_is_carried_out(crew: Crew) -> None:
    """An order to drain marks the protocol; other messages do not, and a new worker begins unmarked."""
    serve = http(say_path)
    serve().leaving = True
    worker = Dialogues(crew.context(serve=serve))
    worker.boot()
    protocol = worker.protocol
    assert protocol is not None
    assert not protocol.leaving

    crew.send(ReopenLogs())
    worker.receive_order()
    assert not protocol.leaving
    crew.send(Drain(last=False, hand_over=False))
    worker.receive_order()
    assert protocol.leaving


def test_a_quick_stop_tells_nobody(crew: Crew) -> None:
    """At an order to quit there is no time for good-byes."""
    worker = Dialogues(crew.context(serve=http(say_path)))
    worker.boot()
    crew.send(Quit())
    worker.receive_order()

    assert worker.protocol is not None
    assert not worker.protocol.leaving
