"""The kit's server and launcher for the tests of the command: with a real HTTP client, and apps that misbehave."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from workerkit.testing import server as kit
from workerkit.testing.client import RawConnection, Reply
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.processes import is_alive, processes_of_group, wait_for_exit
from workerkit.testing.server import Finished

__all__ = [
    "APPS",
    "DEADLINE",
    "EXAMPLES",
    "Finished",
    "Gate",
    "Launcher",
    "RawConnection",
    "Reply",
    "Server",
    "command_line",
    "environment",
    "is_alive",
    "processes_of_group",
    "run_to_completion",
    "wait_for_exit",
]

APPS = Path(__file__).parent / "apps"
EXAMPLES = Path(__file__).parents[2] / "examples"


class Gate:
    """Holds a request inside the application ``holds_at_gate`` until the test lets it go on."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        os.mkfifo(self.path)
        # Open for both directions: neither side then waits for the other to open its end.
        self._descriptor = os.open(self.path, os.O_RDWR)

    def open(self, what: str = ".") -> None:
        """Let one request go on; ``what`` is for those who read something else than a character."""
        os.write(self._descriptor, what.encode())

    def close(self) -> None:
        os.close(self._descriptor)


def environment(path: Sequence[Path] = (APPS,), variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our own environment without what configures a server, with ``path`` in front of PYTHONPATH."""
    return kit.environment(path, variables)


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command as an installed one would run, by this very interpreter."""
    return [sys.executable, "-m", "workerkit", *arguments]


def run_to_completion(
    *arguments: str, folder: Path, path: Sequence[Path] = (APPS,), variables: Mapping[str, str] | None = None
) -> Finished:
    """Run the command until it ends by itself."""
    return kit.run_to_completion(*arguments, folder=folder, path=path, variables=variables)


class Server(kit.Server):
    """One running command, with a client that does what browsers do."""

    def __init__(self, arguments: Sequence[str], *, path: Sequence[Path] = (APPS,), **named: object) -> None:
        super().__init__(arguments, path=path, **named)

    def client(self, address: str | None = None) -> httpx.Client:
        """Return a real HTTP client with cookies and connections of its own."""
        address = address or self.url
        if address.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=address.removeprefix("unix:"), verify=False)
            return httpx.Client(base_url="http://localhost", transport=transport, timeout=DEADLINE)
        # Nothing here is encrypted, and reading the machine's certificates would take most of a test's time.
        return httpx.Client(base_url=address, timeout=DEADLINE, trust_env=False, verify=False)

    def get(self, target: str) -> httpx.Response:
        """Fetch a target on a connection of its own."""
        with self.client() as client:
            return client.get(target)

    def visit_every_worker(self, fetch_pid: Callable[[httpx.Client], int], *, at_most: int = 100) -> set[int]:
        """Open new connections until each worker has answered one, and return the pids that did."""
        wanted = set(self.workers())
        seen: set[int] = set()
        for _ in range(at_most):
            with self.client() as client:
                seen.add(fetch_pid(client))
            if seen >= wanted:
                break
        return seen


class Launcher(kit.Launcher):
    """Starts such servers."""

    server_class = Server

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, path=(APPS,))
