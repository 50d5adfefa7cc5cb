"""Facts about what an application may do, and what becomes of it."""

from __future__ import annotations

import pytest

from workerkit.testing.bench import Kit
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until
from workerkit.testing.server import Server


def was_closed(server: Server, name: str) -> bool:
    """Tell, after a while if need be, whether the response of that name was closed."""
    return look_until(lambda: int(server.fetch(f"/closed?name={name}").body) > 0)


def closings(server: Server, name: str) -> int:
    """Return how often the response of that name has been closed."""
    return int(server.fetch(f"/closed?name={name}").body)


class AnswerFacts(Facts):
    """Applications."""

    def test_a_stream_leaves_piece_by_piece(self, kit: Kit) -> None:
        """What an application yields is sent before it makes the next piece."""
        with kit.server.connect() as connection:
            connection.send(f"GET /stream?gate={kit.gate.port}&name=pieces HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            connection.read_head()
            chunks = iter(connection.read_chunks())
            first = next(chunks)
            kit.gate.wait_for_job().release()

            assert (first, b"".join(chunks)) == (b"first\n", b"second\n")

    def test_write(self, kit: Kit) -> None:
        """What an application writes by start_response's callable comes before what it returns."""
        assert kit.server.fetch("/write").body == b"written, then returned"

    def test_early_hints(self, kit: Kit) -> None:
        """A client of HTTP/1.1 has the application's early hints while the response is still being made."""
        with kit.server.connect() as connection:
            connection.send(request(f"/hints?gate={kit.gate.port}&name=hints"))
            status, fields = connection.read_head(interim=True)
            kit.gate.wait_for_job().release()
            final = connection.read_response()

            assert (status, fields["link"], final.status) == (103, "</style.css>; rel=preload; as=style", 200)

    def test_second_thought(self, kit: Kit) -> None:
        """A response that has not left yet can be replaced by start_response with exc_info."""
        reply = kit.server.fetch("/second-thought")

        assert (reply.status, reply.body) == (503, b"sorry")

    def test_failure_is_answered(self, kit: Kit) -> None:
        """An application that raises is answered by 500, and the same worker goes on."""
        worker = kit.server.worker

        assert kit.server.fetch("/fail").status == 500
        assert int(kit.server.fetch("/").body) == worker

    def test_failure_is_logged(self, kit: Kit) -> None:
        """An application's exception is in the error log, with the request that it failed on."""
        mark = kit.server.log.mark()
        kit.server.fetch("/fail")

        kit.server.wait_for_log("/fail", since=mark)
        kit.server.wait_for_log("this page fails on purpose", since=mark)

    def test_late_failure_shows(self, kit: Kit) -> None:
        """A response that breaks off is not made to look complete: the connection ends without the last chunk."""
        with kit.server.connect() as connection:
            connection.send(b"GET /fail-late?name=late HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.read_head()
            with pytest.raises(AssertionError, match="closed before the last chunk"):
                list(connection.read_chunks())

        assert int(kit.server.fetch("/").body) == kit.server.worker

    def test_an_application_cannot_end_its_worker(self, kit: Kit) -> None:
        """SystemExit out of an application is a failure of that request, and the same worker goes on."""
        worker = kit.server.worker

        assert kit.server.fetch("/leave").status == 500
        assert int(kit.server.fetch("/").body) == worker

    def test_close_is_called_once(self, kit: Kit) -> None:
        """close() of a response's iterable is called once, when all of it was taken."""
        kit.server.fetch("/short?name=once")

        assert was_closed(kit.server, "once")
        assert closings(kit.server, "once") == 1

    def test_close_is_called_after_a_failure(self, kit: Kit) -> None:
        """close() is called once for an iterable that raises."""
        with kit.server.connect() as connection:
            connection.send(b"GET /fail-late?name=failed HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.read()

        assert was_closed(kit.server, "failed")
        assert closings(kit.server, "failed") == 1

    def test_close_is_called_when_the_client_leaves(self, kit: Kit) -> None:
        """close() is called once when the client leaves in the middle of a response."""
        server = kit.shared("--response-buffer", "1m")
        with server.connect() as connection:
            connection.send(b"GET /endless?name=left HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.read_head()
            connection.reset()

        assert was_closed(server, "left")
        assert closings(server, "left") == 1
