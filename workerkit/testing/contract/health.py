"""Facts about hearts that beat, workers that hang, and workers that are replaced."""

from __future__ import annotations

import os
from signal import SIGKILL, SIGSTOP

from workerkit.process.clock import monotonic
from workerkit.process.scoreboard import Column
from workerkit.testing.bench import Kit, at_once, worker_needs
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.observed import look_until
from workerkit.testing.processes import wait_for_exit

TIMEOUT = 0.6
SLACK = 1.5
TOO_LONG = ("--timeout", str(TIMEOUT))
KILLING = "Killing"


class HealthFacts(Facts):
    """Heartbeat, hangs, recycling."""

    def test_its_heart_beats_while_idle(self, kit: Kit) -> None:
        """A worker that has nothing to do keeps beating, and is not taken for one that hangs."""
        server = kit.launch(*TOO_LONG)
        row = server.statistics.row_of(server.worker)
        beats = [row[Column.BEAT]]
        for _ in range(4):
            look_until(lambda: row[Column.BEAT] != beats[-1], TIMEOUT)
            beats.append(row[Column.BEAT])

        assert beats == sorted(set(beats)), "the heart of an idle worker stopped"
        assert not server.log.comes(KILLING, within=0.1)

    def test_its_heart_beats_under_load(self, kit: Kit) -> None:
        """A worker that is busy without a pause keeps beating, and is not taken for one that hangs."""
        server = kit.launch(*TOO_LONG)
        until = monotonic() + 3 * TIMEOUT

        def hammer(_: int) -> int:
            sent = 0
            with server.connect() as connection:
                while monotonic() < until:
                    connection.get("/")
                    sent += 1
            return sent

        assert min(at_once(hammer, 4)) > 0
        assert not server.log.find(KILLING)

    def test_a_worker_that_hangs_is_replaced(self, kit: Kit) -> None:
        """A worker that is stuck is killed when its timeout has passed, and replaced."""
        server = kit.launch(*TOO_LONG)
        stuck = server.worker
        with server.connect() as connection:
            connection.send(request("/stuck"))
            server.wait_for_log("stuck in C now")
            wait_for_exit([stuck], timeout=TIMEOUT + SLACK)
            server.wait_for_log(f"{KILLING}.*{stuck}")
            # Where it was stuck; which request that is, only Python could tell.
            server.wait_for_log(r"pages\.py.* in stuck")
        [_, successor] = server.wait_for_workers(2)

        assert int(server.fetch("/").body) == successor

    def test_a_worker_that_is_stopped_is_replaced(self, kit: Kit) -> None:
        """A worker that is frozen by SIGSTOP is killed when its timeout has passed, and replaced."""
        server = kit.launch(*TOO_LONG)
        frozen = server.worker
        os.kill(frozen, SIGSTOP)
        wait_for_exit([frozen], timeout=TIMEOUT + SLACK)
        [_, successor] = server.wait_for_workers(2)

        assert int(server.fetch("/").body) == successor

    @worker_needs("multithread")
    def test_a_long_request_is_no_hang(self, kit: Kit) -> None:
        """A request that waits for longer than the timeout is not taken for a hang by a class with `multithread`."""
        server = kit.launch(*TOO_LONG)
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            killed = server.log.comes(KILLING, within=2.5 * TIMEOUT)
            held.release()

            assert not killed
            assert connection.read_response().status == 200

    def test_a_worker_that_is_killed_is_replaced(self, kit: Kit) -> None:
        """A worker that is killed is replaced at once, and its death is in the log."""
        server = kit.launch()
        victim = server.worker
        os.kill(victim, SIGKILL)
        [_, successor] = server.wait_for_workers(2)

        server.wait_for_log(rf"{victim}.*signal 9")
        assert int(server.fetch("/").body) == successor

    def test_a_worker_that_dies_in_a_request_is_replaced(self, kit: Kit) -> None:
        """A worker whose application ends the process is replaced."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request("/die"))

            assert connection.at_end()
        [_, successor] = server.wait_for_workers(2)
        assert int(server.fetch("/").body) == successor

    def test_a_worker_that_is_old_is_replaced(self, kit: Kit) -> None:
        """A worker that has lived for --max-age is replaced, and no request fails."""
        server = kit.launch("--max-age", "0.5")
        first = server.worker
        until = monotonic() + DEADLINE
        while int(server.fetch("/").body) == first:
            assert monotonic() < until, "it was not replaced"

        assert server.log.find(r"retires after \d+ s")

    def test_a_worker_that_has_grown_is_replaced(self, kit: Kit) -> None:
        """A worker whose memory has grown past --max-memory is replaced."""
        server = kit.launch("--max-memory", "120m")
        grown = server.worker
        assert server.fetch("/grow?size=120").body == b"grown"
        [_, successor] = server.wait_for_workers(2)

        assert server.log.find(rf"\b{grown}\).* retires after its memory has grown to")
        assert int(server.fetch("/").body) in (grown, successor)

    def test_max_requests_on_one_connection(self, kit: Kit) -> None:
        """A worker that has answered --max-requests is replaced, and a client that keeps its connection loses none."""
        server = kit.launch("--max-requests", "10")
        seen: list[int] = []
        until = monotonic() + 2 * DEADLINE  # two workers boot one after the other
        connection = server.connect()
        while len(set(seen)) < 3 and monotonic() < until:
            reply = connection.get("/")
            seen.append(int(reply.body))
            if reply.headers.get("connection") == "close":
                connection.close()
                connection = server.connect()
        connection.close()

        assert len(set(seen)) == 3
        assert all(seen.count(pid) >= 10 for pid in set(seen) - {seen[-1]})

    def test_max_requests_on_new_connections(self, kit: Kit) -> None:
        """While workers are replaced for --max-requests, no request on a new connection fails."""
        server = kit.launch("--max-requests", "10", workers=2)

        pids: set[int] = set()
        until = monotonic() + 3 * DEADLINE  # of the three that follow, each may boot after the one before

        def fetch(_: int) -> None:
            while len(pids) < 5 and monotonic() < until:
                pids.add(int(server.fetch("/").body))

        at_once(fetch, 4)

        assert len(pids) >= 5
