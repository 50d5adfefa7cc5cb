"""Spawns a greenlet while it is imported, and tells whether it has run in the process that answers."""

from __future__ import annotations

import os

import gevent
from gevent.event import Event

ran_in: list[int] = []
ran = Event()


def keep_running():
    while True:
        ran_in.append(os.getpid())
        if len(ran_in) > 2:
            ran.set()
        gevent.sleep(0.01)


gevent.spawn(keep_running)


def app(environ, start_response):
    ran.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a greenlet ran in this process" if os.getpid() in ran_in else b"it ran elsewhere"]
