"""Answers with the pid of the worker; ``loaded_by`` is the process that imported this module."""

from __future__ import annotations

import os

loaded_by = os.getpid()


def app(environ, start_response):
    pid = loaded_by if environ["PATH_INFO"] == "/loaded-by" else os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(pid).encode()]
