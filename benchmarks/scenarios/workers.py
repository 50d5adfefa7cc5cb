"""How a server grows with its workers: the Flask page on one worker and on two.

The page costs the server so much more than it costs wrk that the load can share the cores with it.
"""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.report import Table
from benchmarks.scenarios import cpu, loads
from benchmarks.scenarios.throughput import measure

WORKERS = {"1 worker": 1, "2 workers": 2}


def run(bench: Bench) -> Table:
    cores = Cores.shared()

    def measured(case: Case) -> Metrics:
        workers = WORKERS[case.load]
        return measure(bench, case.peer, loads.PAGE, cores, seconds=bench.seconds or 4, workers=workers)

    peers = bench.peers("workerkit sync", "workerkit threaded", "workerkit gevent", "gunicorn sync", "granian")
    rows = bench.interleave([Case(peer, load) for load in WORKERS for peer in peers], measured, bench.rounds or 2)
    title = "A Flask page from a template and sqlite, 16 connections; the load shares the cores with the server"
    return Table("workers", title, cpu.COLUMNS, rows, plotted="rate")
