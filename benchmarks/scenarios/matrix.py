"""Every server under every load: throughput, cost and latency side by side."""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.load import BROWSER, PLAIN, Request
from benchmarks.machine import Cores
from benchmarks.peers import PEERS
from benchmarks.report import Table
from benchmarks.scenarios import cpu
from benchmarks.scenarios.throughput import Load, measure

LOADS = (
    Load("hello", "hello", PLAIN, asgi_app="asgi_hello"),
    Load("browser headers", "hello", BROWSER, asgi_app="asgi_hello"),
    Load("new connections", "hello", Request(fields=(("Connection", "close"),)), asgi_app="asgi_hello"),
    Load("pipelined x16", "hello", PLAIN, pipelined=16, asgi_app="asgi_hello"),
    Load("64 KiB POST", "upload", Request("POST", body=b"x" * 65536)),
    Load("1 MiB stream", "stream", PLAIN),
    Load("10 ms wait, 128 connections", "waiting", PLAIN, connections=128),
)


def run(bench: Bench) -> Table:
    peers = bench.peers(*(peer.name for peer in PEERS))
    loads = {load.name: load for load in LOADS}
    cores = Cores.split()

    def measured(case: Case) -> Metrics:
        return measure(bench, case.peer, loads[case.load], cores, seconds=bench.seconds or 3)

    cases = [Case(peer, name) for name in loads for peer in peers]
    rows = bench.interleave(cases, measured, bench.rounds or 3)
    return Table("matrix", "Every server under every load, 1 worker", cpu.COLUMNS, rows)
