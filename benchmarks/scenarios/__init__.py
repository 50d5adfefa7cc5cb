"""The scenarios, by the name that the command line knows them by."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.report import Table
from benchmarks.scenarios import (
    accepting,
    access_log,
    bodies,
    cpu,
    kills,
    latency,
    matrix,
    open_connections,
    preload,
    sharing,
    slow_clients,
    startup,
    waiting,
    workers,
)

SCENARIOS: dict[str, Callable[[Bench], Table]] = {
    "cpu": cpu.run,
    "bodies": bodies.run,
    "open-connections": open_connections.run,
    "access-log": access_log.run,
    "latency": latency.run,
    "slow-clients": slow_clients.run,
    "sharing": sharing.run,
    "startup": startup.run,
    "kills": kills.run,
    "waiting": waiting.run,
    "workers": workers.run,
    "preload": preload.run,
    "accepting": accepting.run,
    "matrix": matrix.run,
}
