"""Facts about time: what a worker does when a client lets its deadline pass."""

from __future__ import annotations

from workerkit.process.clock import monotonic
from workerkit.process.scoreboard import Column
from workerkit.testing.bench import Kit, worker_needs
from workerkit.testing.client import RawConnection, request
from workerkit.testing.contract.base import Facts
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.observed import look_until

SHORT = ("--head-timeout", "0.3", "--body-timeout", "0.3", "--keep-alive", "0.3", "--write-timeout", "0.5")
OVERDUE = ("--request-timeout", "0.3")
A_DROP_EVERY = 0.02
DROPS_AT_MOST = 500


def drip(connection: RawConnection) -> None:
    """Send a byte now and then until the server has answered."""
    for _ in range(DROPS_AT_MOST):
        if connection.answers_within(A_DROP_EVERY):
            return
        connection.send(b"x")
    raise AssertionError("a client that drips was borne for ever")


class DeadlineFacts(Facts):
    """Deadlines of connections."""

    def test_idle_connection_is_closed(self, kit: Kit) -> None:
        """A kept connection is closed when --keep-alive has passed without another request."""
        with kit.shared(*SHORT).connect() as connection:
            connection.get("/")

            assert connection.at_end()

    def test_head_in_time(self, kit: Kit) -> None:
        """A head that is not complete within --head-timeout is answered by 408, and the connection is closed."""
        with kit.shared(*SHORT).connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHo")

            assert connection.read_response().status == 408
            assert connection.at_end()

    def test_silent_newcomer_is_closed(self, kit: Kit) -> None:
        """A connection on which nothing ever comes is closed after --head-timeout."""
        with kit.shared(*SHORT).connect() as connection:
            assert connection.at_end()

    def test_body_in_time(self, kit: Kit) -> None:
        """A body that stops coming for --body-timeout is answered by 408."""
        with kit.shared(*SHORT).connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length="10") + b"hello")

            assert connection.read_response("POST").status == 408

    def test_reader_in_time(self, kit: Kit) -> None:
        """A client that takes nothing of its response for --write-timeout is given up."""
        server = kit.shared(*SHORT)
        with server.connect(receive_buffer=4096) as connection:
            connection.send(request("/big?pieces=1024&length=1"))
            connection.read_head()

            assert server.is_idle(), "the connection of a client that reads nothing was kept"

    def test_a_dripping_head_is_ended(self, kit: Kit) -> None:
        """A head that comes byte by byte has --head-timeout in all, however often another byte comes."""
        with kit.shared(*SHORT).connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: ")
            drip(connection)

            assert connection.read_response().status == 408

    def test_a_dripping_body_is_ended(self, kit: Kit) -> None:
        """A body that comes more slowly than --body-min-rate has --body-timeout in all."""
        with kit.shared(*SHORT).connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length="10000"))
            drip(connection)

            assert connection.read_response("POST").status == 408

    def test_a_dripping_body_that_streams_is_ended(self, kit: Kit) -> None:
        """The same holds for a body that the application reads as it comes."""
        with kit.shared(*SHORT, "--request-buffer", "100").connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length="10000"))
            drip(connection)

            assert connection.read_response("POST").status == 408

    def test_a_sipping_reader_is_ended(self, kit: Kit) -> None:
        """A client that takes its response more slowly than --write-min-rate is given up, though it takes some."""
        server = kit.shared(*SHORT, "--write-min-rate", "100000")
        with server.connect(receive_buffer=4096) as connection:
            connection.send(request("/big?pieces=1024&length=1"))
            connection.read_head()

            def sip() -> bool:
                return len(connection.socket.recv(100)) == 0 or server.statistics.total(Column.CONNECTIONS) == 0

            assert look_until(sip), "a client that sips was borne for ever"

    @worker_needs("interrupts")
    def test_an_overdue_request_is_interrupted(self, kit: Kit) -> None:
        """A request that runs past --request-timeout is answered by 503, and the log shows where it was."""
        server = kit.shared(*OVERDUE)
        worker = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            kit.gate.wait_for_job()

            assert connection.read_response().status == 503
        server.wait_for_log(r"GET /held.* runs for .*past its deadline")
        server.wait_for_log("in pass_gate")
        assert int(server.fetch("/").body) == worker

    def test_an_overdue_request_is_seen(self, kit: Kit) -> None:
        """Where it cannot be interrupted, the log shows where it is, and the worker is replaced while it goes on."""
        if kit.worker_class.interrupts:
            return
        server = kit.launch(*OVERDUE)
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            server.wait_for_log(r"GET /held.* runs for .*past its deadline")
            server.wait_for_log("in pass_gate")
            [worker, successor] = server.wait_for_workers(2)
            # The old one serves whoever has come to it before its order to leave.
            until = monotonic() + DEADLINE
            while int(server.fetch("/").body) != successor:
                assert monotonic() < until, "it goes on accepting"
            held.release()

            assert int(connection.read_response().body) == worker

    def test_a_request_may_extend_its_deadline(self, kit: Kit) -> None:
        """An application that needs longer says so, and is left alone."""
        server = kit.shared(*OVERDUE)
        with server.connect() as connection:
            connection.send(request(f"/patient?seconds=100&gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            overdue = server.log.comes("/patient.*past its deadline", within=0.6)
            held.release()

            assert connection.read_response().body in (b"98", b"99")
            assert not overdue

    def test_who_waited_for_too_long_is_turned_away(self, kit: Kit) -> None:
        """With --max-queue-time, a request that has waited longer is answered by 503, and may come again."""
        server = kit.launch("--max-queue-time", "0.3")
        with server.connect() as busy, server.connect() as connection:
            busy.send(request("/stuck?ms=3000"))
            server.wait_for_log("stuck in C now")
            connection.send(request("/"))
            reply = connection.read_response()

            assert busy.read_response().body == b"awake"
            assert reply.status == 503
            assert reply.headers["retry-after"] == "1"
        server.wait_for_log("Overloaded: 1 requests were turned away")
        assert server.statistics.comes_to(Column.SHED, 1)
        assert server.fetch("/").status == 200
