"""What the WSGI gateway needs of a protocol: a request, and ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Protocol

from workerkit.http.request import RequestHead
from workerkit.net.job_deadline import JobDeadline
from workerkit.net.stream import Stream


class Exchange(Protocol):
    """What a gateway needs of a connection that holds a request."""

    head: RequestHead
    body: IO[bytes]
    stream: Stream
    job_deadline: JobDeadline | None
    """When the application must have answered; None: it takes as long as it takes."""

    @property
    def started(self) -> bool:
        """Whether the response's head can no longer be changed."""

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        """Answer with a complete body."""

    def start(self, status: str, fields: list[tuple[str, str]], length: int | None = None) -> None:
        """Begin a response."""

    def write(self, data: bytes) -> None:
        """Send a part of its body."""

    def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        """Send a part of a file as a part of its body."""

    def on_drain(self, callback: Callable[[], object]) -> None:
        """Have something called, once, if the worker is ordered to leave before the request has ended."""

    def early_hints(self, fields: Iterable[tuple[str, str]]) -> None:
        """Send fields of the response before it is made; nothing, if its head has left or the client is of HTTP/1.0.

        Raises:
            ApplicationError: A field breaks HTTP; nothing of it was sent.
        """

    def hand_over(self) -> bytes:
        """Leave the connection to the application, and return what has arrived on it after the request.

        Raises:
            ApplicationError: The response has begun, or the request's body was not read to its end.
        """
