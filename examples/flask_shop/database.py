"""The shop's database: one sqlite file, one connection for each request."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flask import Flask, current_app, g

SCHEMA = Path(__file__).with_name("schema.sql")


def init_app(app: Flask) -> None:
    """Make sure that the database exists and that each request gives its connection back."""
    create(app.config["DATABASE"])
    app.teardown_appcontext(_close)


def create(path: Path) -> None:
    """Create the database unless it exists; safe when several processes start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # sqlite has no busy handler for the switch to WAL, so a lock file decides who creates.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(SCHEMA.read_text())


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose rows are read by column name and which waits its turn to write."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def current() -> sqlite3.Connection:
    """Return the connection of this request."""
    if "connection" not in g:
        g.connection = connect(current_app.config["DATABASE"])
    return g.connection


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Do everything or nothing; the right to write is taken at once, so that what was read stays true."""
    connection = current()
    connection.execute("BEGIN IMMEDIATE")
    # As a context manager a connection commits, or rolls back when the block raises.
    with connection:
        yield connection


def secret_key(path: Path) -> str:
    """Return the key that signs the sessions, the same for all worker processes."""
    with closing(connect(path)) as connection:
        return connection.execute("SELECT value FROM setting WHERE name = 'secret_key'").fetchone()[0]


def _close(error: BaseException | None) -> None:
    if (connection := g.pop("connection", None)) is not None:
        connection.close()
