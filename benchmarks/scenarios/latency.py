"""Latency at a rate that every server can keep: 1,000 requests a second, due on a fixed schedule."""

from __future__ import annotations

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.fleet import Orders, Sample
from benchmarks.load import LoadError, fleet
from benchmarks.machine import Cores
from benchmarks.measure import percentile
from benchmarks.peers import PEERS
from benchmarks.report import Column, Table

COLUMNS = (
    Column("p50_ms", "p50 ms", ".2f"),
    Column("p99_ms", "p99 ms", ".2f"),
    Column("p999_ms", "p99.9 ms", ".2f"),
    Column("worst_ms", "worst ms", ".2f"),
    Column("requests", "requests"),
    Column("errors", "errors"),
)
RATE = 1000
CONNECTIONS = 16


def run(bench: Bench) -> Table:
    cases = [Case(peer) for peer in bench.peers(*(peer.name for peer in PEERS))]
    cores = Cores.split()
    orders = Orders(seconds=bench.seconds or 5, connections=CONNECTIONS, rate=RATE)

    def measure(case: Case) -> Metrics:
        with bench.start(case.peer, served.HELLO, cores=cores) as server:
            server.wait_ready()
            return summary(fleet(server, orders, cores.load))

    rows = bench.interleave(cases, measure, bench.rounds or 3)
    title = f"Latency, from when a request was due, at {RATE} requests/s on {CONNECTIONS} connections, 1 worker"
    return Table("latency", title, COLUMNS, rows)


def summary(samples: list[Sample]) -> Metrics:
    """Return the exact percentiles of what was answered. Raises LoadError if nothing was."""
    latencies = [sample.latency * 1e3 for sample in samples if not sample.failure]
    if not latencies:
        raise LoadError("not one request was answered")
    return {
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "p999_ms": percentile(latencies, 99.9),
        "worst_ms": max(latencies),
        "requests": len(samples),
        "errors": len(samples) - len(latencies),
    }
