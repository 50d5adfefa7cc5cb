"""Applications and plugins that misbehave: the client can tell, and the worker goes on."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Launcher


def test_a_close_delimited_body_that_breaks_off_is_a_reset(serve: Launcher) -> None:
    """To a client of HTTP/1.0 a closed connection would mean that the body is complete, so it sees an error."""
    server = serve("breaks_off:app", tracebacks=True)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.read_response()

    assert server.workers(), "the worker lives on"


BROKEN_PROTOCOL = """
from workerkit import Connection, Next, Protocol


class BrokenConnection(Connection):
    __slots__ = ("lines",)

    def advance(self, now):
        data = self.stream.recv(100)
        if data is None:
            return Next.IDLE
        if data == b"advance":
            raise RuntimeError("advance is broken")
        return Next.RUN if data else Next.CLOSE

    def take(self):
        raise RuntimeError("job is broken")


class Broken(Protocol):
    def connect(self, stream):
        return BrokenConnection(stream)


import workerkit

workerkit.run(Broken(), bind="127.0.0.1:0", signals=True)
"""


@pytest.mark.parametrize("fault", ["advance", "job"])
def test_a_broken_protocol_costs_its_connection_and_not_the_worker(tmp_path: Path, fault: str) -> None:
    """What a protocol of somebody else's raises is logged; the other connections go on."""
    program = tmp_path / "broken.py"
    program.write_text(BROKEN_PROTOCOL)
    with subprocess.Popen([sys.executable, str(program)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            port = next(int(match[1]) for line in process.stderr if (match := re.search(r":(\d+) \(pid", line)))
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port), 10) as client:
                    client.sendall(fault.encode())
                    assert client.recv(10) == b""
        finally:
            process.terminate()
        log = process.stderr.read()

    assert process.returncode == 0
    assert log.count(f"\nRuntimeError: {fault} is broken") == 2
