"""What a normal client notices of 500 idle and 50 dripping connections on the same worker."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.fleet import Orders
from benchmarks.load import crowd, fleet
from benchmarks.machine import Cores
from benchmarks.report import Table
from benchmarks.scenarios import latency

IDLE = 500
DRIPPING = 50


def run(bench: Bench) -> Table:
    peers = bench.peers("workerkit sync", "bjoern")
    loads = [f"{kind}, {company}" for kind in ("keep-alive", "new connections") for company in ("alone", "crowded")]
    cores = Cores.split()

    def measure(case: Case) -> Metrics:
        orders = Orders(seconds=bench.seconds or 3, keep_alive=case.load.startswith("keep-alive"))
        with bench.start(case.peer, served.HELLO, cores=cores) as server, ExitStack() as company:
            server.wait_ready()
            if case.load.endswith("crowded"):
                company.enter_context(crowd(server, idle=IDLE, dripping=DRIPPING, cores=cores.load))
            return latency.summary(fleet(server, orders, cores.load))

    rows = bench.interleave([Case(peer, load) for peer in peers for load in loads], measure, bench.rounds or 5)
    title = f"One client, alone and among {IDLE} idle and {DRIPPING} dripping connections, 1 worker"
    return Table("slow-clients", title, latency.COLUMNS, rows)
