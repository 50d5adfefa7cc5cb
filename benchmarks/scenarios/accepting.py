"""How evenly new connections fall to the workers: the busiest one's requests against the idlest one's.

Paced: 500 requests a second, so that most of the time all workers wait, and who is woken decides. Closed: 16
clients that ask again at once, so that most of the time none does. Each request has a connection of its own.
"""

from __future__ import annotations

from collections import Counter

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.fleet import Orders
from benchmarks.load import LoadError, fleet
from benchmarks.machine import Cores
from benchmarks.report import Column, Table

COLUMNS = (
    Column("uneven", "busiest/idlest", ".2f"),
    Column("busiest", "busiest"),
    Column("idlest", "idlest"),
    Column("requests", "requests"),
    Column("errors", "errors"),
)
WORKERS = (2, 4, 8)
RATES = {"paced": 500, "closed": 0}
CLIENTS = 16


def run(bench: Bench) -> Table:
    peers = bench.peers("workerkit sync", "workerkit threaded", "workerkit gevent", "gunicorn sync")
    loads = {f"{workers} workers, {kind}": (workers, rate) for workers in WORKERS for kind, rate in RATES.items()}
    cores = Cores.shared()

    def measure(case: Case) -> Metrics:
        workers, rate = loads[case.load]
        orders = Orders(bench.seconds or 3, CLIENTS, rate, keep_alive=False, keep_bodies=True)
        with bench.start(case.peer, served.PROCESS, cores=cores, workers=workers) as server:
            server.wait_ready()
            samples = fleet(server, orders, cores.load)
        answers = Counter(sample.body for sample in samples if not sample.failure)
        errors = sum(bool(sample.failure) for sample in samples)
        return _shares(answers, workers) | {"requests": len(samples), "errors": errors}

    rows = bench.interleave([Case(peer, load) for load in loads for peer in peers], measure, bench.rounds or 1)
    title = f"Who answers new connections: {CLIENTS} clients, each request on a connection of its own"
    return Table("accepting", title, COLUMNS, rows, plotted="uneven")


def _shares(answers: Counter[str], workers: int) -> Metrics:
    """Compare the workers' shares. Raises LoadError if one of them had none."""
    if len(answers) < workers:
        raise LoadError(f"only {len(answers)} of {workers} workers answered anything")
    ranked = [count for _, count in answers.most_common()]
    return {"uneven": ranked[0] / ranked[-1], "busiest": ranked[0], "idlest": ranked[-1]}
