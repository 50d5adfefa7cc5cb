"""One server under measurement: started on a free port, waited for, ended by its number."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from benchmarks.measure import session_members
from benchmarks.processes import ROOT, spawn

HOST = "127.0.0.1"
READY_SECONDS = 20.0
_STOP_SECONDS = 10.0
_RETRY_SECONDS = 0.0005


class ServerError(Exception):
    """A server did not come up, or went away while measured; the message ends with its last words."""


class Server:
    """A running server. Use it as a context manager: leaving it ends the whole process tree."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], started: float) -> None:
        self.name = name
        self.port = port
        self._process = process
        self._started = started
        self._output: list[tuple[float, str]] = []
        self._said_more = threading.Condition()
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    @classmethod
    def start(
        cls,
        name: str,
        argv: Callable[[int], list[str]],
        cores: frozenset[int],
        folder: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> Self:
        """Start what `argv(port)` names on the given cores; does not wait for it."""
        port = _free_port()
        started = time.monotonic()
        return cls(name, port, spawn(argv(port), cores, folder=folder, variables=variables), started)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    def wait_ready(self, path: str = "/") -> float:
        """Ask until the first answer of 200; return the seconds since the start.

        Raises:
            ServerError: it ended, or there was no such answer in time.
        """
        deadline = self._started + READY_SECONDS
        with _pidfd(self.pid) as death:
            while time.monotonic() < deadline:
                if _answers(self.port, path):
                    return time.monotonic() - self._started
                if select.select([death], [], [], _RETRY_SECONDS)[0]:
                    break
        raise ServerError(f"it gave no answer\n{self.last_words()}")

    def check_alive(self) -> None:
        """Raise ServerError if it is gone."""
        if self._process.poll() is not None:
            raise ServerError(f"it ended with {self._process.returncode}\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of what it printed."""
        return "\n".join([line for _, line in self._output if line][-5:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait_line(self, pattern: str, since: float, timeout: float) -> tuple[float, re.Match[str]]:
        """Wait for an output line that matches and came after `since`; return when it came, and the match.

        Raises:
            ServerError: none came within `timeout` seconds.
        """

        def find() -> tuple[float, re.Match[str]] | None:
            fresh = ((at, re.search(pattern, line)) for at, line in self._output if at > since)
            return next(((at, match) for at, match in fresh if match), None)

        with self._said_more:
            found = self._said_more.wait_for(find, timeout)
        if found is None:
            raise ServerError(f"it did not say {pattern!r} in {timeout:g} s\n{self.last_words()}")
        return found

    def stop(self) -> None:
        """End the server: TERM to its root, then KILL to whatever is left of its session."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        for pid in session_members(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)
        self._reader.join(_STOP_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._said_more:
                self._output.append((time.monotonic(), line.decode(errors="replace").rstrip()))
                self._said_more.notify_all()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, path: str) -> bool:
    """Ask once; a refusal or a reset only means that it is too early."""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((HOST, port), timeout=READY_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(4096).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
