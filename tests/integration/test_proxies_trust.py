"""Behind haproxy: whose a connection is, by the PROXY protocol, and whose a request is, by what header fields say."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP
from typing import Any

import pytest
import trustme
from harness import DEADLINE, Launcher, RawConnection, Server, wait_for_exit
from workers import classes_for

from workerkit.testing.client import request

CLIENT = "127.0.0.5"
APP = "workerkit.testing.apps.pages:app"
TELLS_PEER = """\
def tell(stream):
    for line in stream.lines():
        stream.write(repr(stream.peer).encode() + line)
"""
LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"

CONFIGURATION = """\
global
    maxconn 200
defaults
    mode {mode}
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    {defaults}
listen front
    bind fd@{fd}
    server app {server}
"""

EACH_CLASS = pytest.mark.parametrize("worker_class", classes_for("call"))


class HAProxy:
    """A proxy that listens at a port of its own."""

    def __init__(self, folder: Path, server: str, mode: str = "tcp", defaults: str = "") -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        fd = self.listener.fileno()
        path = folder / f"haproxy-{self.port}.cfg"
        path.write_text(CONFIGURATION.format(mode=mode, defaults=defaults, fd=fd, server=server))
        self._process = subprocess.Popen(
            ["haproxy", "-db", "-q", "-f", path], pass_fds=[fd], stdin=subprocess.DEVNULL, cwd=folder
        )

    def connect(self, client: str = CLIENT) -> RawConnection:
        """Connect from an address of the machine's that is nobody else's."""
        return RawConnection(socket.create_connection(("127.0.0.1", self.port), DEADLINE, (client, 0)))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)
        self.listener.close()


Proxy = Callable[..., HAProxy]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """Start proxies that end with the test."""
    started: list[HAProxy] = []

    def start(server: str, **named: str) -> HAProxy:
        started.append(HAProxy(tmp_path, server, **named))
        return started[-1]

    yield start
    for one in started:
        one.close()


def facts(connection: RawConnection, **fields: str) -> dict[str, Any]:
    """Return what the application is told of a request."""
    reply = connection.get("/facts", **fields)
    assert reply.status == 200
    told: dict[str, Any] = json.loads(reply.body)
    return told


def ends(connection: RawConnection) -> bool:
    """Whether the server ends a connection that it owes no answer."""
    try:
        return connection.read(1) == b""
    except ConnectionResetError:
        return True


# -- the PROXY protocol --


@pytest.mark.program("haproxy")
@EACH_CLASS
def test_the_client_is_known_behind_a_proxy_that_understands_nothing(
    serve: Launcher, proxy: Proxy, worker_class: str
) -> None:
    """Client and address are those of the proxy's front, for each request, by either version; checks disturb nobody."""
    server = serve("--worker-class", worker_class, "--proxy-protocol", "auto", APP)
    for version in ("send-proxy", "send-proxy-v2"):
        front = proxy(f"127.0.0.1:{server.port} {version} check inter 50ms")
        with front.connect() as connection:
            for _ in range(3):
                told = facts(connection)
                assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == (
                    CLIENT, str(connection.socket.getsockname()[1])
                )  # fmt: skip
                assert (told["SERVER_NAME"], told["SERVER_PORT"]) == ("127.0.0.1", str(front.port))
    assert not server.log.find("PROXY")


@pytest.mark.program("haproxy")
@EACH_CLASS
def test_tls_comes_after_the_header(serve: Launcher, proxy: Proxy, worker_class: str, tmp_path: Path) -> None:
    """The proxy passes on what it cannot read, and the server knows client and session."""
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    server = serve(
        *("--worker-class", worker_class, "--proxy-protocol", "v2", "--certfile", str(certificate), APP)
    )
    front = proxy(f"127.0.0.1:{server.port} send-proxy-v2")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    plain = socket.create_connection(("127.0.0.1", front.port), DEADLINE, (CLIENT, 0))
    with RawConnection(context.wrap_socket(plain, server_hostname="localhost")) as connection:
        for _ in range(2):
            told = facts(connection)

            assert (told["REMOTE_ADDR"], told["wsgi.url_scheme"]) == (CLIENT, "https")
            assert told["SSL_PROTOCOL"].startswith("TLS")


@pytest.mark.program("haproxy")
@pytest.mark.parametrize("worker_class", classes_for("dialogue"))
def test_any_protocol_knows_its_client(serve: Launcher, proxy: Proxy, worker_class: str) -> None:
    """A function of a stream finds the client in stream.peer, and its bytes right behind the header."""
    server = serve(
        *("--worker-class", worker_class, "--proxy-protocol", "v1", "peers:tell"), files={"peers.py": TELLS_PEER}
    )
    with proxy(f"127.0.0.1:{server.port} send-proxy").connect() as connection:
        connection.send(b" one\n two\n")

        peer = repr(connection.socket.getsockname()).encode()
        assert [connection.read_line(), connection.read_line()] == [peer + b" one\n", peer + b" two\n"]


@EACH_CLASS
def test_a_header_is_required_believed_once_and_only_of_proxies(serve: Launcher, worker_class: str) -> None:
    """In pieces or with a request behind it; anything else is closed, and the worker goes on."""
    server = serve(*("--worker-class", worker_class, "--proxy-protocol", "v1", APP))
    with server.connect() as connection:
        for byte in LINE:
            connection.send(bytes([byte]))
        connection.send(request("/facts") + request("/facts"))
        for _ in range(2):
            assert json.loads(connection.read_response().body)["REMOTE_ADDR"] == "203.0.113.7"
    with server.connect() as connection:
        connection.send(LINE + LINE)
        assert connection.read_response().status == 400
    for wrong in (b"G", b"\r", LINE.replace(b"443", b"65536")):
        with server.connect() as connection:
            connection.send(wrong)
            assert ends(connection)
    stranger = socket.create_connection(("127.0.0.1", server.port), DEADLINE, ("127.0.0.9", 0))
    with RawConnection(stranger) as connection:
        connection.send(LINE)
        assert ends(connection)
    server.wait_for_log("not in proxy-allow-ips, the last of 127.0.0.9")
    server.wait_for_log("does not begin with a header of the PROXY protocol", count=2)


def test_fields_are_believed_of_the_client_and_not_of_the_proxy_that_passes_on(serve: Launcher) -> None:
    """A proxy that understands no HTTP cannot vouch for what its client writes."""
    server = serve("--proxy-protocol", "auto", APP)
    with server.connect() as connection:
        connection.send(LINE)

        assert facts(connection, X_Forwarded_Proto="https")["wsgi.url_scheme"] == "http"


@pytest.mark.program("haproxy")
@EACH_CLASS
def test_a_reload_keeps_connections_and_their_clients(serve: Launcher, proxy: Proxy, worker_class: str) -> None:
    """An idle connection goes on with a new worker, which needs no header to know whose it is."""
    server = serve("--worker-class", worker_class, "--proxy-protocol", "v2", "--keep-alive", "30", APP)
    old = server.workers()
    with proxy(f"127.0.0.1:{server.port} send-proxy-v2").connect() as connection:
        before = facts(connection)
        server.signal(SIGHUP)
        wait_for_exit(old)

        after = facts(connection)
        assert (after["REMOTE_ADDR"], after["REMOTE_PORT"]) == (before["REMOTE_ADDR"], before["REMOTE_PORT"])
        assert after["SERVER_PORT"] == before["SERVER_PORT"]


# -- connections per address --


@EACH_CLASS
def test_an_address_has_so_many_connections_and_no_more(serve: Launcher, worker_class: str) -> None:
    """One more is closed; others are not concerned, and who leaves makes room."""
    server = serve(*("--worker-class", worker_class, "--connections-per-address", "2", APP))
    with server.connect() as first, server.connect() as second:
        assert (facts(first)["REMOTE_ADDR"], facts(second)["REMOTE_ADDR"]) == ("127.0.0.1", "127.0.0.1")
        with server.connect() as third:
            assert ends(third)
        other = socket.create_connection(("127.0.0.1", server.port), DEADLINE, (CLIENT, 0))
        with RawConnection(other) as elsewhere:
            assert facts(elsewhere)["REMOTE_ADDR"] == CLIENT
        assert first.get("/facts", Connection="close").status == 200
        assert ends(first)
        with server.connect() as third:
            assert facts(third)["REMOTE_ADDR"] == "127.0.0.1"
    server.wait_for_log(r"Closed 1 connections of addresses that have 2 already .* the last of 127\.0\.0\.1")


def test_behind_a_proxy_its_clients_are_counted(serve: Launcher) -> None:
    """All connections come from one peer, and each address that it names has its own number."""
    server = serve("--connections-per-address", "1", "--proxy-protocol", "v1", APP)
    with server.connect() as first, server.connect() as second, server.connect() as third:
        first.send(LINE)
        second.send(LINE.replace(b"203.0.113.7", b"203.0.113.8"))
        assert facts(first)["REMOTE_ADDR"] == "203.0.113.7"
        assert facts(second)["REMOTE_ADDR"] == "203.0.113.8"
        third.send(LINE)
        assert ends(third)


# -- header fields --


@pytest.mark.program("haproxy")
@EACH_CLASS
def test_the_client_is_known_by_the_field_that_was_asked_for(serve: Launcher, proxy: Proxy, worker_class: str) -> None:
    """To the application and to the access log, whatever the client claims itself."""
    server = serve(
        *("--worker-class", worker_class, "--remote-addr-header", "X-Forwarded-For"),
        *("--access-logfile", "access.log", "--access-logformat", "%(h)s %(U)s", APP),
    )
    front = proxy(f"127.0.0.1:{server.port}", mode="http", defaults="option forwardfor")
    with front.connect() as connection:
        told = facts(connection, X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6")
        assert told["REMOTE_ADDR"] == CLIENT
        assert "REMOTE_PORT" not in told
    stranger = socket.create_connection(("127.0.0.1", server.port), DEADLINE, ("127.0.0.9", 0))
    with RawConnection(stranger) as connection:
        assert facts(connection, X_Forwarded_For="6.6.6.6")["REMOTE_ADDR"] == "127.0.0.9"
    server.stop()

    assert (server.folder / "access.log").read_text() == f"{CLIENT} /facts\n127.0.0.9 /facts\n"


def test_the_field_of_rfc_7239_tells_the_scheme_too(serve: Launcher) -> None:
    """Of the element that names the client; a malformed field is a 400."""
    server: Server = serve("--remote-addr-header", "Forwarded", APP)
    with server.connect() as connection:
        told = facts(connection, Forwarded='for=6.6.6.6;proto=http, for="[2001:db8::7]:4711";proto=https')
        assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("2001:db8::7", "4711")
        assert told["wsgi.url_scheme"] == "https"
        assert connection.get("/facts", Forwarded='for="6.6.6.6, for=192.0.2.7').status == 400


def test_by_default_a_field_changes_nothing(serve: Launcher) -> None:
    """As with gunicorn, REMOTE_ADDR is the peer's."""
    server: Server = serve(APP)
    with server.connect() as connection:
        told = facts(connection, X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6;proto=https")

        assert (told["REMOTE_ADDR"], told["wsgi.url_scheme"]) == ("127.0.0.1", "http")
        assert (told["HTTP_X_FORWARDED_FOR"], told["wsgi.input_terminated"]) == ("6.6.6.6", True)
