"""Facts about workers that are told to leave."""

from __future__ import annotations

import contextlib
import threading
from signal import SIGHUP, SIGINT, SIGTTOU

from workerkit.testing.bench import Kit, at_once, worker_needs
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.contract.bodies import BIG, PIECES, digest
from workerkit.testing.processes import wait_for_exit

GRACE = 2.0
SLACK = 1.5
RELOADS = 5


class LeavingFacts(Facts):
    """Graceful stop."""

    def test_request_in_flight_is_finished(self, kit: Kit) -> None:
        """After TERM the request in flight is answered, and the server ends with code 0."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            server.begin_to_stop()
            held.release()
            reply = connection.read_response()

            assert reply.status == 200
            assert connection.at_end(), "the connection was kept after the last response"
        server.wait_for_end(0)

    def test_stream_in_flight_is_finished(self, kit: Kit) -> None:
        """After TERM a response that has begun is sent to its end."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request(f"/stream?gate={kit.gate.port}&name=drained"))
            held = kit.gate.wait_for_job()
            server.begin_to_stop()
            held.release()

            assert connection.read_response().body == b"first\nsecond\n"
        server.wait_for_end(0)

    def test_big_response_in_flight_is_finished(self, kit: Kit) -> None:
        """After TERM a slow reader gets its response to the end."""
        server = kit.launch()
        with server.connect(receive_buffer=4096) as connection:
            connection.send(request(f"/big?pieces={PIECES}&length=1"))
            connection.read_head()
            server.begin_to_stop()

            received = connection.read(len(BIG))
            assert len(received) == len(BIG), "the response was cut short"
            assert received == BIG
        server.wait_for_end(0)

    def test_upload_in_flight_is_finished(self, kit: Kit) -> None:
        """After TERM a request whose body is still coming is read to its end and answered."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length="10") + b"hello")
            server.fetch("/")
            server.begin_to_stop()
            connection.send(b"world")

            assert connection.read_response("POST").body == digest(b"helloworld")
        server.wait_for_end(0)

    def test_idle_connection_gets_a_moment(self, kit: Kit) -> None:
        """A request that crosses with the server's leaving, on a connection that was idle, is answered."""
        server = kit.launch()
        with server.connect() as connection:
            connection.get("/")
            server.begin_to_stop()
            # The order is on its way; a request may be faster still.
            while (reply := connection.get("/number?n=1")).headers.get("connection") != "close":
                assert reply.status == 200

            assert (reply.status, reply.body) == (200, b"1")
        server.wait_for_end(0)

    def test_idle_connections_hold_nobody_up(self, kit: Kit) -> None:
        """Connections that stay idle delay a graceful stop by no more than their moment of grace."""
        server = kit.launch("--keep-alive", "60")
        with contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(server.connect()).get("/")
            server.stop(timeout=GRACE + SLACK)

    def test_silent_connections_hold_nobody_up(self, kit: Kit) -> None:
        """Connections on which nothing has come delay a graceful stop by no more than a moment of grace."""
        server = kit.launch()
        with contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(server.connect())
            server.fetch("/")
            server.stop(timeout=GRACE + SLACK)

    def test_queued_connections_are_served(self, kit: Kit) -> None:
        """On a full stop, clients that wait to be accepted are served first: nobody else would."""
        server = kit.launch()
        with server.connect() as busy, server.connect() as one, server.connect() as another:
            busy.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            for connection in (one, another):
                connection.send(request("/number?n=1"))
            server.begin_to_stop()
            held.release()
            replies = [connection.read_response() for connection in (busy, one, another)]

        assert [reply.status for reply in replies] == [200, 200, 200]
        server.wait_for_end(0)

    def test_who_comes_during_a_stop_is_served_or_refused(self, kit: Kit) -> None:
        """On a full stop, whoever could connect is answered; nobody is taken into the queue and then thrown out."""
        server = kit.launch(workers=2)
        served = threading.Semaphore(0)

        def come_again(_: int) -> int:
            answered = 0
            while True:
                try:
                    connection = server.connect()
                except ConnectionRefusedError:
                    return answered
                with connection:
                    answered += connection.get("/number?n=1", Connection="close").status == 200
                    served.release()

        def stop(_: int) -> int:
            for _ in range(20):
                served.acquire()
            server.begin_to_stop()
            return 1

        parts = [stop, come_again, come_again, come_again]

        assert min(at_once(lambda number: parts[number](number), len(parts))) > 0
        server.wait_for_end(0)

    @worker_needs("hands_over")
    def test_idle_connection_survives_a_reload(self, kit: Kit) -> None:
        """A connection that was idle while HUP replaced its worker goes on with the new one."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            assert int(connection.get("/").body) == old
            [new] = server.reload([old])

            assert int(connection.get("/").body) == new

    @worker_needs("hands_over")
    def test_silent_connection_survives_a_reload(self, kit: Kit) -> None:
        """A connection on which nothing has come yet is not lost with its worker either."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            server.fetch("/")
            [new] = server.reload([old])

            assert int(connection.get("/").body) == new

    @worker_needs("hands_over")
    def test_idle_connections_survive_a_smaller_pool(self, kit: Kit) -> None:
        """Connections of a worker that TTOU ends go on with the others."""
        server = kit.launch(workers=2)
        with contextlib.ExitStack() as clients:
            connections = [clients.enter_context(server.connect()) for _ in range(8)]
            for connection in connections:
                connection.get("/")
            before = server.workers()
            server.signal(SIGTTOU)
            wait_for_exit(before, count=1)

            assert {int(connection.get("/").body) for connection in connections} == {server.worker}

    @worker_needs("hands_over")
    def test_busy_connection_survives_recycling(self, kit: Kit) -> None:
        """A client of workers that are replaced after some requests keeps its connection, and is told nothing."""
        server = kit.launch("--max-requests", "5")
        seen: set[int] = set()
        with server.connect() as connection:
            while len(seen) < RELOADS:
                reply = connection.get("/")
                seen.add(int(reply.body))

                assert (reply.status, reply.headers.get("connection")) == (200, None)

    @worker_needs("hands_over")
    def test_busy_connections_survive_reloads(self, kit: Kit) -> None:
        """Clients that keep their connections busy notice nothing of reloads: none fails, and none is closed."""
        server = kit.launch(workers=2)
        done = threading.Event()

        def stay(_: int) -> int:
            answered = 0
            with server.connect() as connection:
                while not done.is_set():
                    reply = connection.get("/number?n=1")
                    answered += 1
                    assert (reply.status, reply.headers.get("connection")) == (200, None)
            return answered

        def reload(_: int) -> int:
            try:
                old = server.wait_for_workers(2)
                for _ in range(RELOADS):
                    old = server.reload(old)
            finally:
                done.set()
            return 1

        parts = [reload, stay, stay, stay]

        assert min(at_once(lambda number: parts[number](number), len(parts))) > 0

    @worker_needs("hands_over")
    def test_response_in_flight_keeps_its_connection(self, kit: Kit) -> None:
        """A response that a reload has caught in flight promises that its connection stays, and it does."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            server.signal(SIGHUP)
            [_, new] = server.wait_for_workers(2)
            server.wait_until_told_to_leave(old)
            held.release()
            reply = connection.read_response()

            assert (int(reply.body), reply.headers.get("connection")) == (old, None)
            wait_for_exit([old])
            assert int(connection.get("/").body) == new

    def test_pipelined_requests_in_flight_are_not_cut_short(self, kit: Kit) -> None:
        """A worker that leaves answers the request in flight whole, and says that the connection closes with it."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}") + request("/number?n=1"))
            held = kit.gate.wait_for_job()
            server.begin_to_stop()
            held.release()
            replies = [connection.read_response()]
            while replies[-1].headers.get("connection") != "close":
                replies.append(connection.read_response())

            assert [reply.status for reply in replies] in ([200], [200, 200])
            assert connection.at_end()
        server.wait_for_end(0)

    def test_graceful_timeout(self, kit: Kit) -> None:
        """A request that outlasts --graceful-timeout is cut off, and the log names the worker and the request."""
        server = kit.launch("--graceful-timeout", "0.3")
        server.may_be_killed = True
        worker = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            kit.gate.wait_for_job()
            server.stop(timeout=0.3 + SLACK)

        assert server.log.find(rf"Killing.*\b{worker}\b")
        assert server.log.find(r"^  GET /held.* from ")

    def test_a_leaving_worker_takes_nobody_new(self, kit: Kit) -> None:
        """A worker that has been told to leave accepts nobody: its successor serves whoever comes."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            server.signal(SIGHUP)
            [_, new] = server.wait_for_workers(2)
            server.wait_until_told_to_leave(old)
            answers = {int(server.fetch("/").body) for _ in range(20)}
            held.release()

            assert answers == {new}
            assert int(connection.read_response().body) == old
        wait_for_exit([old])

    def test_it_leaves_when_the_arbiter_says_so_twice(self, kit: Kit) -> None:
        """A quick stop that follows a graceful one is obeyed by a worker that is already leaving."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            kit.gate.wait_for_job()
            server.begin_to_stop()
            server.stop(SIGINT, timeout=3.0)
