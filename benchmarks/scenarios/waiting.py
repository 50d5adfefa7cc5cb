"""An application that waits 10 ms, 200 connections: how well a worker class waits for many at once."""

from __future__ import annotations

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.report import Column, Table
from benchmarks.scenarios import cpu
from benchmarks.scenarios.loads import Load
from benchmarks.scenarios.throughput import measure

LOAD = Load("10 ms wait", served.WAITING, connections=200)
COLUMNS = (Column("apart_us", "µs between answers", ".0f"), *cpu.COLUMNS)


def run(bench: Bench) -> Table:
    peers = bench.peers("workerkit threaded", "workerkit gevent", "workerkit eventlet", "gunicorn gevent")
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        figures = measure(bench, case.peer, LOAD, cores, seconds=bench.seconds or 4)
        return figures | {"apart_us": 1e6 / figures["rate"]}

    rows = bench.interleave([Case(peer, LOAD.name) for peer in peers], measured, bench.rounds or 3)
    return Table("waiting", "10 ms of waiting, 200 connections, 1 worker (threaded: 16 threads)", COLUMNS, rows)
