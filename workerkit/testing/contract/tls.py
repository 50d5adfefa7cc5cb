"""Facts about TLS: a worker class knows nothing of it, and keeps every promise over it."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import ExitStack

from workerkit.testing.bench import Kit, WatchedServer, worker_needs
from workerkit.testing.certificate import CERTIFICATE, KEY
from workerkit.testing.client import RawConnection, request
from workerkit.testing.contract.base import Facts
from workerkit.testing.contract.protocols import TALKS

BODY = bytes(range(256)) * 8192


def certfile(kit: Kit) -> str:
    """Return a file with a certificate and its key."""
    path = kit.folder / "localhost.pem"
    path.write_text(CERTIFICATE + KEY)
    return str(path)


def secured(kit: Kit) -> WatchedServer:
    """Return the server that these facts share."""
    return kit.shared("--certfile", certfile(kit), "--handshake-timeout", "0.5")


def connect(server: WatchedServer) -> RawConnection:
    """Connect, and complete a handshake."""
    context = ssl.create_default_context(cadata=CERTIFICATE)
    plain = server.connect()
    plain.socket.settimeout(None)
    session = context.wrap_socket(plain.socket, server_hostname="localhost", suppress_ragged_eofs=False)
    plain.close()
    return RawConnection(session)


class TlsFacts(Facts):
    """TLS."""

    def test_tls_connection_is_kept(self, kit: Kit) -> None:
        """Requests are answered one after another over TLS, also those that came in one record."""
        with connect(secured(kit)) as connection:
            for number in range(20):
                assert connection.get(f"/number?n={number}").body == b"%d" % number
            connection.send(b"".join(request(f"/number?n={number}") for number in range(50)))

            assert [connection.read_response().body for _ in range(50)] == [b"%d" % number for number in range(50)]

    def test_tls_upload(self, kit: Kit) -> None:
        """A body of many records reaches the application whole, though a poller sees only some of them."""
        with connect(secured(kit)) as connection:
            connection.send(request("/digest", method="POST", body=BODY))
            answer = connection.read_response("POST").body.decode()

        assert hashlib.sha256(BODY).hexdigest() in answer

    def test_tls_slow_reader(self, kit: Kit) -> None:
        """A response of many megabytes waits for its reader, arrives whole, and holds nobody up."""
        server = secured(kit)
        with connect(server) as slow:
            slow.send(request("/big?pieces=512&length=1"))
            with connect(server) as other:
                assert other.get("/number?n=1").body == b"1"

            assert len(slow.read_response().body) == 512 * 16384

    def test_tls_end_is_said(self, kit: Kit) -> None:
        """A connection that the server ends is ended by TLS first, so that nothing looks cut off."""
        with connect(secured(kit)) as connection:
            connection.get("/", Connection="close")

            assert connection.at_end()

    def test_tls_silent_clients(self, kit: Kit) -> None:
        """Clients that begin no handshake, or do not finish it, are closed in time and hold nobody up."""
        server = secured(kit)
        with ExitStack() as clients:
            silent = [clients.enter_context(server.connect()) for _ in range(10)]
            for connection in silent[::2]:
                connection.send(b"\x16\x03\x01\x02")
            with connect(server) as connection:
                assert connection.get("/number?n=1").body == b"1"

            assert all(connection.at_end() for connection in silent)
        assert server.is_idle()

    def test_tls_plain_request(self, kit: Kit) -> None:
        """A request without TLS is answered by 400, without TLS."""
        with secured(kit).connect() as connection:
            connection.send(request("/"))

            assert connection.read_response().status == 400
            assert connection.at_end()

    @worker_needs("dialogue")
    def test_tls_dialogue(self, kit: Kit) -> None:
        """A function that owns its stream reads and writes over TLS, and sees the end when its worker leaves."""
        server = kit.host(TALKS, certfile=certfile(kit))
        with connect(server) as connection:
            connection.send(b"hello\nexactly 100000\n" + b"x" * 100_000)
            assert [connection.read_line() for _ in range(2)] == [b"hello\n", b"100000\n"]
            server.begin_to_stop()

            assert connection.read_line() == b"the end\n"
            assert connection.at_end()
        server.wait_for_end(0)
