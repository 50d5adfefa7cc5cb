"""Processor time per request: hello, a browser's header fields, 16 keep-alive connections, one worker."""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.peers import PEERS
from benchmarks.report import Column, Table
from benchmarks.scenarios.loads import BROWSER_HEADERS
from benchmarks.scenarios.throughput import measure

COLUMNS = (
    Column("cpu_us", "CPU µs/request", ".1f"),
    Column("rate", "requests/s"),
    Column("p50_ms", "p50 ms", ".2f"),
    Column("p99_ms", "p99 ms", ".2f"),
    Column("p999_ms", "p99.9 ms", ".2f"),
    Column("pss_mib", "PSS MiB", ".1f"),
    Column("errors", "errors"),
)


def run(bench: Bench) -> Table:
    cases = [Case(peer, BROWSER_HEADERS.name) for peer in bench.peers(*(peer.name for peer in PEERS))]
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        return measure(bench, case.peer, BROWSER_HEADERS, cores, seconds=bench.seconds or 4)

    rows = bench.interleave(cases, measured, bench.rounds or 3)
    title = "CPU per request of the process tree: hello, a browser's 13 header fields, 16 connections, 1 worker"
    return Table("cpu", title, COLUMNS, rows, plotted="cpu_us")
