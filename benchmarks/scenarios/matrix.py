"""Every server under every load: throughput, cost and latency side by side."""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.peers import PEERS
from benchmarks.report import Table
from benchmarks.scenarios import cpu, loads
from benchmarks.scenarios.throughput import measure

LOADS = {
    load.name: load
    for load in (
        loads.HELLO,
        loads.BROWSER_HEADERS,
        loads.NEW_CONNECTIONS,
        loads.PIPELINED,
        loads.POST,
        loads.STREAM,
        loads.FILE,
        loads.WAIT,
        loads.PAGE,
    )
}


def run(bench: Bench) -> Table:
    peers = bench.peers(*(peer.name for peer in PEERS))
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        return measure(bench, case.peer, LOADS[case.load], cores, seconds=bench.seconds or 3)

    cases = [Case(peer, name) for name in LOADS for peer in peers]
    rows = bench.interleave(cases, measured, bench.rounds or 2)
    return Table("matrix", "Every server under every load, 1 worker", cpu.COLUMNS, rows, plotted="cpu_us")
