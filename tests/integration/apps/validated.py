"""Uses every way to answer that WSGI knows, with the standard library's validator around it."""

from __future__ import annotations

import tempfile
from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]
PIECE = b"0123456789abcdef" * 64
PIECES = 50


def pages(environ, start_response):
    return {
        "/fixed": fixed,
        "/echo": echo,
        "/lines": lines,
        "/stream": stream,
        "/write": write,
        "/file": file,
        "/nothing": nothing,
        "/late-error": late_error,
    }[environ["PATH_INFO"]](environ, start_response)


def fixed(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
    return [b"fixed"]


def echo(environ, start_response):
    body = b"".join(iter(lambda: environ["wsgi.input"].read(10_000), b""))
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def lines(environ, start_response):
    first = environ["wsgi.input"].readline()
    others = list(environ["wsgi.input"])
    start_response("200 OK", PLAIN)
    return [first, *others]


class Stream:
    """An iterator whose closing is seen in the log."""

    def __init__(self, errors):
        self.errors = errors
        self.pieces = iter([PIECE] * PIECES)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        print("stream closed", file=self.errors, flush=True)


def stream(environ, start_response):
    start_response("200 OK", PLAIN)
    return Stream(environ["wsgi.errors"])


def write(environ, start_response):
    send = start_response("200 OK", PLAIN)
    send(b"written, ")
    send(b"then ")
    return [b"returned"]


def file(environ, start_response):
    content = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    content.write(PIECE * PIECES)
    content.seek(0)
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(PIECE) * PIECES))])
    # The validator wants an iterator whose class it can wrap; the server's wrapper is one.
    return environ["wsgi.file_wrapper"](content, 4096)


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def late_error(environ, start_response):
    import sys

    start_response("200 OK", PLAIN)
    try:
        raise ValueError("noticed in time")
    except ValueError:
        start_response("500 Internal Server Error", PLAIN, sys.exc_info())
    return [b"sorry"]


app = validator(pages)
