"""``/held`` waits cooperatively for a byte of the named pipe GATE; ``/blocked`` holds the hub up until one comes."""

from __future__ import annotations

import cooperates
import holds_at_gate


def app(environ, start_response):
    if environ["PATH_INFO"] == "/blocked":
        environ["PATH_INFO"] = "/held"
        return holds_at_gate.app(environ, start_response)
    return cooperates.app(environ, start_response)
