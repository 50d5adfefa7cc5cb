"""The applications that the measured servers run; imported by every server, so it imports next to nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

GREETING = b"Hello, world!"
SLOW_SECONDS = 2.0
WAIT_SECONDS = 0.01
FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), ".benchmarks", "100-kib")
FILE_BYTES = 100 * 1024
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
    time.sleep(WAIT_SECONDS)
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


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a file of 100 KiB, by the server's own means of sending files where it has one."""
    opened = open(FILE, "rb")  # noqa: SIM115 - whoever sends it closes it
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(FILE_BYTES))])
    if wrapper := environ.get("wsgi.file_wrapper"):
        pieces: Iterable[bytes] = wrapper(opened, len(STREAM_PIECE))
        return pieces
    return _pieces(opened)


def process(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the id of the process that does."""
    return _plain(start_response, b"%d" % os.getpid())


def _pieces(opened: BinaryIO) -> Iterator[bytes]:
    """Yield what a file holds, and close it, as PEP 3333 has servers do it that know no better way."""
    with opened:
        while piece := opened.read(len(STREAM_PIECE)):
            yield piece


def _plain(start_response: StartResponse, body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
