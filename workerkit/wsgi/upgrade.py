"""The exchange of a request that asks for another protocol: answered like any other, unless the connection is taken.

An application that has taken the connection cannot tell its server so by WSGI's means. Libraries raise, return an
empty list, or let the framework return a response that nobody wants: none of that may reach the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO

from workerkit.net.upgrade import Upgrade
from workerkit.wsgi.exchange import Exchange

WAYS_TO_LEAVE = (StopIteration, ConnectionError)
"""What libraries raise to tell a server that the connection was theirs; the second, also when the client is gone."""


class UpgradeExchange:
    """An exchange that sends nothing any more, once the connection is taken."""

    def __init__(self, exchange: Exchange, upgrade: Upgrade) -> None:
        self.head = exchange.head
        self.body = exchange.body
        self.stream = exchange.stream
        self.job_deadline = exchange.job_deadline
        self._exchange = exchange
        self._upgrade = upgrade

    @property
    def started(self) -> bool:
        """Whether the response's head can no longer be changed."""
        return self._upgrade.taken or self._exchange.started

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        """Answer with a complete body."""
        if not self._upgrade.taken:
            self._exchange.respond(status, fields, data)

    def start(self, status: str, fields: list[tuple[str, str]], length: int | None = None) -> None:
        """Begin a response."""
        if not self._upgrade.taken:
            self._exchange.start(status, fields, length)

    def write(self, data: bytes) -> None:
        """Send a part of its body."""
        if not self._upgrade.taken:
            self._exchange.write(data)

    def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        """Send a part of a file as a part of its body."""
        if not self._upgrade.taken:
            self._exchange.send_file(file, start, count)

    def on_drain(self, callback: Callable[[], object]) -> None:
        """Have something called when the worker leaves."""
        self._exchange.on_drain(callback)

    def early_hints(self, fields: Iterable[tuple[str, str]]) -> None:
        """Send fields of the response before it is made."""
        if not self._upgrade.taken:
            self._exchange.early_hints(fields)

    def hand_over(self) -> bytes:
        """Leave the connection to the application."""
        return self._exchange.hand_over()
