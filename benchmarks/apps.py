"""The applications that the measured servers run; imported by every server, so it imports next to nothing."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

GREETING = b"Hello, world!"
SLOW_SECONDS = 2.0
STREAM_PIECE = b"x" * 16384
STREAM_PIECES = 64

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def hello(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer at once with 13 bytes."""
    return _plain(start_response, GREETING)


def sometimes_slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer `/slow` after two seconds of blocking, everything else at once."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW_SECONDS)
    return _plain(start_response, GREETING)


def waiting(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer after 10 ms of blocking, as a database would make it."""
    time.sleep(0.01)
    return _plain(start_response, GREETING)


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole body, answer with its length."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return _plain(start_response, b"%d" % len(body))


def stream(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with 1 MiB in pieces of 16 KiB, its length announced."""
    length = str(len(STREAM_PIECE) * STREAM_PIECES)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", length)])
    return (STREAM_PIECE for _ in range(STREAM_PIECES))


def _plain(start_response: StartResponse, body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi_hello(
    _scope: Environ,
    _receive: Callable[[], Awaitable[Environ]],
    send: Callable[[Environ], Awaitable[None]],
) -> None:
    """`hello` for a server that speaks ASGI only."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(GREETING))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": GREETING})
