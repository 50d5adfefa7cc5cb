"""How long a server takes from exec to its first response, and what `import workerkit` brings along."""

from __future__ import annotations

import json
import subprocess

from benchmarks import served
from benchmarks.bench import Bench, Case, Metrics, Row
from benchmarks.machine import Cores
from benchmarks.processes import ROOT
from benchmarks.report import Column, Table

COLUMNS = (
    Column("first_response_ms", "first response ms", ".1f"),
    Column("import_ms", "import ms", ".1f"),
    Column("unwanted_modules", "ssl, asyncio"),
)
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
import workerkit
taken = time.perf_counter() - start
unwanted = [name for name in ("ssl", "asyncio") if name in sys.modules]
print(json.dumps({"import_ms": taken * 1e3, "unwanted_modules": len(unwanted)}))
"""


def run(bench: Bench) -> Table:
    cores = Cores.split()

    def measure(case: Case) -> Metrics:
        with bench.start(case.peer, served.HELLO, cores=cores) as server:
            return {"first_response_ms": server.wait_ready() * 1e3}

    cases = [Case(peer) for peer in bench.peers("workerkit sync", "gunicorn sync", "bjoern")]
    bench.interleave(cases, measure, rounds=1)  # compiles the bytecode and fills the page cache
    rows = bench.interleave(cases, measure, bench.rounds or 15)
    return Table("startup", "From exec to the first response, 1 worker, hello", COLUMNS, [*rows, _import(bench)])


def _import(bench: Bench) -> Row:
    python = bench.environment.bin / "python"
    done = subprocess.run([python, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        return Row("import workerkit", "", {}, note=done.stderr.strip())
    return Row("import workerkit", "", json.loads(done.stdout))
