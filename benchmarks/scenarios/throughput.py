"""One measurement with wrk: as many requests as go, and what they cost the server."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Bench, Metrics
from benchmarks.load import LoadError, Request, wrk
from benchmarks.machine import Cores
from benchmarks.measure import cpu_seconds, pss_bytes
from benchmarks.peers import Peer
from benchmarks.server import Server, ServerError

_WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, of which application, on how many connections."""

    name: str
    app: str
    request: Request
    connections: int = 16
    pipelined: int = 1
    asgi_app: str = ""  # the same application for servers that speak ASGI only


def measure(bench: Bench, peer: Peer, load: Load, cores: Cores, *, seconds: float, workers: int = 1) -> Metrics:
    """Start the peer, warm it up, load it, and return its figures. Raises ServerError and LoadError."""
    app = load.asgi_app if peer.asgi else load.app
    if not app:
        raise ServerError("it speaks ASGI, and this load's application is for WSGI")
    with bench.start(peer, f"benchmarks.apps:{app}", cores=cores, workers=workers) as server:
        server.wait_ready()
        request = load.request.render(server.port) * load.pipelined
        wrk(server, request, connections=load.connections, seconds=_WARM_UP_SECONDS, cores=cores.load)
        # What the warm-up has left in the server's queue is worked off, or the measured load would wait for it.
        server.wait_ready()
        return _loaded(server, request, load, cores, seconds)


def _loaded(server: Server, request: bytes, load: Load, cores: Cores, seconds: float) -> Metrics:
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
