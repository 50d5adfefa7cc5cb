"""Answers ``/held`` with its pid once the named pipe in the variable GATE gives a byte; all else at once."""

from __future__ import annotations

import os


def app(environ, start_response):
    if environ["PATH_INFO"] == "/held":
        environ["wsgi.errors"].write("held at the gate\n")
        with open(os.environ["GATE"], "rb", buffering=0) as gate:
            gate.read(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
