"""What the others notice when 1 % of the requests take two seconds: 4 workers, 32 clients.

Paced: 100 requests a second, due on a fixed schedule, the same load for every server. Slow ones hold two of
the four workers at any time; where each request goes to a free worker, nobody notices. Closed: each client
asks again at once, so that soon all workers are taken in every server, and in a quick one sooner: p99 says
little there.
"""

from __future__ import annotations

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.fleet import Orders
from benchmarks.load import fleet
from benchmarks.machine import Cores
from benchmarks.report import Column, Table
from benchmarks.scenarios import latency

COLUMNS = (*latency.COLUMNS, Column("slow", "slow ones"))
CLIENTS = 32
WORKERS = 4
PACED_RATE = 100


def run(bench: Bench) -> Table:
    peers = bench.peers("workerkit sync", "gunicorn sync")
    cores = Cores.shared()

    def measure(case: Case) -> Metrics:
        orders = Orders(
            seconds=bench.seconds or 15,
            connections=CLIENTS,
            rate=PACED_RATE if case.load == "paced" else 0,
            slow_path="/slow",
            slow_every=100,
        )
        with bench.start(case.peer, served.SOMETIMES_SLOW, cores=cores, workers=WORKERS) as server:
            server.wait_ready()
            samples = fleet(server, orders, cores.load)
            quick = [sample for sample in samples if not sample.slow]
            return {**latency.summary(quick), "slow": len(samples) - len(quick)}

    rows = bench.interleave(
        [Case(peer, load) for load in ("paced", "closed") for peer in peers], measure, bench.rounds or 2
    )
    title = f"The quick requests of {CLIENTS} clients on {WORKERS} workers, when each hundredth request takes 2 s"
    return Table("sharing", title, COLUMNS, rows)
