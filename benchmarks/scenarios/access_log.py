"""What the access log costs: the same load with a log file and without."""

from __future__ import annotations

import tempfile

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.report import Table
from benchmarks.scenarios import cpu, loads
from benchmarks.scenarios.throughput import measure

LOADS = ("no access log", "access log")


def run(bench: Bench) -> Table:
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            options = ("--access-logfile", log.name) if case.load == "access log" else ()
            seconds = bench.seconds or 2
            return measure(bench, case.peer, loads.BROWSER_HEADERS, cores, seconds=seconds, options=options)

    cases = [Case(peer, load) for peer in bench.peers("workerkit sync", "gunicorn sync") for load in LOADS]
    rows = bench.interleave(cases, measured, bench.rounds or 7)
    title = "With and without an access log in a file: hello, browser headers, 16 connections, 1 worker"
    return Table("access-log", title, cpu.COLUMNS, rows, plotted="cpu_us")
