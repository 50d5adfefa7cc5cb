"""The threaded worker, through the real command: who is served when every thread is busy."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import DEADLINE, Gate, Launcher, RawConnection, Server

HELD = b"GET /held HTTP/1.1\r\nHost: test\r\n\r\n"
THREADS = 2


@pytest.fixture
def server(serve: Launcher, gate: Gate) -> Server:
    """Two workers of two threads each."""
    arguments = ["--worker-class", "threaded", "--threads", str(THREADS), "--workers", "2"]
    return serve("holds_at_gate:app", *arguments, variables={"GATE": str(gate.path)})


@contextlib.contextmanager
def everyone_busy(server: Server, gate: Gate, worker: bytes) -> Iterator[list[RawConnection]]:
    """Hold every thread of one worker inside the application, on connections that stay open."""
    with contextlib.ExitStack() as stack:
        held: list[RawConnection] = []
        while len(held) < THREADS:
            client = stack.enter_context(server.connect())
            if client.get("/").body == worker:
                held.append(client)
        for client in held:
            client.send(HELD)
        server.wait_for_log("held at the gate", count=THREADS)
        yield held
        for _ in held:
            gate.open()
        assert [client.read_response().status for client in held] == [200] * THREADS


def test_a_worker_whose_threads_are_all_busy_leaves_newcomers_to_its_sibling(server: Server, gate: Gate) -> None:
    """While one worker has no free thread, the other one answers everybody who comes."""
    busy = str(server.workers()[0]).encode()
    with everyone_busy(server, gate, busy):
        answered_by = set()
        for _ in range(50):
            with server.connect() as newcomer:
                answered_by.add(newcomer.get("/").body)

    assert answered_by == {str(server.workers()[1]).encode()}


def test_busy_connections_that_stay_open_keep_no_newcomer_out(serve: Launcher) -> None:
    """More connections than threads, each of which asks again at once: whoever comes later is served all the same."""
    server = serve("cooperates:app", "--worker-class", "threaded", "--threads", str(THREADS))
    leave = threading.Event()
    served = threading.Semaphore(0)

    def ask_again_and_again() -> None:
        with server.connect() as regular:
            while not leave.is_set():
                assert regular.get("/sleep").status == 200
                served.release()

    with ThreadPoolExecutor() as pool:
        regulars = [pool.submit(ask_again_and_again) for _ in range(2 * THREADS)]
        try:
            for _ in regulars:
                assert served.acquire(timeout=DEADLINE)
            assert server.get("/").text == "done"
        finally:
            leave.set()
        for regular in regulars:
            regular.result()
