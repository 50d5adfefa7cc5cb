"""Waits the ways that patching makes cooperative, and tells what was patched when it was imported."""

from __future__ import annotations

import sys

imported_early = sorted({"ssl", "http.client"} & sys.modules.keys())

import os  # noqa: E402
import select  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

at_import = [named.__module__ for named in (socket.socket, ssl.SSLContext, time.sleep, threading.Lock, select.select)]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"done"
    if path == "/held":
        wait_at_gate(environ["wsgi.errors"])
    elif path == "/sleep":
        time.sleep(0.05)
    elif path == "/patched":
        body = " ".join([*at_import, *imported_early]).encode()
    elif path == "/hook":
        body = os.environ.get("HOOK_SAW", "nothing").encode()
    elif path == "/subprocess":
        body = subprocess.run(["echo", "from a child"], capture_output=True, check=True).stdout
    elif path == "/resolve":
        body = socket.getaddrinfo("localhost", 80)[0][4][0].encode()
    elif path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/big":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (bytes(65536) for _ in range(512))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def wait_at_gate(errors):
    gate = os.open(os.environ["GATE"], os.O_RDONLY | os.O_NONBLOCK)
    errors.write("held at the gate\n")
    try:
        while not try_to_pass(gate):
            select.select([gate], [], [])
    finally:
        os.close(gate)


def try_to_pass(gate):
    try:
        return os.read(gate, 1)
    except BlockingIOError:
        return b""


def note_what_is_there():
    """Be the ``post_patch`` hook: note whether patching came first, and the application later."""
    os.environ["HOOK_SAW"] = socket.socket.__module__
