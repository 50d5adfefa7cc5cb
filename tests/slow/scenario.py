"""One attack on one server: how others fared before and meanwhile, and what the attackers cost."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Self

from benchmarks.fleet import Orders, Sample
from tests.slow import attack as slow
from tests.slow.attack import Attack
from tests.soak.server import connections_of
from workerkit.process.clock import monotonic
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.processes import processes_of_group
from workerkit.testing.server import Launcher, Server

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
FLOOR = 0.002
"""Seconds. Answers of an idle server take well below one millisecond, of which twice is less than what the machine's
scheduler does to a client now and then: a p99 that is lower counts as this much."""

_RATE = 16.0
_OTHERS = 4  # connections of those who are no attackers, at most
_MARGIN = 14.0  # slowhttptest opens its connections over 10 s, and we look each 2 s


Check = Callable[[str, str, str, bool], None]
"""Takes what was measured, the measurement, what is required of it, and whether that holds."""

NOTHING = "-"
"""What is required where a measurement is only for the reader."""


class Target:
    """A server of one worker class with all its defaults, but for the number of workers."""

    def __init__(self, worker: str, folder: Path) -> None:
        self._launcher = Launcher(folder, path=[ROOT], arguments=["--worker-class", worker])
        self.server: Server = self._launcher("tests.slow.application:app", workers=WORKERS)
        self.idle = 0.0

    def close(self) -> None:
        """Stop the server, which has to end well."""
        self._launcher.finish()

    def memory(self) -> int:
        """Return what the server has of memory (PSS), in bytes."""
        return sum(map(_pss, processes_of_group(self.server.pid)))

    def connections(self) -> int:
        """Return how many connections its workers have."""
        return sum(map(connections_of, self.server.workers()))

    def rest(self, seconds: float) -> None:
        """Measure how others fare while nobody attacks: the p99 that is then allowed to double."""
        [samples] = ask([self.server.port], seconds, lambda: None)
        failures = [sample.failure for sample in samples if sample.failure]
        assert not failures, f"requests failed before any attack: {failures}"
        self.idle = p99(samples)

    def endure(self, attack: Attack, bystander: Self, *, seconds: float, connections: int, check: Check) -> None:
        """Attack, and hand each finding to ``check``; ``bystander`` is as busy and not attacked."""
        before = self.memory()
        most = before
        accounts: list[slow.Account] = []

        longest = 0.0

        def look(since: float) -> None:
            nonlocal most, longest
            most = max(most, self.memory())
            if self.connections() > _OTHERS:
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
                )
            )

        samples, elsewhere = ask([self.server.port, bystander.server.port], seconds, assault)
        [account] = accounts
        within = self._seconds_until_free(attack.limit)
        failures = sorted({sample.failure for sample in samples if sample.failure})
        # What the machine does to clients of a server that is not attacked differs from minute to minute.
        meanwhile = p99(elsewhere)
        bound = 2 * max(self.idle, meanwhile, FLOOR)
        during = p99(samples)
        check("attackers connected at once", f"{account.peak}", f">= 90 % of {connections}",
              account.peak >= 0.9 * connections)  # fmt: skip
        check("p99 of others", _ms(during), f"<= 2 x max(both below, {_ms(FLOOR)}) = {_ms(bound)}", during <= bound)
        check("p99 before the attack", _ms(self.idle), NOTHING, True)
        check("p99 meanwhile, of a server not attacked", _ms(meanwhile), NOTHING, True)
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


def ask(ports: Sequence[int], seconds: float, meanwhile: Callable[[], None]) -> list[list[Sample]]:
    """Ask at each port at an even pace, half of it on new connections; return what each request met, by port.

    Raises:
        AssertionError: A client failed.
    """
    clients = [[_client(port, seconds, keep_alive) for keep_alive in (True, False)] for port in ports]
    try:
        meanwhile()
        return [_samples(pair, seconds + 2 * DEADLINE) for pair in clients]
    finally:
        for client in chain.from_iterable(clients):
            client.kill()
            client.communicate()


def _client(port: int, seconds: float, keep_alive: bool) -> subprocess.Popen[bytes]:
    orders = Orders(seconds, connections=_OTHERS // 2, rate=_RATE / 2, keep_alive=keep_alive)
    command = [sys.executable, "-m", "benchmarks.fleet", str(port), json.dumps(asdict(orders))]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


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
    return latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
