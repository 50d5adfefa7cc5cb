"""What one more worker weighs, with the application loaded once for all and without: the Flask shop."""

from __future__ import annotations

from benchmarks.bench import Bench, Case, Metrics
from benchmarks.machine import Cores
from benchmarks.measure import pss_bytes
from benchmarks.report import Column, Table
from benchmarks.scenarios import loads
from benchmarks.scenarios.throughput import warm_up

MANY = 4
COLUMNS = (
    Column("extra_mib", "MiB/extra worker", ".1f"),
    Column("one_mib", "PSS of 1, MiB", ".1f"),
    Column("many_mib", f"PSS of {MANY}, MiB", ".1f"),
)
LOADS: dict[str, tuple[str, ...]] = {"no preload": (), "preload": ("--preload",)}


def run(bench: Bench) -> Table:
    cores = Cores.shared()

    def measure(case: Case) -> Metrics:
        one, many = (_pss_mib(bench, case, cores, workers) for workers in (1, MANY))
        return {"extra_mib": (many - one) / (MANY - 1), "one_mib": one, "many_mib": many}

    cases = [Case(peer, load) for peer in bench.peers("workerkit sync", "gunicorn sync") for load in LOADS]
    rows = bench.interleave(cases, measure, bench.rounds or 1)
    return Table("preload", f"PSS of the Flask shop on 1 and on {MANY} workers", COLUMNS, rows, plotted="extra_mib")


def _pss_mib(bench: Bench, case: Case, cores: Cores, workers: int) -> float:
    application, options = loads.PAGE.application, LOADS[case.load]
    with bench.start(case.peer, application, cores=cores, workers=workers, options=options) as server:
        warm_up(server, loads.PAGE, cores)
        return pss_bytes(server.pid) / 2**20
