"""One measurement with wrk: as many requests as go, and what they cost the server."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench import Bench, Metrics
from benchmarks.load import LoadError, wrk
from benchmarks.machine import Cores
from benchmarks.measure import cpu_seconds, pss_bytes
from benchmarks.peers import Peer
from benchmarks.scenarios.loads import Load
from benchmarks.server import Server

_WARM_UP_SECONDS = 1


def measure(
    bench: Bench,
    peer: Peer,
    load: Load,
    cores: Cores,
    *,
    seconds: float,
    workers: int = 1,
    options: Sequence[str] = (),
) -> Metrics:
    """Start the peer, warm it up, load it, and return its figures. Raises ServerError and LoadError."""
    with bench.start(peer, load.application, cores=cores, workers=workers, options=options) as server:
        warm_up(server, load, cores)
        return loaded(server, load, cores, seconds)


def warm_up(server: Server, load: Load, cores: Cores) -> None:
    """Wait for the server, and let every worker see the load. Raises ServerError and LoadError."""
    server.wait_ready()
    request = load.request.render(server.port) * load.pipelined
    wrk(server, request, connections=load.connections, seconds=_WARM_UP_SECONDS, cores=cores.load)
    # What the warm-up has left in the server's queue is worked off, or the measured load would wait for it.
    server.wait_ready()


def loaded(server: Server, load: Load, cores: Cores, seconds: float) -> Metrics:
    """Load a server that has been warmed up, and return its figures. Raises ServerError and LoadError."""
    request = load.request.render(server.port) * load.pipelined
    before = cpu_seconds(server.pid)
    result = wrk(server, request, connections=load.connections, seconds=seconds, cores=cores.load)
    spent = cpu_seconds(server.pid) - before
    server.check_alive()
    if not result.requests:
        raise LoadError("not one request was answered")
    figures = {
        "cpu_us": spent / result.requests * 1e6,
        "rate": result.requests / result.seconds,
        "pss_mib": pss_bytes(server.pid) / 2**20,
        "errors": result.errors,
    }
    if load.pipelined > 1:
        return figures  # wrk then knows no latency of a single request
    latencies = {"p50_ms": result.p50, "p99_ms": result.p99, "p999_ms": result.p999}
    return figures | {name: value * 1e3 for name, value in latencies.items()}
