"""Facts about clients that are slow, silent, many, or gone."""

from __future__ import annotations

import contextlib

from workerkit.testing.bench import Kit, at_once, worker_needs
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.contract.bodies import BIG, PIECES, digest

CROWD = 300


class ClientFacts(Facts):
    """Clients."""

    def test_a_head_may_drip(self, kit: Kit) -> None:
        """A request whose head comes byte by byte is answered."""
        with kit.server.connect() as connection:
            for byte in request("/number?n=1", Cookie="a=b"):
                connection.send(bytes([byte]))

            assert connection.read_response().body == b"1"

    def test_a_body_may_drip(self, kit: Kit) -> None:
        """A body that comes in many small pieces reaches the application whole."""
        body = BIG[:2000]
        with kit.server.connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length=str(len(body))))
            for start in range(0, len(body), 20):
                connection.send(body[start : start + 20])

            assert connection.read_response("POST").body == digest(body)

    def test_half_a_head_holds_nobody_up(self, kit: Kit) -> None:
        """Clients that have sent half a head keep nobody waiting."""
        with contextlib.ExitStack() as clients:
            slow = [clients.enter_context(kit.server.connect()) for _ in range(20)]
            for connection in slow:
                connection.send(b"GET /number?n=1 HTTP/1.1\r\nHo")
            answered = kit.server.fetch("/number?n=2").body
            slow[0].send(b"st: x\r\n\r\n")

            assert answered == b"2"
            assert slow[0].read_response().body == b"1"

    def test_half_a_body_holds_nobody_up(self, kit: Kit) -> None:
        """Clients that have sent half a body keep nobody waiting."""
        with contextlib.ExitStack() as clients:
            slow = [clients.enter_context(kit.server.connect()) for _ in range(20)]
            for connection in slow:
                connection.send(request("/digest", method="POST", Content_Length="10") + b"hello")
            answered = kit.server.fetch("/number?n=2").body
            slow[0].send(b"world")

            assert answered == b"2"
            assert slow[0].read_response("POST").body == digest(b"helloworld")

    def test_silence_holds_nobody_up(self, kit: Kit) -> None:
        """Clients that connect and say nothing keep nobody waiting."""
        with contextlib.ExitStack() as clients:
            for _ in range(50):
                clients.enter_context(kit.server.connect())

            assert kit.server.fetch("/number?n=1").body == b"1"

    def test_a_slow_reader_gets_everything(self, kit: Kit) -> None:
        """A client that reads a big response in small pieces gets all of it, unchanged."""
        with kit.server.connect(receive_buffer=4096) as connection:
            connection.send(request(f"/big?pieces={PIECES}&length=1"))
            _, headers = connection.read_head()
            body = b"".join(iter(lambda: connection.read(2000), b"")) if not headers else b""
            length = int(headers["content-length"])
            pieces = []
            while length:
                pieces.append(connection.read(min(length, 7000)))
                length -= len(pieces[-1])
            body = b"".join(pieces)

        assert body == BIG

    def test_a_reader_who_does_not_read_holds_nobody_up(self, kit: Kit) -> None:
        """A client that asks for a big response and does not read it keeps nobody waiting."""
        with kit.server.connect(receive_buffer=4096) as connection:
            connection.send(request(f"/big?pieces={PIECES}&length=1"))
            connection.read_head()

            assert kit.server.fetch("/number?n=1").body == b"1"

    def test_clients_at_once(self, kit: Kit) -> None:
        """Clients that come at the same time each get their own answer."""
        answers = at_once(lambda number: kit.server.fetch(f"/number?n={number}").body, 30)

        assert answers == [b"%d" % number for number in range(30)]

    def test_a_crowd(self, kit: Kit) -> None:
        """300 connections that are open at the same time are all served, and served again."""
        with contextlib.ExitStack() as clients:
            crowd = [clients.enter_context(kit.server.connect()) for _ in range(CROWD)]
            for _ in range(2):
                for number, connection in enumerate(crowd):
                    connection.send(request(f"/number?n={number}"))
                answers = [connection.read_response().body for connection in crowd]

                assert answers == [b"%d" % number for number in range(CROWD)]

    @worker_needs("worker_connections")
    def test_the_cap_on_connections(self, kit: Kit) -> None:
        """A worker at --worker-connections accepts nobody until one of its clients has left, and then goes on."""
        server = kit.shared("--worker-connections", "3")
        with contextlib.ExitStack() as clients:
            held = [clients.enter_context(server.connect()) for _ in range(3)]
            for connection in held:
                connection.get("/")
            late = clients.enter_context(server.connect())
            late.send(request("/number?n=1"))
            waited = not late.answers_within(0.3)
            held[0].close()

            assert waited, "one more than the cap was served"
            assert late.read_response().body == b"1"

    def test_clients_that_leave_early_harm_nobody(self, kit: Kit) -> None:
        """Clients that vanish before, in and after a request leave the worker as it was."""
        worker = kit.server.worker
        for data in (b"", b"GET / HT", request("/"), request(f"/big?pieces={PIECES}"), request("/digest")[:-2]):
            for _ in range(5):
                with kit.server.connect() as connection:
                    connection.send(data)
                    connection.reset()

        assert kit.server.is_idle()
        assert int(kit.server.fetch("/").body) == worker

    @worker_needs("multithread")
    def test_jobs_run_at_the_same_time(self, kit: Kit) -> None:
        """A class that declares `multithread` runs jobs at the same time in one worker."""
        answers = at_once_held(kit, 4)

        assert {int(answer) for answer in answers} == {kit.server.worker}

    @worker_needs("multithread")
    def test_a_long_request_holds_nobody_up(self, kit: Kit) -> None:
        """While one request takes long, a class that declares `multithread` answers others."""
        with kit.server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            answered = kit.server.fetch("/number?n=1").body
            held.release()

            assert answered == b"1"
            assert connection.read_response().status == 200


def at_once_held(kit: Kit, count: int) -> list[bytes]:
    """Return the answers to requests that were all inside the application at the same time."""
    with contextlib.ExitStack() as clients:
        connections = [clients.enter_context(kit.server.connect()) for _ in range(count)]
        for connection in connections:
            connection.send(request(f"/held?gate={kit.gate.port}"))
        for held in kit.gate.wait_for_jobs(count):
            held.release()
        return [connection.read_response().body for connection in connections]
