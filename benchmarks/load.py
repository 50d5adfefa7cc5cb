"""Load from other processes: wrk for throughput, the benchmarks' own fleet for exact latencies."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.fleet import Orders, Sample
from benchmarks.processes import spawn
from benchmarks.server import HOST, Server

_GRACE_SECONDS = 30

# What Chrome 126 on Linux sends with a page's navigation over HTTP/1.1, in its order: 13 fields with Host.
BROWSER_FIELDS = (
    ("Connection", "keep-alive"),
    ("sec-ch-ua", '"Not/A)Brand";v="8", "Chromium";v="126", "Google Chrome";v="126"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
        "application/signed-exchange;v=b3;q=0.7",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes, for any port."""

    method: str = "GET"
    target: str = "/"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def render(self, port: int) -> bytes:
        fields = [("Host", f"{HOST}:{port}"), *self.fields]
        if self.body:
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "\r\n"]).encode() + self.body


PLAIN = Request()
BROWSER = Request(fields=BROWSER_FIELDS)


class LoadError(Exception):
    """A load generator itself could not do its work."""


@dataclass(frozen=True, slots=True)
class WrkResult:
    """What wrk saw; latencies in seconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float
    p999: float


def wrk(server: Server, request: bytes, *, connections: int, seconds: float, cores: frozenset[int]) -> WrkResult:
    """Ask for the same thing over and over on so many connections, from one thread.

    Raises:
        LoadError: wrk is not installed, or failed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise LoadError("wrk is not installed (Debian: apt-get install wrk)")
    with tempfile.NamedTemporaryFile(suffix=".http") as wanted:
        wanted.write(request)
        wanted.flush()
        script = Path(__file__).with_name("wrk.lua")
        size = ["-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s"]
        command = [program, *size, "-s", str(script), server.url, "--", wanted.name]
        output = _run(command, cores, seconds)
    return WrkResult(**json.loads(output.splitlines()[-1]))


def fleet(server: Server, orders: Orders, cores: frozenset[int]) -> list[Sample]:
    """Send a fleet of our own clients, in a process of its own, and return what each request met.

    Raises:
        LoadError: the fleet failed.
    """
    command = [sys.executable, "-m", "benchmarks.fleet", str(server.port), json.dumps(asdict(orders))]
    return [Sample(*values) for values in json.loads(_run(command, cores, orders.seconds))]


@contextlib.contextmanager
def crowd(server: Server, *, idle: int, dripping: int, cores: frozenset[int]) -> Iterator[None]:
    """Surround a server with clients that hardly do anything, for as long as the block lasts.

    Raises:
        LoadError: they did not all get a connection.
    """
    command = [sys.executable, "-m", "benchmarks.crowd", str(server.port), str(idle), str(dripping)]
    process = spawn(command, cores, input=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _GRACE_SECONDS)
        if not ready or process.stdout.readline() != b"ready\n":
            raise LoadError(f"not all of {idle + dripping} clients got a connection")
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_GRACE_SECONDS)
        process.stdout.close()


def allow_open_files(wanted: int) -> None:
    """Let this process, and the servers and clients that it starts from now on, open so many files.

    Raises:
        LoadError: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _exceeds(wanted, hard):
        raise LoadError(f"{wanted} open files are needed, and the hard limit is {hard} (see ulimit -Hn)")
    if _exceeds(wanted, soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _exceeds(wanted: int, limit: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted


def _run(command: Sequence[str], cores: frozenset[int], seconds: float) -> bytes:
    """Run a load generator to its end and return what it printed."""
    process = spawn(command, cores, errors=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadError(f"{command[0]} did not end in time") from None
    if process.returncode != 0:
        raise LoadError(f"{command[0]} ended with {process.returncode}\n{errors.decode()[-2000:]}")
    return output
