"""Fixtures of the protocols' tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from conversation import Conversation, Talk

from workerkit.net.protocol import Protocol


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


@pytest.fixture(autouse=True)
def propagated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest see the error log, whatever logs other tests have made."""
    log = logging.getLogger("workerkit.error")
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.DEBUG)
