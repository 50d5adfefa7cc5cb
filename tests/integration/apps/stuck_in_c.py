"""Calls a C function that sleeps for a minute without giving the interpreter's lock back."""

from __future__ import annotations

import ctypes

SAID = b"stuck in C now\n"


def app(environ, start_response):
    c = ctypes.PyDLL(None)
    write, sleep = c.write, c.sleep
    # Said from within C too: print() would let other threads go on until this one is back.
    write(2, SAID, len(SAID))
    sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"awake"]
