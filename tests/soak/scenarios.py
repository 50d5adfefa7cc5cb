"""What is done to a server while its clients ask, and what may come of it."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression

from tests.soak.clients import Account, Orders
from tests.soak.memory_group import kills_in, memory_group
from tests.soak.server import READY, SoakServer, connections_of
from workerkit.process.clock import monotonic
from workerkit.testing.processes import is_alive, wait_for_exit

_WITHIN = 30.0
_OUT_OF_MEMORY = "was killed by the system, which was out of memory"
_GAP = 0.050
_BOOT = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    reloads: int
    upgrades: int
    requests: int
    """At least so many, while the server is reloaded and upgraded."""
    kills: int
    starved: float
    """For how many seconds fork fails."""
    stops: int
    """How often it is told to stop while it reloads."""
    endurance: float
    """Seconds of kills and reloads, over which descriptors and memory may not grow; 0: none."""


SHORT = Size(reloads=4, upgrades=1, requests=1_000, kills=2, starved=1.0, stops=3, endurance=0.0)
LONG = Size(reloads=50, upgrades=10, requests=30_000, kills=10, starved=5.0, stops=50, endurance=0.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    worker_class: str
    what: str
    measured: str
    limit: str
    holds: bool


Check = Callable[[str, str, str, bool], None]


class Clients:
    """The clients' process."""

    def __init__(self, orders: Orders) -> None:
        command = [sys.executable, "-m", "tests.soak.clients", json.dumps(asdict(orders))]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def finish(self) -> Account:
        """Let them finish, and return their account."""
        out, _ = self._process.communicate("\n", timeout=60.0)
        return Account(**json.loads(out))

    def close(self) -> None:
        """End them, if they still run."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def serving(worker_class: str, group: Path | None = None) -> Iterator[SoakServer]:
    """Serve in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        server = SoakServer(worker_class, Path(folder), group)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def asking(server: SoakServer, **changes: int) -> Iterator[Clients]:
    """Have clients ask."""
    clients = Clients(Orders(server.port, server.unix, **changes))
    try:
        yield clients
    finally:
        clients.close()


def pause(seconds: float) -> None:
    """Let things go on for so long."""
    select.select([], [], [], seconds)


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again: nothing tells of a file or of a tracer."""
    until = monotonic() + _WITHIN
    while not holds():
        assert monotonic() < until, "it did not come to that"
        pause(0.01)


def reloads(worker_class: str, size: Size, check: Check) -> None:
    """HUP and USR2, again and again."""
    with serving(worker_class) as server, asking(server) as clients:
        started = monotonic()
        for turn in range(size.reloads):
            server.reload()
            if size.upgrades and turn % (size.reloads // size.upgrades) == 0:
                server.upgrade()
        # At 400 requests a second; the disturbances may have taken less time than the requests need.
        pause(max(0.0, size.requests * 1.1 / Orders.rate - (monotonic() - started)))
        account = clients.finish()
    what = f"{size.reloads} HUP, {size.upgrades} USR2"
    told = f" {account.failures}" if account.failures else ""
    check(f"{what}: failed", f"{account.failed} of {account.requests}{told}", "0", account.failed == 0)
    enough = account.requests >= size.requests
    check(f"{what}: requests", str(account.requests), f"{size.requests} at least", enough)
    check(f"{what}: longest gap", f"{account.longest_gap * 1e3:.0f} ms", "50 ms at most", account.longest_gap <= _GAP)
    alive = f"{account.idle_alive} of {account.idle}"
    check(f"{what}: idle connections alive", alive, "all", account.idle_alive == account.idle)


def broken_reload(worker_class: str, _size: Size, check: Check) -> None:
    """A release that does not load."""
    with serving(worker_class) as server, asking(server) as clients:
        before = server.ready_workers()
        server.break_release()
        since = server.log.mark()
        os.kill(server.arbiter, signal.SIGHUP)
        server.log.wait_for(r"Reload given up", since=since, timeout=_WITHIN)
        pause(1.0)
        account = clients.finish()
        attempts = len(server.log.find(r"could not boot", since=since))
        check("broken release: lost", f"{account.failed} of {account.requests}", "0", account.failed == 0)
        check("broken release: attempts", str(attempts), "3 at most", 1 <= attempts <= 3)
        check("broken release: old workers serve", "yes", "yes", server.ready_workers() == before)


def crashes(worker_class: str, size: Size, check: Check) -> None:
    """Workers that die in the middle of everything."""
    for number in (signal.SIGKILL, signal.SIGSEGV):
        with serving(worker_class) as server, asking(server) as clients:
            held = 0
            for _ in range(size.kills):
                _, holds = server.kill_worker(number, connections_of)
                held += holds
                pause(0.3)
            account = clients.finish()
        measured = f"{account.failed} of {account.requests}"
        check(f"{size.kills} {number.name}: lost", measured, f"{held} at most, held", account.failed <= held)


def out_of_memory(worker_class: str, size: Size, check: Check) -> None:
    """A worker uses more memory than there is, and the kernel kills it."""
    with memory_group(400 << 20) as group:
        if group is None:
            print(f"      {worker_class:<9} out of memory: no control group can be made here")
            return
        _run_out_of_memory(worker_class, group, size, check)


def _run_out_of_memory(worker_class: str, group: Path, size: Size, check: Check) -> None:
    with serving(worker_class, group) as server, asking(server, idle=0) as clients:
        for _ in range(size.kills):
            since = server.log.mark()
            with socket.create_connection(("127.0.0.1", server.port)) as greedy:
                greedy.sendall(b"GET /grow HTTP/1.1\r\nHost: soak\r\n\r\n")
                server.log.wait_for(READY, since=since, timeout=_WITHIN)
        account = clients.finish()
        # While the kernel still takes a worker's memory back, it may kill the next one too.
        killed = kills_in(group)
        server.log.comes(_OUT_OF_MEMORY, count=killed, within=_WITHIN)
        named = len(server.log.find(_OUT_OF_MEMORY))
    # One worker cannot hold more requests than clients ask.
    most = size.kills * Orders(0, "").asking
    lost = f"{account.failed} of {account.requests}"
    check(f"{size.kills} out of memory: lost", lost, f"{most} at most, in flight", account.failed <= most)
    holds = named == killed >= size.kills
    check(f"{size.kills} out of memory: named in the log", f"{named} of {killed}", f"all, {size.kills} at least", holds)


def starved_of_forks(worker_class: str, size: Size, check: Check) -> None:
    """fork(2) fails with EAGAIN for a while, and the workers are killed meanwhile."""
    strace = shutil.which("strace")
    if strace is None:
        check("fork fails: strace", "not installed", "installed", False)
        return
    with serving(worker_class) as server, asking(server, idle=0) as clients:
        victims = server.ready_workers()
        since = server.log.mark()
        tracer = subprocess.Popen(
            [strace, "-qq", "-e", "inject=clone,clone3,fork,vfork:error=EAGAIN", "-e", "trace=clone,clone3,fork,vfork",
             "-p", str(server.arbiter)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            status = Path(f"/proc/{server.arbiter}/status")
            wait_until(lambda: "TracerPid:\t0\n" not in status.read_text())
            os.kill(victims[0], signal.SIGKILL)
            server.log.wait_for(r"Cannot fork", since=since, timeout=_WITHIN)
            pause(size.starved)
        finally:
            tracer.terminate()
            tracer.wait(_WITHIN)
        released = monotonic()
        server.log.wait_for(READY, since=since, timeout=_WITHIN)
        took = monotonic() - released
        clients.finish()
        check("fork fails: arbiter", "up", "up", is_alive(server.arbiter))
        check("fork fails: full strength after", f"{took:.2f} s", "1 s and a boot at most", took <= 1.0 + _BOOT)


def orphaned(worker_class: str, _size: Size, check: Check) -> None:
    """The arbiter is killed, and one worker is stuck in C with the GIL."""
    with serving(worker_class) as server:
        with asking(server, idle=0) as clients:
            clients.finish()
        with socket.create_connection(("127.0.0.1", server.port)) as stuck:
            stuck.sendall(b"GET /stuck HTTP/1.1\r\nHost: soak\r\n\r\n")
            wait_until((server.folder / "stuck").exists)
            pids = server.ready_workers()
            killed = monotonic()
            os.kill(server.arbiter, signal.SIGKILL)
            wait_for_exit(pids, timeout=_WITHIN)
            took = monotonic() - killed
        check("arbiter killed: workers gone after", f"{took * 1e3:.0f} ms", "500 ms at most", took <= 0.5)


def stopped_midway(worker_class: str, size: Size, check: Check) -> None:
    """TERM comes at some moment of a reload, as early as before it has begun and as late as after its end."""
    moments = random.Random(size.stops)  # the same ones each time
    well = 0
    for _ in range(size.stops):
        with serving(worker_class) as server:
            os.kill(server.arbiter, signal.SIGHUP)
            pause(moments.uniform(0.0, _BOOT))
            well += server.terminate()
    check("TERM during a reload: ended well", f"{well} of {size.stops}", "all", well == size.stops)


def endurance(worker_class: str, size: Size, check: Check) -> None:
    """A kill each 5 s and a HUP each 30 s; what is open and what is used must not grow."""
    if not size.endurance:
        return
    samples: list[tuple[float, int, int]] = []
    with serving(worker_class) as server, asking(server) as clients:
        started = monotonic()
        held = 0
        turn = 0
        while (now := monotonic() - started) < size.endurance:
            turn += 1
            if turn % 6 == 0:
                server.reload()
            else:
                held += server.kill_worker(signal.SIGKILL, connections_of)[1]
            pause(max(0.0, turn * 5.0 - (monotonic() - started)))
            if len(server.ready_workers()) == server.workers:
                samples.append((now, server.descriptors(), server.memory()))
        account = clients.finish()
    # The first minute fills caches.
    samples = [sample for sample in samples if sample[0] > min(60.0, size.endurance / 4)]
    times = [sample[0] for sample in samples]
    descriptors = linear_regression(times, [sample[1] for sample in samples]).slope * 600
    memory = linear_regression(times, [sample[2] for sample in samples]).slope * 600 / 1e6
    check("endurance: lost", f"{account.failed} of {account.requests}", f"{held} at most, held", account.failed <= held)
    check("endurance: descriptors per 10 min", f"{descriptors:+.1f}", "0", abs(descriptors) < 1.0)
    check("endurance: memory per 10 min", f"{memory:+.2f} MB", "1 MB at most", memory < 1.0)


ALL = (reloads, broken_reload, crashes, out_of_memory, starved_of_forks, orphaned, stopped_midway, endurance)
