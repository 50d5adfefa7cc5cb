"""What systems do to a server: orphans, full disks, clocks that jump, descriptors that run out, storms of signals."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from harness import Launcher, Server, run_to_completion

from workerkit.testing.server import COMMAND, READY

APP = "lives_on_a_system:app"
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
NEW_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def cpu_seconds(pid: int) -> float:
    """Return how much processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def may_have_namespaces() -> bool:
    """Tell whether we may have process ids of our own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NEW_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


# -- process 1 --


def test_process_1_reaps_strangers_and_stops(serve: Launcher) -> None:
    """In a container the arbiter is process 1: orphans leave no zombies; TERM, which has no default there, works."""
    if not may_have_namespaces():
        pytest.skip("no process id namespace to be had")
    server = serve(APP, program=(*NEW_NAMESPACE, *COMMAND))
    [inside] = server.wait_for_log(r"Listening at: .* \(pid: (\d+)\)")
    assert inside[1] == "1"

    assert server.fetch("/orphans").status == 200
    assert any(server.fetch("/zombies").body == b"0" for _ in range(500))
    arbiter = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())
    os.kill(arbiter, signal.SIGTERM)
    server.wait_for_end(0)


def test_a_subreaper_reaps_strangers(serve: Launcher) -> None:
    """With --preload the arbiter adopts orphans anywhere, those of the application among them."""
    server = serve(APP, "--preload")
    server.fetch("/orphans")

    assert any(zombies_of(server.pid) == 0 for _ in range(500) if server.fetch("/"))


def zombies_of(parent: int) -> int:
    """Return how many children of a process have ended without having been collected."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found += state == "Z" and int(ppid) == parent
    return found


# -- signals --


def test_a_storm_of_signals(serve: Launcher) -> None:
    """Ten thousand signals of every kind change nothing for good: a reload brings the state that was asked for."""
    server = serve(APP, workers=2)
    kinds = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGCHLD, signal.SIGWINCH)
    over = threading.Event()
    failures: list[str] = []

    def keep_asking() -> None:
        while not over.is_set():
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            try:
                client.request("GET", "/")
                client.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            finally:
                client.close()

    client = threading.Thread(target=keep_asking)
    client.start()
    try:
        for number in range(10_000):
            server.signal(kinds[number % len(kinds)])
            if not number % 10:
                over.wait(0.001)  # spread over a second: those that wait for delivery together are one
        # Again, while some of the storm comes after it: the kernel delivers those that wait in an order of its own.
        for _ in range(10):
            mark = server.log.mark()
            server.signal(signal.SIGHUP)
            server.wait_for_log("Reloaded: the new workers serve", since=mark)
            came = server.log.comes(READY, count=2, since=mark, within=1.0)
            if came and len(server.log.find(READY, since=mark)) == 2:
                break
        else:
            pytest.fail("no reload brings two workers")
    finally:
        over.set()
        client.join()

    assert failures == []
    server.stop()


# -- time --


@pytest.mark.skipif(LIBFAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("jump", ["+3600", "-3600"])
def test_a_clock_that_jumps_kills_nobody(serve: Launcher, tmp_path: Path, jump: str) -> None:
    """An hour forth or back, while requests run: deadlines and heartbeats are no matter of the wall clock."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    variables = {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    server = serve(APP, "--timeout", "1", variables=variables)
    before = server.workers()
    clock.write_text(jump)
    for _ in range(3):
        assert server.fetch("/half-a-second").status == 200

    assert float(server.fetch("/time").body) - time.time() == pytest.approx(float(jump), abs=60)
    assert server.workers() == before
    assert not server.log.find("Killing")


def test_an_arbiter_that_was_stopped_kills_nobody(serve: Launcher) -> None:
    """Stopped for longer than the timeout, it knows afterwards that it is old news that it has of its workers."""
    server = serve(APP, "--timeout", "1", workers=2)
    before = server.workers()
    server.signal(signal.SIGSTOP)
    for _ in range(4):
        assert server.fetch("/half-a-second").status == 200
    server.signal(signal.SIGCONT)
    for _ in range(3):
        assert server.fetch("/half-a-second").status == 200

    assert server.workers() == before
    assert not server.log.find("Killing")


# -- disks --


@contextmanager
def listening() -> Iterator[socket.socket]:
    """Yield a socket that a server can inherit: whoever waits there need not know when it has started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        yield listener


@pytest.mark.parametrize("target", ["/", "/fault"])
def test_logs_that_cannot_be_written_do_not_stop_serving(tmp_path: Path, target: str) -> None:
    """On a full disk, requests are answered, faults of the application too; TERM ends the server as ever."""
    with listening() as listener:
        server = Server(
            [APP, "--bind", f"fd://{listener.fileno()}", "--access-logfile", "/dev/full", "--log-file", "/dev/full"],
            folder=tmp_path,
            pass_fds=[listener.fileno()],
        )
        try:
            for _ in range(10):
                with server.connect(f"http://127.0.0.1:{listener.getsockname()[1]}") as connection:
                    assert connection.get(target).status == (500 if target == "/fault" else 200)
            server.stop()
        finally:
            server.close()


def test_a_pid_file_on_a_full_disk_is_an_error_at_the_start(tmp_path: Path) -> None:
    """What was asked for cannot be had, and nobody would notice later: so the start says it."""
    finished = run_to_completion(APP, "--bind", "127.0.0.1:0", "--pid", "/dev/full/app.pid", folder=tmp_path)

    assert finished.code == 1
    assert "cannot write the pid file" in "\n".join(finished.err)


# -- descriptors --


def test_a_worker_without_descriptors_goes_on(serve: Launcher) -> None:
    """Accepting pauses, at no cost; who is connected is served, and who waits has a turn when others leave."""
    server = serve(APP, program=("prlimit", "--nofile=40", *COMMAND))
    [worker] = server.workers()
    with ExitStack() as held, server.connect() as friend:
        assert friend.get("/").status == 200
        for _ in range(150):
            held.enter_context(server.connect())
        server.wait_for_log("Accepting pauses")
        began = cpu_seconds(worker)
        mark = server.log.mark()
        server.wait_for_log("Accepting pauses", count=3, since=mark)
        used = cpu_seconds(worker) - began
        assert friend.get("/").status == 200
        last = server.connect()
        last.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        held.close()
        with last:
            assert last.read_response().status == 200

    assert used < 0.3
    assert server.fetch("/").status == 200
    assert server.workers() == [worker]
