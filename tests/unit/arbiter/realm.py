"""Arbiters with real processes: their log as it is written, and workers that do as a test tells them."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool
from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.workers.base import NoOptions, Worker, WorkerOptions

DEADLINE = 10.0


class Consumer(Worker):
    """Works until it is told to leave."""

    def run(self) -> None:
        while self.tick() is None:
            wait_for(self.orders, READ, self.beat_interval)


class Stuck(Worker):
    """Becomes ready and is never heard of again, whatever it is told."""

    def run(self) -> None:
        while True:
            wait_for(os.pipe()[0], READ, None)


class Deaf(Worker):
    """Lives, and obeys nobody."""

    def run(self) -> None:
        while True:
            self.tick()
            wait_for(os.pipe()[0], READ, self.beat_interval)


POOL = Pool("default", Consumer, WorkerOptions(), NoOptions(), workers=2, listen=None, serve=None)
READY = r"Worker ready \(pid: (\d+), slot: (\d+)\)"


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def await_death(pid: int) -> None:
    """Wait until a process has ended, whoever its parent is."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = wait_for(end, READ, DEADLINE)
    os.close(end)
    assert ended, f"{pid} lives on"


class Realm:
    """An arbiter in a process of its own, and what it says."""

    def __init__(self, arbiter_class: type[Arbiter], folder: Path) -> None:
        self._arbiter_class = arbiter_class
        self.folder = folder
        self._reader, self._writer = os.pipe()
        self.errorlog = f"/proc/self/fd/{self._writer}"
        self._unread = b""
        self.lines: list[str] = []
        self._taken: set[int] = set()
        self.pid = 0

    # -- its life --

    def start(self, *pools: Pool, **options: Any) -> None:
        """Run an arbiter that takes signals, in a child process with a session of its own."""

        def child() -> int:
            os.setsid()
            arbiter = self.make(pools or (POOL,), signals=True, **options)
            try:
                return arbiter.run()
            except Exception as error:  # noqa: BLE001  what run() raises is what a test asks for
                os.write(self._writer, f"raised {type(error).__name__}: {error}\n".encode())
                return getattr(error, "exit_code", 99)

        self.pid = fork(child)

    def make(self, pools: Sequence[Pool], *, signals: bool = False, **options: Any) -> Arbiter:
        """Return an arbiter that is to be run in this very process."""
        logs = Logs(LogOptions(errorlog=self.errorlog, loglevel="debug"))
        return self._arbiter_class(pools, ArbiterOptions(**options), logs, signals=signals)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def exit_code(self) -> int:
        """Wait for the arbiter's end."""
        await_death(self.pid)
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def stop(self) -> None:
        """Stop gracefully, and check that it comes to a good end."""
        self.signal(signal.SIGTERM)
        assert self.exit_code() == 0, self.text

    # -- what it says --

    def await_line(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait for ``count`` lines that match, in any order among others; each line is taken once."""
        deadline = time.monotonic() + DEADLINE
        while True:
            found = {at: match for at, line in enumerate(self.lines)
                     if at not in self._taken and (match := re.search(pattern, line))}  # fmt: skip
            if len(found) >= count:
                self._taken.update(list(found)[:count])
                return list(found.values())[:count]
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} matches {len(found)} of {count} lines in\n{self.text}"
            self._next_line(left)

    def await_workers(self, count: int = 2) -> list[int]:
        """Wait until so many workers have become ready; return their pids."""
        return [int(match[1]) for match in self.await_line(READY, count)]

    def drain_log(self) -> str:
        """Take the lines that have been written, and return the whole log."""
        while self._next_line(0.0) is not None:
            pass
        return self.text

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def _next_line(self, timeout: float) -> str | None:
        while b"\n" not in self._unread:
            if not select.select([self._reader], [], [], timeout)[0]:
                return None
            self._unread += os.read(self._reader, 65536)
        line, _, self._unread = self._unread.partition(b"\n")
        self.lines.append(line.decode())
        return self.lines[-1]

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        Logs(LogOptions())
        os.close(self._reader)
        os.close(self._writer)


class WhenLogged(logging.Handler):
    """Calls a function when a line is logged that matches: an embedder's eye on an arbiter in this process."""

    def __init__(self, pattern: str, then: Callable[[], object]) -> None:
        super().__init__()
        self._pattern = pattern
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        if re.search(self._pattern, record.getMessage()):
            self._then()


@contextlib.contextmanager
def when_logged(arbiter: Arbiter, pattern: str, then: Callable[[], object]) -> Iterator[None]:
    handler = WhenLogged(pattern, then)
    arbiter.log.addHandler(handler)
    try:
        yield
    finally:
        arbiter.log.removeHandler(handler)


def pool(worker_class: type[Worker] = Consumer, workers: int = 2, **facts: Any) -> Pool:
    """Return a pool; ``timeout`` and ``max_requests`` are its workers' options."""
    names = {"timeout", "max_requests"} & facts.keys()
    options = WorkerOptions(**{name: facts.pop(name) for name in names})
    return POOL.replace(worker_class=worker_class, workers=workers, worker_options=options, **facts)
