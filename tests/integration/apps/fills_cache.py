"""Loads a lot of data with the first request; other requests do what a fork cannot copy."""

from __future__ import annotations

import os
import socket
import threading

import workerkit

filled_by: list[int] = []
_cache: list[bytes] = []
_held: list[object] = []


def app(environ, start_response):
    if not _cache:
        filled_by.append(os.getpid())
        # Not zeros, which the kernel would share anyhow.
        _cache.append(os.urandom(50 << 20))
    match environ["PATH_INFO"]:
        case "/thread":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        case "/connection":
            _held.extend(socket.socketpair())
        case "/prevent":
            workerkit.prevent_refork("a device is open")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
