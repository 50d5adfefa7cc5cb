"""Each request takes 30 ms of the processor, and lets nothing else run meanwhile."""

from __future__ import annotations

import time


def app(environ, start_response):
    until = time.thread_time() + 0.03
    while time.thread_time() < until:
        pass
    start_response("200 OK", [("Content-Length", "0")])
    return []
