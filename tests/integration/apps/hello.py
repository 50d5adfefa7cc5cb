"""Says hello; also the answer to ``hello:greet("name")``."""

from __future__ import annotations


def application(environ, start_response):
    body = b"Hello, world!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def greet(name="you", *, times=1):
    body = " ".join([f"Hello, {name}!"] * times).encode() + b"\n"

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return app


number = 42
