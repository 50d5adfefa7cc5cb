"""Fixtures of the protocols' tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from conversation import Conversation, Talk
from http1_peer import Clock, Connect, Peer, hello, make_protocol

from workerkit.net.protocol import Protocol
from workerkit.wsgi.gateway import Application


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Begin conversations that are closed when the test is over."""
    begun: list[Conversation] = []

    def begin(protocol: Protocol) -> Conversation:
        begun.append(Conversation(protocol))
        return begun[-1]

    yield begin
    for conversation in begun:
        conversation.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect a client to an application."""
    peers: list[Peer] = []

    def make(application: Application = hello, **options: Any) -> Peer:
        clock = Clock()
        peers.append(Peer(make_protocol(application, clock, **options), clock))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()
        peer.socket.close()


@pytest.fixture(autouse=True)
def propagated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest see the error log, whatever logs other tests have made."""
    log = logging.getLogger("workerkit.error")
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.DEBUG)
