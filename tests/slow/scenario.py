"""One attack on one server: how others fared before and meanwhile, and what the attackers cost."""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event

from benchmarks.fleet import Orders, Sample
from benchmarks.machine import Cores
from benchmarks.processes import pinned
from tests.slow import attack as slow
from tests.slow import stolen
from tests.slow.attack import Attack
from tests.slow.cores import run_first
from tests.soak.server import connections_of
from workerkit.process.clock import monotonic
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.processes import processes_of_group
from workerkit.testing.server import Launcher, Server

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
CORES = Cores.split()
"""The server runs on ``server``; ``load`` is for everybody else."""

_RATE = 40.0
_WARM_UP = 2.0
_ENOUGH = 500  # requests, for a p99 to say something
_OTHERS = 4  # connections of those who are no attackers, at most
_MARGIN = 16.0  # slowhttptest opens its connections over 10 s, and we look each 5 s


Check = Callable[[str, str, str, bool], None]
"""Takes what was measured, the measurement, what is required of it, and whether that holds."""

NOTHING = "-"
"""What is required where a measurement is only for the reader."""


class Target:
    """A server of one worker class with all its defaults, but for the number of workers."""

    def __init__(self, worker: str, folder: Path) -> None:
        self._launcher = Launcher(folder, path=[ROOT], arguments=["--worker-class", worker])
        with pinned(CORES.server):
            self.server: Server = self._launcher("tests.slow.application:app", workers=WORKERS)
        self.before: list[Sample] = []

    def close(self) -> None:
        """Stop the server, which has to end well."""
        self._launcher.finish()

    def memory(self) -> int:
        """Return what the server has of memory (PSS), in bytes."""
        return sum(map(_pss, processes_of_group(self.server.pid)))

    def connections(self) -> int:
        """Return how many connections its workers have."""
        return sum(map(connections_of, self.server.workers()))

    def descriptors(self) -> int:
        """Return how many descriptors its workers have open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.server.workers())

    def rest(self, seconds: float) -> None:
        """Measure how others fare while nobody attacks: the p99 that is then allowed to double."""
        ask(self.server.port, _WARM_UP, lambda: None)
        with stolen.noted(CORES.server) as taken:
            samples = ask(self.server.port, seconds, lambda: None)
        failures = [sample.failure for sample in samples if sample.failure]
        assert not failures, f"requests failed before any attack: {failures}"
        self.before = stolen.undisturbed(samples, taken)

    def endure(
        self, attack: Attack, *, seconds: float, connections: int, check: Check, alone: bool = True
    ) -> None:
        """Attack, and hand each finding to ``check``.

        ``alone``: the machine has nothing else to do, so what it has left for the attackers is enough.
        """
        before = self.memory()
        most = before
        idle_descriptors = self.descriptors()
        accounts: list[slow.Account] = []

        longest = 0.0

        def look(since: float) -> None:
            nonlocal most, longest
            most = max(most, self.memory())
            # Which of them are connections takes too long to find out beside those who are timed.
            if self.descriptors() > idle_descriptors + _OTHERS:
                longest = max(longest, since)

        def assault() -> None:
            accounts.append(
                slow.run(
                    attack,
                    self.server.port,
                    seconds=seconds,
                    connections=connections,
                    folder=self.server.folder,
                    look=look,
                    last=alone,
                )
            )

        with stolen.noted(CORES.server) as taken:
            samples = ask(self.server.port, seconds, assault)
        timed = stolen.undisturbed(samples, taken)
        [account] = accounts
        within = self._seconds_until_free(attack.limit)
        failures = sorted({sample.failure for sample in samples if sample.failure})
        during, idle = p99(timed), p99(self.before)
        fewest = min(len(timed), len(self.before))
        check("attackers connected at once", f"{account.peak}", f">= 90 % of {connections}",
              account.peak >= 0.9 * connections)  # fmt: skip
        check("p99 of others", f"{_ms(during)} over {len(timed)} requests",
              f"<= 2 x {_ms(idle)} over {len(self.before)} before the attack; over {_ENOUGH} at least",
              during <= 2 * idle and fewest >= _ENOUGH)  # fmt: skip
        check("p99 of all of them", f"{_ms(p99(samples))} over {len(samples)}", NOTHING, True)
        check("median of others", _ms(statistics.median(sample.latency for sample in samples)), NOTHING, True)
        check("others' requests that failed",
              f"{sum(bool(sample.failure) for sample in samples)} of {len(samples)} {' '.join(failures)}".rstrip(),
              "0", not failures)  # fmt: skip
        check("seconds without service, says slowhttptest", f"{account.unavailable}", "0", not account.unavailable)
        if seconds > attack.limit + _MARGIN:
            check("the last attacker was closed after", f"{longest:.0f} s",
                  f"<= {attack.limit:g} s + {_MARGIN:g} s", longest <= attack.limit + _MARGIN)  # fmt: skip
        check("connections left when the attack ended", "0" if within is not None else f"{self.connections()}",
              f"0 within {attack.limit:g} s", within is not None)  # fmt: skip
        check("memory per attacker", f"{(most - before) / 1024 / max(account.peak, 1):.1f} KiB", NOTHING, True)

    def _seconds_until_free(self, limit: float) -> float | None:
        """Wait until the workers have no connection; return after how long, or None if that did not come in time."""
        start = monotonic()
        while self.connections():
            if monotonic() - start > limit:
                return None
            Event().wait(0.1)  # the kernel tells nobody
        return monotonic() - start


@contextlib.contextmanager
def served(worker: str) -> Iterator[Target]:
    """Serve by a class while the block lasts, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Target(worker, Path(folder))
        try:
            yield target
        finally:
            target.close()


def ask(port: int, seconds: float, meanwhile: Callable[[], None]) -> list[Sample]:
    """Ask at an even pace, half of it on new connections; return what each request met.

    Raises:
        AssertionError: A client failed.
    """
    clients = [_client(port, seconds, keep_alive) for keep_alive in (True, False)]
    try:
        meanwhile()
        return _samples(clients, seconds + 2 * DEADLINE)
    finally:
        for client in clients:
            client.kill()
            client.communicate()


def _client(port: int, seconds: float, keep_alive: bool) -> subprocess.Popen[bytes]:
    orders = Orders(seconds, connections=_OTHERS // 2, rate=_RATE / 2, keep_alive=keep_alive)
    command = [sys.executable, "-m", "benchmarks.fleet", str(port), json.dumps(asdict(orders))]
    client = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    run_first(client.pid)
    return client


def _samples(clients: Sequence[subprocess.Popen[bytes]], timeout: float) -> list[Sample]:
    samples: list[Sample] = []
    for client in clients:
        output, _ = client.communicate(timeout=timeout)
        assert client.returncode == 0, f"a client ended with {client.returncode}"
        samples += [Sample(*values) for values in json.loads(output)]
    return samples


def p99(samples: Sequence[Sample]) -> float:
    """Return the latency that 99 of 100 requests stayed within, in seconds; counted from when each was due."""
    latencies = sorted(sample.latency for sample in samples)
    return latencies[int(len(latencies) * 0.99)] if latencies else math.nan


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
