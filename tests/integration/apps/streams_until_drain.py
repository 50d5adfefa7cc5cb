"""Streams events until its worker leaves, and ends the stream with a last one."""

from __future__ import annotations

import threading


def app(environ, start_response):
    leaving = threading.Event()
    environ["workerkit.on_drain"](leaving.set)
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: hello\n\n"
    leaving.wait()
    yield b"data: good-bye\n\n"
