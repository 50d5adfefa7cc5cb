"""Facts about the figures that a worker keeps in its row of the scoreboard."""

from __future__ import annotations

import contextlib

from workerkit.process.scoreboard import Column
from workerkit.testing.bench import Kit, WatchedServer
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until


def figure(server: WatchedServer, column: Column) -> int:
    """Return a figure of a server that is idle."""
    assert server.is_idle(), "connections are counted, or jobs, though no client is there"
    return server.statistics.total(column)


class StatisticsFacts(Facts):
    """Statistics."""

    def test_requests_are_counted(self, kit: Kit) -> None:
        """REQUESTS grows by one for each request that was answered."""
        before = figure(kit.server, Column.REQUESTS)
        with kit.server.connect() as connection:
            for _ in range(7):
                connection.get("/")
        kit.server.fetch("/")

        assert kit.server.statistics.comes_to(Column.REQUESTS, before + 8), "REQUESTS is not the number of requests"

    def test_pipelined_requests_are_counted(self, kit: Kit) -> None:
        """REQUESTS counts each of the requests that came in one piece."""
        before = figure(kit.server, Column.REQUESTS)
        with kit.server.connect() as connection:
            connection.send(request("/") * 9)
            for _ in range(9):
                connection.read_response()

        assert kit.server.statistics.comes_to(Column.REQUESTS, before + 9), "REQUESTS is not the number of requests"

    def test_connections_are_counted_when_accepted(self, kit: Kit) -> None:
        """ACCEPTED grows by one for each connection."""
        before = figure(kit.server, Column.ACCEPTED)
        for _ in range(6):
            kit.server.fetch("/")

        assert kit.server.statistics.comes_to(Column.ACCEPTED, before + 6), "ACCEPTED is not the number of connections"

    def test_open_connections_are_counted(self, kit: Kit) -> None:
        """CONNECTIONS is the number of open connections, and 0 again when the clients have left."""
        assert kit.server.is_idle()
        with contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(kit.server.connect()).get("/")

            assert kit.server.statistics.comes_to(Column.CONNECTIONS, 5), "CONNECTIONS is not the number of clients"
        assert kit.server.statistics.comes_to(Column.CONNECTIONS, 0), "CONNECTIONS is not 0 after the clients have left"

    def test_failures_are_counted(self, kit: Kit) -> None:
        """FAILURES grows by one for each request that failed, and for no other."""
        before = figure(kit.server, Column.FAILURES)
        for target in ("/", "/fail", "/second-thought", "/", "/leave"):
            kit.server.fetch(target)

        assert kit.server.statistics.comes_to(Column.FAILURES, before + 3), "FAILURES is not the number of failures"

    def test_busy_is_counted(self, kit: Kit) -> None:
        """BUSY is 1 while one job runs, and 0 again afterwards."""
        figures = kit.server.statistics
        assert kit.server.is_idle()
        with kit.server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            busy = look_until(lambda: figures.total(Column.BUSY) == 1)
            held.release()
            connection.read_response()

        assert busy, "BUSY is not 1 while a job runs"
        assert figures.comes_to(Column.BUSY, 0), "BUSY is not 0 after the job"
