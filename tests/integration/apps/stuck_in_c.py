"""Calls a C function that sleeps for a minute without giving the interpreter's lock back."""

from __future__ import annotations

import ctypes


def app(environ, start_response):
    print("stuck in C now", file=environ["wsgi.errors"], flush=True)
    ctypes.PyDLL(None).sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"awake"]
