"""How the cost grows with the connections that are open, and what an idle one weighs.

The idle ones have each made a request. Beside them 16 ask without a pause.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.load import allow_open_files, crowd
from benchmarks.machine import Cores
from benchmarks.measure import pss_bytes
from benchmarks.report import Column, Table
from benchmarks.scenarios import cpu, loads
from benchmarks.scenarios.throughput import loaded, warm_up
from benchmarks.server import Server

COLUMNS = (Column("idle_kib", "KiB/idle one", ".2f"), Column("apart_us", "µs between answers", ".1f"), *cpu.COLUMNS)
LOAD = loads.HELLO
IDLE = {"none idle": 0, "1 idle": 1, "100 idle": 100, "1,000 idle": 1000, "10,000 idle": 10_000}
LIMIT = 12_000  # connections, and open files, that each process may have


def run(bench: Bench) -> Table:
    peers = bench.peers("workerkit sync", "workerkit threaded", "workerkit gevent")
    cores = Cores.split()

    def measure(case: Case) -> Metrics:
        allow_open_files(LIMIT)
        options = ("--worker-connections", str(LIMIT)) if case.peer.speaks_gunicorn else ()
        with bench.start(case.peer, LOAD.application, cores=cores, options=options) as server, ExitStack() as company:
            warm_up(server, LOAD, cores)
            weight = _surround(server, IDLE[case.load], cores, company)
            figures = loaded(server, LOAD, cores, bench.seconds or 2)
            return weight | {"apart_us": 1e6 / figures["rate"]} | figures

    # What is compared is measured in a row: none and the most.
    extremes = {min(IDLE.values()), max(IDLE.values())}
    loads_in_turn = sorted(IDLE, key=lambda load: IDLE[load] not in extremes)
    cases = [Case(peer, load) for peer in peers for load in loads_in_turn]
    rows = bench.interleave(cases, measure, bench.rounds or 5)
    rows.sort(key=lambda row: ([peer.name for peer in peers].index(row.peer), IDLE[row.load]))
    title = "16 connections that ask, among idle ones, 1 worker"
    return Table("open-connections", title, COLUMNS, rows, plotted="cpu_us")


def _surround(server: Server, idle: int, cores: Cores, company: ExitStack) -> Metrics:
    """Open the idle connections; return what each added to the memory of the process tree."""
    if not idle:
        return {}
    before = pss_bytes(server.pid)
    company.enter_context(crowd(server, idle=idle, dripping=0, cores=cores.load))
    weight = (pss_bytes(server.pid) - before) / idle / 1024
    # Where there are few, what they weigh cannot be told from what else the server came to hold meanwhile.
    return {"idle_kib": weight} if idle >= 1000 else {}
