"""Facts about connections that carry more than one request."""

from __future__ import annotations

from workerkit.testing.bench import Kit
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until

MANY = 50


class ConversationFacts(Facts):
    """Keep-alive and pipelining."""

    def test_connection_is_kept(self, kit: Kit) -> None:
        """Requests of HTTP/1.1 are answered one after another on one connection."""
        with kit.server.connect() as connection:
            answers = [connection.get(f"/number?n={number}").body for number in range(MANY)]

        assert answers == [b"%d" % number for number in range(MANY)]

    def test_connection_close_is_honoured(self, kit: Kit) -> None:
        """A connection is closed after the response to a request that says `Connection: close`."""
        with kit.server.connect() as connection:
            reply = connection.get("/", Connection="close")

            assert reply.headers["connection"] == "close"
            assert connection.at_end()

    def test_http_1_0_closes(self, kit: Kit) -> None:
        """A connection of HTTP/1.0 is closed after the response."""
        with kit.server.connect() as connection:
            connection.send(request("/", version="1.0"))

            assert connection.read_response().status == 200
            assert connection.at_end()

    def test_http_1_0_can_be_kept(self, kit: Kit) -> None:
        """A connection of HTTP/1.0 is kept if the client asks for it."""
        with kit.server.connect() as connection:
            for _ in range(3):
                connection.send(request("/", version="1.0", Connection="keep-alive"))
                reply = connection.read_response()

                assert (reply.status, reply.headers["connection"].lower()) == (200, "keep-alive")

    def test_pipelined_requests_are_answered_in_order(self, kit: Kit) -> None:
        """Requests that come in one piece are answered in their order."""
        with kit.server.connect() as connection:
            connection.send(b"".join(request(f"/number?n={number}") for number in range(MANY)))
            answers = [connection.read_response().body for _ in range(MANY)]

        assert answers == [b"%d" % number for number in range(MANY)]

    def test_pipelined_bodies_do_not_mix(self, kit: Kit) -> None:
        """Bodies of pipelined requests reach the application each with its own request."""
        bodies = [bytes([number]) * (number * 700 + 1) for number in range(20)]
        with kit.server.connect() as connection:
            connection.send(b"".join(request("/digest", method="POST", body=body) for body in bodies))
            lengths = [int(connection.read_response("POST").body.split()[0]) for _ in bodies]

        assert lengths == [len(body) for body in bodies]

    def test_pipelined_request_after_half_close(self, kit: Kit) -> None:
        """A client that has sent its requests and closed its side gets every answer."""
        with kit.server.connect() as connection:
            connection.send(request("/number?n=1") + request("/number?n=2"))
            connection.shut_write()

            assert [connection.read_response().body for _ in range(2)] == [b"1", b"2"]
            assert connection.at_end()

    def test_unread_body_does_not_become_a_request(self, kit: Kit) -> None:
        """A body that the application did not read is never taken for the next request."""
        smuggled = request("/number?n=666")
        with kit.server.connect() as connection:
            connection.send(request("/ignore", method="POST", body=smuggled) + request("/number?n=1"))

            assert connection.read_response("POST").body == b"ignored"
            assert connection.read_response().body == b"1"

    def test_a_busy_client_starves_nobody(self, kit: Kit) -> None:
        """A newcomer is answered while a kept connection sends one request after another without a pause."""
        count = 1000
        with kit.server.connect() as busy, kit.server.connect() as newcomer:
            # All of it is there before the newcomer, and before the first of it is answered.
            busy.send(request(f"/held?gate={kit.gate.port}") + request("/next") * count)
            held = kit.gate.wait_for_job()
            assert look_until(busy.has_delivered)
            newcomer.send(request("/next"))
            held.release()
            # Read at once, or the worker may have to wait until this client takes its responses.
            busy.read_response()
            busys = [int(busy.read_response().body) for _ in range(count)]
            newcomers = int(newcomer.read_response().body)

        assert newcomers < busys[-1], "the newcomer had to wait for the last request of the busy client"

    def test_malformed_request_is_refused(self, kit: Kit) -> None:
        """A request that breaks the syntax gets 400 and the end of its connection, and the worker goes on."""
        with kit.server.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nthis is no field\r\n\r\n")

            assert connection.read_response().status == 400
            assert connection.at_end()
        assert int(kit.server.fetch("/").body) == kit.server.worker
