"""A worker is killed every five seconds while clients ask on: who fails, and how soon is there a new worker?

The example shop on two workers, 20 requests a second, each on a connection of its own. A request counts as
inside a killed worker if it was under way at the moment of a kill.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from statistics import median

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics
from benchmarks.fleet import Orders, Sample
from benchmarks.load import LoadError, fleet
from benchmarks.machine import Cores
from benchmarks.report import Column, Table
from benchmarks.served import Application
from benchmarks.server import Server

COLUMNS = (
    Column("requests", "requests"),
    Column("kills", "kills"),
    Column("failed_inside", "failed inside"),
    Column("failed_elsewhere", "failed elsewhere"),
    Column("ready_ms", "slowest ready ms"),
    Column("boot_ms", "application's boot ms"),
    Column("ready_after_boot_ms", "difference ms"),
)
RATE = 20
WORKERS = 2
KILL_EVERY_SECONDS = 5.0
_READY = r"Worker ready \(pid: (\d+), slot: \d+\)"
_READY_SECONDS = 10.0
_BOOT = """
import time
start = time.perf_counter()
from app import app
print(time.perf_counter() - start)
"""


def run(bench: Bench) -> Table:
    cases = [Case(peer) for peer in bench.peers("workerkit sync")]
    rows = bench.interleave(cases, lambda case: _measure(bench, case), bench.rounds or 1)
    title = f"The shop at {RATE} requests/s on {WORKERS} workers, one killed every {KILL_EVERY_SECONDS:g} s"
    return Table("kills", title, COLUMNS, rows)


def _measure(bench: Bench, case: Case) -> Metrics:
    orders = Orders(seconds=bench.seconds or 60, connections=WORKERS * 4, rate=RATE, keep_alive=False)
    cores = Cores.shared()
    with tempfile.TemporaryDirectory() as data:
        shop = served.shop(Path(data))
        boot = median(_boot_seconds(bench, shop) for _ in range(5))
        started = time.monotonic()
        with (
            bench.start(case.peer, shop, cores=cores, workers=WORKERS) as server,
            ThreadPoolExecutor() as threads,
        ):
            server.wait_ready()
            pids = _first_workers(server, started)
            clients = threads.submit(fleet, server, orders, cores.load)
            kills, delays = _kill_in_turn(server, pids, clients)
            return _metrics(clients.result(), kills, max(delays), boot)


def _boot_seconds(bench: Bench, shop: Application) -> float:
    """Import the application in a fresh interpreter and return how long that took."""
    command: list[str | Path] = [bench.environment.bin / "python", "-c", _BOOT]
    environment = {**os.environ, **shop.variables}
    done = subprocess.run(
        command, cwd=shop.folder, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0:
        raise LoadError(f"the shop cannot be imported\n{done.stderr.strip()}")
    return float(done.stdout)


def _first_workers(server: Server, started: float) -> list[int]:
    pids: list[int] = []
    since = started
    while len(pids) < WORKERS:
        since, ready = server.wait_line(_READY, since, _READY_SECONDS)
        pids.append(int(ready[1]))
    return pids


def _kill_in_turn(server: Server, pids: list[int], clients: Future[list[Sample]]) -> tuple[list[float], list[float]]:
    """Kill the oldest worker again and again; return when, and how long each successor took to be ready."""
    kills: list[float] = []
    delays: list[float] = []
    while not wait([clients], KILL_EVERY_SECONDS - sum(delays[-1:])).done:
        kills.append(time.monotonic())
        os.kill(pids.pop(0), signal.SIGKILL)
        at, ready = server.wait_line(_READY, kills[-1], _READY_SECONDS)
        delays.append(at - kills[-1])
        pids.append(int(ready[1]))
    if not kills:
        raise LoadError(f"the run was over before the first kill, after {KILL_EVERY_SECONDS:g} s")
    return kills, delays


def _metrics(samples: list[Sample], kills: list[float], slowest: float, boot: float) -> Metrics:
    failed = [sample for sample in samples if sample.failure]
    inside = [sample for sample in failed if any(sample.sent <= kill <= sample.done for kill in kills)]
    return {
        "requests": len(samples),
        "kills": len(kills),
        "failed_inside": len(inside),
        "failed_elsewhere": len(failed) - len(inside),
        "ready_ms": slowest * 1e3,
        "boot_ms": boot * 1e3,
        "ready_after_boot_ms": (slowest - boot) * 1e3,
    }
