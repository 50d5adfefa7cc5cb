"""What `benchmarks.apps` does, under the same names, for servers that speak ASGI only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.apps import FILE, FILE_BYTES, GREETING, STREAM_PIECE, STREAM_PIECES, WAIT_SECONDS

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def hello(_scope: Message, _receive: Receive, send: Send) -> None:
    await _plain(send, GREETING)


async def waiting(_scope: Message, _receive: Receive, send: Send) -> None:
    await asyncio.sleep(WAIT_SECONDS)
    await _plain(send, GREETING)


async def upload(_scope: Message, receive: Receive, send: Send) -> None:
    pieces = [await receive()]
    while pieces[-1].get("more_body"):
        pieces.append(await receive())
    body = b"".join(piece.get("body", b"") for piece in pieces)
    await _plain(send, b"%d" % len(body))


async def stream(_scope: Message, _receive: Receive, send: Send) -> None:
    await _start(send, "application/octet-stream", len(STREAM_PIECE) * STREAM_PIECES)
    for number in range(1, STREAM_PIECES + 1):
        await send({"type": "http.response.body", "body": STREAM_PIECE, "more_body": number < STREAM_PIECES})


async def file(_scope: Message, _receive: Receive, send: Send) -> None:
    """Read the file at once: ASGI has no `wsgi.file_wrapper` that every server knows."""
    await _start(send, "application/octet-stream", FILE_BYTES)
    with open(FILE, "rb") as opened:  # noqa: ASYNC230 - it is in the page cache, and a thread would cost more
        await send({"type": "http.response.body", "body": opened.read()})


async def _plain(send: Send, body: bytes) -> None:
    await _start(send, "text/plain", len(body))
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, content_type: str, length: int) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
