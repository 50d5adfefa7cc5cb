"""The scenarios, by the name that the command line knows them by."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.report import Table
from benchmarks.scenarios import cpu, kills, latency, matrix, sharing, slow_clients, startup, waiting

SCENARIOS: dict[str, Callable[[Bench], Table]] = {
    "cpu": cpu.run,
    "latency": latency.run,
    "slow-clients": slow_clients.run,
    "sharing": sharing.run,
    "startup": startup.run,
    "kills": kills.run,
    "waiting": waiting.run,
    "matrix": matrix.run,
}
