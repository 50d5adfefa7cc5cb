"""Facts about what a worker holds on to."""

from __future__ import annotations

from workerkit.testing.bench import Kit, WatchedServer, at_once
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until
from workerkit.testing.processes import open_descriptors, private_memory, threads_of

ROUNDS = 1500
GROWTH = 2 * 1024 * 1024


def settles_at(server: WatchedServer, before: list[str]) -> bool:
    """Tell, after a while if need be, whether the worker's descriptors are no more than those of before."""
    return look_until(lambda: len(open_descriptors(server.worker)) <= len(before), 3.0)


class ResourceFacts(Facts):
    """Descriptors, threads, memory."""

    def test_no_descriptor_is_left_open(self, kit: Kit) -> None:
        """After 100 connections that came and went a worker has no more descriptors open than before."""
        server = kit.server
        at_once(lambda _: server.fetch("/"), 20)
        before = server.settled_descriptors()
        for _ in range(100):
            server.fetch("/")

        assert settles_at(server, before), f"descriptors were left open: {open_descriptors(server.worker)}"

    def test_no_descriptor_is_left_open_by_failures(self, kit: Kit) -> None:
        """Clients that vanish, requests that fail and files that nobody reads leave no descriptor open."""
        server = kit.server
        server.fetch("/file?pieces=4")
        before = server.settled_descriptors()
        spooled = request("/digest", method="POST", body=b"x" * 100_000)
        broken = (b"GET / HT", b"\0\r\n\r\n", spooled[:90_000])
        for data in (*broken, request("/fail"), request("/file?pieces=64"), spooled):
            for _ in range(10):
                with server.connect() as connection:
                    connection.send(data)
                    connection.reset()

        assert server.is_idle()
        assert settles_at(server, before), f"descriptors were left open: {open_descriptors(server.worker)}"

    def test_a_worker_has_no_descriptor_of_another(self, kit: Kit) -> None:
        """A worker that replaces another one has as many descriptors as that one had."""
        server = kit.launch()
        server.fetch("/")
        before = server.settled_descriptors()
        for _ in range(3):
            server.reload([server.worker])
            server.fetch("/")

        assert settles_at(server, before), f"descriptors were inherited: {open_descriptors(server.worker)}"

    def test_threads_do_not_pile_up(self, kit: Kit) -> None:
        """A worker that has served many clients at once, time and again, has no more threads than after the first."""
        server = kit.server
        at_once(lambda _: server.fetch("/"), 40)
        at_once(lambda _: server.fetch("/"), 40)
        assert server.is_idle()
        before = threads_of(server.worker)
        for _ in range(3):
            at_once(lambda _: server.fetch("/"), 40)

        assert look_until(lambda: threads_of(server.worker) <= before + 1), "threads pile up"

    def test_memory_does_not_grow(self, kit: Kit) -> None:
        """After a warm-up, 1500 requests on new and kept connections add less than 2 MiB to a worker's memory."""
        server = kit.server
        burst = request("/number?n=1") * 25

        def serve(rounds: int) -> int:
            for _ in range(rounds // 25):
                with server.connect() as connection:
                    connection.send(burst)
                    for _ in range(25):
                        connection.read_response()
            assert server.is_idle()
            return private_memory(server.worker)

        before = serve(ROUNDS)
        grown = serve(ROUNDS) - before

        assert grown < GROWTH, f"the worker's memory grew by {grown} bytes"
