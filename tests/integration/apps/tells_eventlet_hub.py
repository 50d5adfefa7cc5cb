"""Answers with the module of eventlet's hub, after having slept on it."""

from __future__ import annotations

import time

from eventlet import hubs


def app(environ, start_response):
    time.sleep(0.001)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(hubs.get_hub()).__module__.encode()]
