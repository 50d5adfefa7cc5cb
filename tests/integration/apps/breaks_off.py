"""Raises after the first part of its body was sent."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"some"
    raise RuntimeError("broken off")
