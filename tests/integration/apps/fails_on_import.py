"""Cannot be imported: a name is missing two calls deep."""

from __future__ import annotations


def connect():
    return undefined_database  # noqa: F821


def create_app():
    return connect()


app = create_app()
