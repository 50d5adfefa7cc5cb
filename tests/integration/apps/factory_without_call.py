"""Offers a factory, which has to be called first."""

from __future__ import annotations


def create_app():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"made by the factory"]

    return app
