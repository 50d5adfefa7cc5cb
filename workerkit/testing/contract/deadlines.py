"""Facts about time: what a worker does when a client lets its deadline pass."""

from __future__ import annotations

from workerkit.testing.bench import Kit
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts

SHORT = ("--head-timeout", "0.3", "--body-timeout", "0.3", "--keep-alive", "0.3", "--write-timeout", "0.5")


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
