"""Holds jobs inside the server until the test lets them go on.

A job that meets the gate connects to it and waits for a byte: a thread blocks there, a greenlet yields. So the test
knows that the job has come so far, decides when it goes on, and needs no guess about time.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from workerkit.testing.deadline import DEADLINE


class Held:
    """One job that waits."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(DEADLINE)
        self._socket = connected

    def release(self) -> None:
        """Let it go on."""
        self._socket.sendall(b".")
        self.close()

    def close(self) -> None:
        """Let it go on without a word; again is harmless."""
        self._socket.close()


class Gate:
    """Where jobs wait. ``port`` is what they are told: ``/held?gate=PORT``."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(DEADLINE)
        self.port: int = self._listener.getsockname()[1]
        self._held: list[Held] = []

    def wait_for_job(self) -> Held:
        """Wait until one more job has come; raise TimeoutError if none does."""
        held = Held(self._listener.accept()[0])
        self._held.append(held)
        return held

    def wait_for_jobs(self, count: int) -> list[Held]:
        """Wait until so many jobs wait at the same time."""
        return [self.wait_for_job() for _ in range(count)]

    def close(self) -> None:
        """Let nobody wait any more."""
        for held in self._held:
            held.close()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pass_gate(port: int) -> None:
    """Wait at a test's gate; called by a job."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as gate:
        gate.settimeout(None)
        gate.recv(1)
