"""What facts are checked with: servers of the worker class under test, started by the real command."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from workerkit import plugins
from workerkit.process.scoreboard import Column, Row
from workerkit.process.states import State
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.gate import Gate
from workerkit.testing.observed import Statistics, look_until
from workerkit.testing.processes import open_descriptors
from workerkit.testing.server import COMMAND, Finished, Launcher, Server, run_to_completion
from workerkit.workers.base import API_VERSION, Worker

ARBITER = "workerkit.testing.observed:ObservedArbiter"
PAGES = "workerkit.testing.apps.pages:app"
WITNESS = "workerkit.testing.witness:Witness"
HOST = (sys.executable, "-m", "workerkit.testing.host")


_A_TURN = 0.1


class WatchedServer(Server):
    """A server whose statistics can be seen."""

    @cached_property
    def statistics(self) -> Statistics:
        """What its workers count."""
        return Statistics(self.folder)

    @property
    def worker(self) -> int:
        """The pid of its only worker, once there is one alone: the log tells of it after it is there."""
        look_until(lambda: len(self.workers()) == 1)
        [pid] = self.workers()
        return pid

    may_be_killed = False
    """Whether the fact means a worker to outlast --graceful-timeout."""

    def wait_for_end(self, code: int, *, timeout: float = DEADLINE) -> None:
        """Wait for the end as it should be: of a graceful stop, no worker had to be killed."""
        super().wait_for_end(code, timeout=timeout)
        _, stopping, after = self.log.text.partition("Stopping gracefully")
        assert not stopping or "Stopping quickly" in after or "Killing" not in after or self.may_be_killed, (
            f"a worker did not leave, and had to be killed\n{self.log.text}"
        )

    def begin_to_stop(self) -> None:
        """Send TERM, and return when every worker has been told to leave."""
        workers = self.workers()
        self.signal(SIGTERM)
        for pid in workers:
            self.wait_until_told_to_leave(pid)

    def wait_until_told_to_leave(self, pid: int) -> None:
        """Return when the arbiter has ordered a worker to leave, or it has left.

        Whether it has read the order is not to be seen from here; turns of its loop show in its heart. The turn in
        which the order arrives may have beaten already: the second one from now on has read it.
        """
        row = self.statistics.row_of(pid)
        look_until(lambda: row[Column.STATE] in (State.DRAINING, State.GONE))
        for _ in range(2):
            self._wait_for_a_beat(row)

    @staticmethod
    def _wait_for_a_beat(row: Row) -> None:
        before = row[Column.BEAT]
        look_until(lambda: row[Column.BEAT] != before, _A_TURN)

    def is_idle(self) -> bool:
        """Tell, after a while if need be, whether no connection is open and no job runs."""
        figures = self.statistics
        return look_until(lambda: not figures.total(Column.CONNECTIONS) and not figures.total(Column.BUSY))

    def settled_descriptors(self) -> list[str]:
        """Return the worker's descriptors, once no connection is open."""
        if not self.is_idle():
            raise AssertionError("connections are open, or jobs run, though no client is there")
        return open_descriptors(self.worker)


class _Launcher(Launcher):
    server_class = WatchedServer


class Bench:
    """One worker class under test. ``server`` is shared by facts that leave it as they found it."""

    def __init__(self, worker: str, files: Sequence[str], folder: Path) -> None:
        self.worker = worker
        self.files = [str(Path(file).resolve()) for file in files]
        self.folder = folder
        self._launchers: list[Launcher] = []
        self._shared: dict[tuple[str, ...], WatchedServer] = {}
        self._sharing = self.launcher()

    @cached_property
    def worker_class(self) -> type[Worker]:
        """The class itself, imported here for what it declares."""
        for file in self.files:
            plugins.load_file(file)
        return plugins.load(plugins.WORKERS, self.worker, Worker, API_VERSION)

    def lacks(self, capabilities: Iterable[str]) -> str | None:
        """Return the first capability that the class does not declare."""
        return next((name for name in capabilities if not self._has(name)), None)

    def _has(self, capability: str) -> bool:
        declared = self.worker_class
        if capability == "worker_connections":
            return capability in getattr(declared.Options, "__dataclass_fields__", {})
        return capability in declared.jobs or getattr(declared, capability, False) is True

    @property
    def arguments(self) -> list[str]:
        """What every server of this bench is started with."""
        files = [word for file in self.files for word in ("--plugin", file)]
        return ["--arbiter", ARBITER, "--worker-class", self.worker, "--graceful-timeout", "8", *files]

    def launcher(self) -> Launcher:
        """Return a launcher with a folder of its own."""
        folder = self.folder / f"launcher-{len(self._launchers)}"
        folder.mkdir()
        launcher = _Launcher(folder, path=search_path(), arguments=self.arguments)
        self._launchers.append(launcher)
        return launcher

    def shared(self, *arguments: str) -> WatchedServer:
        """Return a server with these arguments that other facts use too; a new one if theirs has gone."""
        server = self._shared.get(arguments)
        if server is None or server.process.poll() is not None or len(server.workers()) != 1:
            server = self._shared[arguments] = self._sharing(PAGES, *arguments, tracebacks=True)
        return server

    def logs(self) -> list[tuple[str, str]]:
        """Return the logs of the servers that were started last, for a report."""
        servers = [launcher.servers[-1] for launcher in self._launchers if launcher.servers]
        return [(f"log of {server!r}", server.log.text) for server in servers[-2:]]

    def close(self) -> None:
        """Stop every shared server."""
        self._sharing.finish()


class Kit:
    """What one fact uses: the bench, and servers that end with the fact."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._launcher: Launcher | None = None
        self.gate = Gate()

    @property
    def worker(self) -> str:
        """The name of the worker class."""
        return self._bench.worker

    @property
    def folder(self) -> Path:
        """Where ``run`` runs."""
        return self._bench.folder

    @property
    def files(self) -> list[str]:
        """The files that worker classes may be defined in."""
        return self._bench.files

    @property
    def worker_class(self) -> type[Worker]:
        """The worker class."""
        return self._bench.worker_class

    @property
    def server(self) -> WatchedServer:
        """A server of one worker that many facts share, with the application ``pages``."""
        return self._bench.shared()

    def shared(self, *arguments: str) -> WatchedServer:
        """Return a server of one worker that facts with the same arguments share."""
        return self._bench.shared(*arguments)

    def launch(self, *arguments: str, app: str = PAGES, **named: Any) -> WatchedServer:
        """Start a server that ends with this fact; see ``Launcher``."""
        if self._launcher is None:
            self._launcher = self._bench.launcher()
        server: WatchedServer = self._launcher(app, *arguments, **named)
        return server

    def launch_witnessed(self, *arguments: str, **named: Any) -> WatchedServer:
        """Start a server whose workers tell the steps of their life."""
        variables = {"WITNESSED": self.worker, "WITNESSED_FILES": os.pathsep.join(self.files)}
        return self.launch(*arguments, "--worker-class", WITNESS, variables=variables, **named)

    def host(self, served: str, **settings: object) -> WatchedServer:
        """Start a server of ``workerkit.testing.host``, which serves more than applications."""
        words = self._host_settings(settings)
        if self._launcher is None:
            self._launcher = self._bench.launcher()
        server: WatchedServer = self._launcher(served, words, bind=None, workers=None, program=HOST, common=())
        return server

    def run_host(self, served: str, **settings: object) -> Finished:
        """Run what ``host`` would start, and that ends by itself."""
        return self.run(served, self._host_settings(settings), program=HOST)

    def _host_settings(self, settings: Mapping[str, object]) -> str:
        common = {"worker_class": self.worker, "arbiter": ARBITER, "graceful_timeout": 8, "bind": "127.0.0.1:0"}
        files = {"plugin": self.files} if self.files else {}
        return json.dumps({**common, **files, **settings})

    def run(self, *arguments: str, app: str | None = None, program: Sequence[str] = COMMAND) -> Finished:
        """Run a command that ends by itself: by default the one that would serve ``app``."""
        words = [*self._bench.arguments, "--bind", "127.0.0.1:0", app, *arguments] if app else arguments
        return run_to_completion(*words, folder=self._bench.folder, path=search_path(), program=program)

    def finish(self) -> None:
        """Stop this fact's servers, and check that each goes as it should."""
        self.gate.close()
        if self._launcher is not None:
            self._launcher.finish()


def search_path() -> list[Path]:
    """Return where this process imports from: a server, which runs in another folder, finds the same."""
    return [Path(entry or ".").absolute() for entry in sys.path]


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do the same ``count`` times at once, each in a thread, and return the results in order."""
    together = threading.Barrier(count)

    def begin(number: int) -> Any:
        together.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def worker_needs(*capabilities: str) -> pytest.MarkDecorator:
    """Mark a fact that is about classes with these capabilities only."""
    return pytest.mark.worker_needs(*capabilities)
