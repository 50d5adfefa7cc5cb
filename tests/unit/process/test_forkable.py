"""What keeps a process from being forked from."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from workerkit.process.fork import fork
from workerkit.process.forkable import obstacle, open_sockets, prevent_refork


def told_in_a_child(ask: Callable[[], str | None]) -> str:
    """Return what a process of its own answers."""
    reader, writer = os.pipe()
    pid = fork(lambda: os.write(writer, (ask() or "nothing").encode()) and 0)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        told = answer.read()
    os.waitpid(pid, 0)
    return told


def test_a_plain_process_can_be_forked_from() -> None:
    """Neither the sockets that it had before nor its files are in the way."""
    ends = socket.socketpair()
    assert told_in_a_child(lambda: obstacle(open_sockets())) == "nothing"
    for end in ends:
        end.close()


def test_a_connection_is_an_obstacle() -> None:
    """What was connected since then would be shared by processes that know nothing of each other."""

    def ask() -> str | None:
        before = open_sockets()
        ends = socket.socketpair()
        try:
            return obstacle(before)
        finally:
            for end in ends:
                end.close()

    assert told_in_a_child(ask).startswith("the application holds 2 connection(s) open")


def test_a_thread_is_an_obstacle() -> None:
    """One that goes on is counted."""

    def ask() -> str | None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return obstacle(open_sockets())

    assert told_in_a_child(ask).startswith("it runs 2 threads")


def test_a_thread_that_ends_is_none() -> None:
    """One that was told to end has a moment to do so."""

    def ask() -> str | None:
        end = threading.Event()
        threading.Thread(target=lambda: end.wait(0.1)).start()
        return obstacle(open_sockets())

    assert told_in_a_child(ask) == "nothing"


def test_an_application_can_forbid_it() -> None:
    """Its reason is the one that is told."""

    def ask() -> str | None:
        prevent_refork("a device is open")
        return obstacle(open_sockets())

    assert told_in_a_child(ask) == "a device is open"
