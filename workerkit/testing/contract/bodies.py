"""Facts about bodies, in both directions."""

from __future__ import annotations

import hashlib

from workerkit.testing.apps.pages import PIECE
from workerkit.testing.bench import Kit
from workerkit.testing.client import chunked, request
from workerkit.testing.contract.base import Facts

PIECES = 256
BIG = PIECE * PIECES


def digest(body: bytes) -> bytes:
    """Return what the page /digest says about a body."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


class BodyFacts(Facts):
    """Bodies, in both directions."""

    def test_small_body_arrives(self, kit: Kit) -> None:
        """A small body reaches the application."""
        assert kit.server.exchange(request("/digest", method="POST", body=b"hello")).body == digest(b"hello")

    def test_big_body_with_a_length_arrives(self, kit: Kit) -> None:
        """A body of 4 MiB with a length reaches the application unchanged."""
        assert kit.server.exchange(request("/digest", method="POST", body=BIG)).body == digest(BIG)

    def test_big_body_in_chunks_arrives(self, kit: Kit) -> None:
        """A body of 4 MiB in chunks of many sizes reaches the application unchanged."""
        sizes = [size * 37 % 9000 + 1 for size in range(2000)]
        pieces = [BIG[sum(sizes[:index]) :][:size] for index, size in enumerate(sizes[:900])]
        head = request("/digest", method="POST", Transfer_Encoding="chunked")

        assert kit.server.exchange(head + chunked(pieces)).body == digest(b"".join(pieces))

    def test_body_that_streams_arrives(self, kit: Kit) -> None:
        """A body that is too big to be buffered is read by the application as it comes, unchanged."""
        server = kit.shared("--request-buffer", "65536")

        assert server.exchange(request("/digest", method="POST", body=BIG)).body == digest(BIG)

    def test_big_response_with_a_length_arrives(self, kit: Kit) -> None:
        """A response of 4 MiB with a length arrives unchanged."""
        assert kit.server.fetch(f"/big?pieces={PIECES}&length=1").body == BIG

    def test_big_response_in_chunks_arrives(self, kit: Kit) -> None:
        """A response of 4 MiB without a length arrives in chunks, unchanged, and leaves the connection usable."""
        with kit.server.connect() as connection:
            reply = connection.get(f"/big?pieces={PIECES}")
            after = connection.get("/number?n=1")

        assert reply.headers["transfer-encoding"] == "chunked"
        assert reply.body == BIG
        assert after.body == b"1"

    def test_big_response_over_http_1_0_arrives(self, kit: Kit) -> None:
        """A response without a length ends with the connection for a client of HTTP/1.0."""
        assert kit.server.exchange(request(f"/big?pieces={PIECES}", version="1.0")).body == BIG

    def test_file_arrives(self, kit: Kit) -> None:
        """A file that is answered by wsgi.file_wrapper arrives unchanged, and the connection goes on."""
        with kit.server.connect() as connection:
            assert connection.get(f"/file?pieces={PIECES}").body == BIG
            assert connection.get("/number?n=1").body == b"1"

    def test_100_continue(self, kit: Kit) -> None:
        """A client that waits for `100 Continue` is told to go on, and its body arrives."""
        with kit.server.connect() as connection:
            connection.send(request("/digest", method="POST", Content_Length="5", Expect="100-continue"))
            status, _ = connection.read_head(interim=True)
            connection.send(b"hello")
            reply = connection.read_response("POST")

        assert status == 100
        assert reply.body == digest(b"hello")

    def test_head_has_no_body(self, kit: Kit) -> None:
        """HEAD is answered with the fields of GET and no body, and the connection goes on."""
        with kit.server.connect() as connection:
            connection.send(request("/number?n=123", method="HEAD"))
            reply = connection.read_response("HEAD")
            after = connection.get("/number?n=1")

        assert (reply.status, reply.headers["content-length"]) == (200, "3")
        assert after.body == b"1"

    def test_statuses_without_a_body(self, kit: Kit) -> None:
        """204 and 304 are sent without a body, and the connection goes on."""
        with kit.server.connect() as connection:
            statuses = [connection.get(f"/nothing?status={status}%20X").status for status in (204, 304)]

            assert statuses == [204, 304]
            assert connection.get("/number?n=1").body == b"1"
