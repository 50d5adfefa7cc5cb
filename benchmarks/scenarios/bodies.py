"""Bodies: 64 KiB that come in, and 1 MiB that goes out in pieces."""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.report import Table
from benchmarks.scenarios import cpu, loads
from benchmarks.scenarios.throughput import measure

LOADS = {load.name: load for load in (loads.POST, loads.STREAM)}
PEERS = (
    *("workerkit sync", "workerkit threaded", "workerkit gevent", "workerkit eventlet"),
    *("gunicorn sync", "gunicorn gthread", "gunicorn gevent", "waitress", "granian"),
)


def run(bench: Bench) -> Table:
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        return measure(bench, case.peer, LOADS[case.load], cores, seconds=bench.seconds or 3)

    cases = [Case(peer, name) for name in LOADS for peer in bench.peers(*PEERS)]
    rows = bench.interleave(cases, measured, bench.rounds or 3)
    return Table("bodies", "Bodies, 16 connections, 1 worker", cpu.COLUMNS, rows, plotted="cpu_us")
