"""Applications and plugins that misbehave: the client can tell, and the worker goes on."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Launcher
from workers import classes_for


def test_a_close_delimited_body_that_breaks_off_is_a_reset(serve: Launcher) -> None:
    """To a client of HTTP/1.0 a closed connection would mean that the body is complete, so it sees an error."""
    server = serve("breaks_off:app", tracebacks=True)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.read_response()

    assert server.workers(), "the worker lives on"


BROKEN_PROTOCOL = """
import sys

import workerkit
from workerkit import Connection, Next, Protocol

worker_class, fault = sys.argv[1:]


def fail(where):
    raise RuntimeError(f"{where} is broken")


class BrokenConnection(Connection):
    __slots__ = ("word",)

    def advance(self, now):
        self.word = self.stream.recv(100)
        if self.word == b"advance":
            fail("advance")
        if self.word == b"expire":
            self.deadline = now
            return Next.READ
        if self.word == b"drain":
            self.stream.send([b"waits"])
            return Next.READ
        return Next.IDLE if self.word is None else Next.RUN if self.word else Next.CLOSE

    def take(self):
        if self.word == b"job":
            fail("job")
        return self.answer

    def answer(self):
        self.stream.send([self.word])

    def expire(self, now):
        fail("expire")

    def drain(self, now):
        if fault == "drain":
            fail("drain")
        return Next.CLOSE

    def close(self):
        if fault == "close":
            fail("close")


class Broken(Protocol):
    to_break = 2

    def connect(self, stream):
        if fault == "connect" and self.to_break:
            self.to_break -= 1
            fail("connect")
        return BrokenConnection(stream)


workerkit.run(Broken(), bind="127.0.0.1:0", worker_class=worker_class, signals=True)
"""


@pytest.mark.parametrize("fault", ["connect", "advance", "job", "expire", "drain", "close"])
@pytest.mark.parametrize("worker_class", classes_for("call"))
def test_a_broken_protocol_costs_its_connection_and_not_the_worker(
    tmp_path: Path, worker_class: str, fault: str
) -> None:
    """What a protocol of somebody else's raises is logged, wherever it raises; the same worker goes on."""
    program = tmp_path / "broken.py"
    program.write_text(BROKEN_PROTOCOL)
    command = [sys.executable, str(program), worker_class, fault]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, contextlib.ExitStack() as clients:
        assert process.stderr is not None
        try:
            port = next(int(match[1]) for line in process.stderr if (match := re.search(r":(\d+) \(pid", line)))
            for _ in range(2):
                client = clients.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                if fault != "connect":  # which closes at once: what was unread would make it a reset
                    client.sendall(fault.encode())
                if fault == "close":
                    assert client.recv(10) == b"close"
                    client.shutdown(socket.SHUT_WR)
                if fault == "drain":
                    assert client.recv(10) == b"waits"
                else:
                    assert client.recv(10) == b""
            if fault not in ("drain", "close"):  # which would be broken of this one too
                other = clients.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                other.sendall(b"hello")
                assert other.recv(10) == b"hello"
        finally:
            process.terminate()
        log = process.stderr.read()

    assert process.returncode == 0
    assert log.count(f"\nRuntimeError: {fault} is broken") == 2, log
    assert log.count("Worker ready") == 1, f"the worker had to be replaced\n{log}"
