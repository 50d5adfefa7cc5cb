"""Takes the socket of an upgrade and never lets go."""

from __future__ import annotations

import threading


def app(environ, start_response):
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    threading.Event().wait()
