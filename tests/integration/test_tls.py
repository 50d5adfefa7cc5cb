"""TLS on every worker class, by clients that people use."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP, SIGKILL

import httpx
import pytest
import trustme
import websocket
from harness import DEADLINE, Launcher, RawConnection, Server, run_to_completion, wait_for_exit
from workers import classes_for

from workerkit.testing.client import request
from workerkit.testing.observed import look_until

APP = "tells_tls:app"
BIG = os.urandom(1 << 20) * 8
CHANGED = "The certificates have changed"
REFUSED = "The changed certificates are not used, those before stay"


class Certificates:
    """An authority, what it has issued, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.alice = folder / "alice.pem"
        alice = self.authority.issue_cert("alice@example.org", common_name="alice, the first")
        alice.private_key_and_cert_chain_pem.write_to_path(self.alice)

    def issue(self, folder: Path, name: str, *names: str) -> tuple[Path, Path]:
        """Write a certificate and its key to files, which are replaced if they are there."""
        leaf = self.authority.issue_cert(*(names or (name,)), "127.0.0.1")
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return certificate, key

    def arguments(self, folder: Path, *names: str) -> list[str]:
        """Return the flags of a server with these certificates."""
        pairs = [self.issue(folder, name) for name in names]
        return [word for pair in pairs for word in ("--certfile", str(pair[0]), "--keyfile", str(pair[1]))]

    def context(self, *, client: Path | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if client is not None:
            context.load_cert_chain(client)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def connect(self, server: Server, host: str = "localhost", context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Complete a handshake; the end of the connection without a good-bye is then an error."""
        plain = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        context = context or self.context()
        return context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)

    def names(self, server: Server, host: str = "localhost") -> set[str]:
        """Return the names in the certificate that a new connection gets."""
        context = self.context()
        context.check_hostname = False
        with self.connect(server, host, context) as connected:
            certificate = connected.getpeercert()
        assert certificate
        return {str(value) for kind, value in certificate["subjectAltName"] if kind == "DNS"}

    def client(self, server: Server) -> httpx.Client:
        return httpx.Client(base_url=server.url, verify=self.context(), timeout=DEADLINE, trust_env=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=classes_for("call"))
def server(request: pytest.FixtureRequest, certificates: Certificates, serve_for_module: Launcher) -> Server:
    """Serve with two certificates; clients may show one."""
    folder = certificates.folder / request.param
    folder.mkdir()
    pairs = certificates.arguments(folder, "localhost", "other.test")
    served: Server = serve_for_module(
        *("-k", request.param, "--handshake-timeout", "0.5", "--ca-certs", str(certificates.ca)),
        *("--cert-reqs", "optional", *pairs, APP),
    )
    return served


def run(*command: str, said: str = "") -> str:
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return done.stdout + done.stderr


# -- clients that people use --


@pytest.mark.program("curl")
def test_curl_is_answered(server: Server, certificates: Certificates) -> None:
    """A client that checks the certificate is served, and the application knows that it was by HTTPS."""
    assert server.url.startswith("https://127.0.0.1:")
    said = run("curl", "-s", "--cacert", str(certificates.ca), f"https://localhost:{server.port}/environ")

    assert '"wsgi.url_scheme": "https"' in said
    assert f'"SERVER_PORT": "{server.port}"' in said
    assert '"SSL_PROTOCOL": "TLSv1.3"' in said
    assert '"SSL_CLIENT_VERIFY": "NONE"' in said


@pytest.mark.program("curl")
def test_plain_http_is_explained(server: Server) -> None:
    """Who forgets the s in https is answered in plain HTTP."""
    said = run("curl", "-si", "--data", "x" * 100_000, f"http://127.0.0.1:{server.port}/")

    assert said.startswith("HTTP/1.1 400 Bad Request")
    assert "this address speaks HTTPS" in said


@pytest.mark.program("openssl")
@pytest.mark.parametrize(("version", "shown"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
@pytest.mark.parametrize("name", ["localhost", "other.test"])
def test_openssl_shakes_hands(server: Server, certificates: Certificates, version: str, shown: str, name: str) -> None:
    """The name chooses the certificate, ALPN is answered, in both versions of TLS."""
    said = run(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name, version),
        *("-alpn", "h2,http/1.1", "-CAfile", str(certificates.ca), "-verify_hostname", name, "-ign_eof", "-crlf"),
        said="GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n",
    )

    assert "Verify return code: 0 (ok)" in said
    assert "ALPN protocol: http/1.1" in said
    assert shown in said
    assert "HTTP/1.1 200 OK" in said


@pytest.mark.program("openssl")
def test_old_versions_are_refused(server: Server) -> None:
    """TLS 1.1 is not spoken."""
    said = run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")

    assert "Cipher is (NONE)" in said


# -- conversations --


def test_a_connection_is_kept(server: Server, certificates: Certificates) -> None:
    """Many requests go over one session, pipelined ones too, and its end is said."""
    with RawConnection(certificates.connect(server)) as connection:
        for _ in range(20):
            assert connection.get("/").body == b"hello"
        connection.send(b"".join(request("/") for _ in range(500)))
        assert {connection.read_response().body for _ in range(500)} == {b"hello"}
        assert connection.get("/", Connection="close").body == b"hello"

        assert connection.read() == b""


def test_a_big_upload(server: Server, certificates: Certificates) -> None:
    """Bodies that fill many records arrive whole, in a length or in chunks."""
    expected = hashlib.sha256(BIG).hexdigest()
    pieces = (BIG[start : start + 100_000] for start in range(0, len(BIG), 100_000))
    with certificates.client(server) as client:
        assert client.post("/digest", content=BIG).text == expected
        assert client.post("/digest", content=pieces).text == expected
        assert client.get("/").text == "hello"


def test_a_big_response_to_a_slow_reader(server: Server, certificates: Certificates) -> None:
    """It waits in a queue while others are served, and arrives whole."""
    with RawConnection(certificates.connect(server)) as slow:
        slow.send(request("/big"))
        with certificates.client(server) as client:
            assert client.get("/").text == "hello"
        body = slow.read_response().body

        assert body == bytes(range(256)) * 256 * 100
        assert slow.get("/").body == b"hello"


def test_a_file(server: Server, certificates: Certificates, tmp_path: Path) -> None:
    """What is sent by sendfile(2) in the clear is encrypted here."""
    path = tmp_path / "file"
    path.write_bytes(BIG)
    with certificates.client(server) as client:
        assert client.get(f"/file?{path}").content == BIG


# -- clients with certificates --


def test_a_client_shows_a_certificate(server: Server, certificates: Certificates) -> None:
    """The application learns whose it is, and a name cannot pass for more than it is."""
    context = certificates.context(client=certificates.alice)
    with httpx.Client(base_url=server.url, verify=context, timeout=DEADLINE, trust_env=False) as client:
        told = client.get("/environ").json()

    assert told["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert "CN=alice\\, the first" in told["SSL_CLIENT_S_DN"]
    assert told["SSL_CLIENT_I_DN"].startswith("OU=Testing CA")
    assert told["SSL_CLIENT_CERT"] in certificates.alice.read_text()


def test_a_strangers_certificate_is_refused(server: Server, certificates: Certificates, tmp_path: Path) -> None:
    """A certificate of another authority is no certificate, and the log says why."""
    mallory = tmp_path / "mallory.pem"
    trustme.CA().issue_cert("mallory@example.org").private_key_and_cert_chain_pem.write_to_path(mallory)
    connected = certificates.connect(server, context=certificates.context(client=mallory))
    with connected, pytest.raises(ssl.SSLError, match=r"(?i)alert unknown ca"):
        connected.recv(1)
    server.wait_for_log("The TLS handshake with 127.0.0.1 failed: certificate verify failed")


def test_a_certificate_can_be_required(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """Then who has none gets no answer."""
    pair = certificates.arguments(tmp_path, "localhost")
    server = serve("--ca-certs", str(certificates.ca), "--cert-reqs", "2", *pair, APP)
    with certificates.connect(server) as connected, pytest.raises(ssl.SSLError, match=r"(?i)certificate required"):
        connected.recv(1)
    with certificates.connect(server, context=certificates.context(client=certificates.alice)) as connected:
        assert RawConnection(connected).get("/").body == b"hello"


# -- clients that do not behave --


def test_silent_clients_cost_nothing(server: Server, certificates: Certificates) -> None:
    """They are closed when their time is over, and others are served meanwhile."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(30)]
        with certificates.client(server) as client:
            assert client.get("/").text == "hello"

        assert all(connection.at_end() for connection in silent)


def test_a_slow_handshake(server: Server, certificates: Certificates) -> None:
    """However its bytes arrive it is one, and others are served meanwhile."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = certificates.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with server.connect() as connection, certificates.client(server) as client:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while session.version() is None or outgoing.pending:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
            hello = outgoing.read()
            for position, byte in enumerate(hello):
                connection.send(bytes([byte]))
                if position == len(hello) // 2:
                    assert client.get("/").text == "hello"
            if session.version() is None:
                incoming.write(connection.socket.recv(65536))
        session.write(request("/"))
        connection.send(outgoing.read())
        incoming.write(connection.socket.recv(65536))
        answer = b""
        while not answer.endswith(b"hello"):
            try:
                answer += session.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(connection.socket.recv(65536))

    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00" + b"x" * 600, b"\x16" * 100_000, b"\x80\x2e\x01\x00\x02"])
def test_garbage(server: Server, certificates: Certificates, garbage: bytes) -> None:
    """It ends its connection, and the worker goes on."""
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(garbage)
        with contextlib.suppress(ConnectionError):
            connection.read()

    assert certificates.names(server) == {"localhost"}


def test_clients_that_leave_in_a_handshake(server: Server, certificates: Certificates) -> None:
    """With or without a word, before their first byte or after it, they leave nothing behind."""
    for number in range(40):
        with server.connect() as connection:
            if number % 2:
                connection.send(b"\x16\x03\x01\x02\x00\x01\x00")
            if number % 3:
                connection.reset()

    assert certificates.names(server) == {"localhost"}


# -- certificates that change --


def test_certificates_are_renewed(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """New connections get the new ones, in every worker and those made later; connections that are open go on."""
    server = serve("-k", "threaded", *certificates.arguments(tmp_path, "localhost"), APP, workers=2)
    workers = server.workers()
    with RawConnection(certificates.connect(server)) as kept:
        assert kept.get("/").body == b"hello"
        certificates.issue(tmp_path, "localhost", "localhost", "renewed.test")
        server.wait_for_log(CHANGED)
        assert look_until(lambda: certificates.names(server) == {"localhost", "renewed.test"})
        assert kept.get("/").body == b"hello"
    assert server.workers() == workers
    (tmp_path / "localhost.pem").write_text("broken")
    server.wait_for_log(f"{REFUSED}: the certificate .*localhost.pem cannot be used")
    for pid in workers:
        os.kill(pid, SIGKILL)
    wait_for_exit(workers)
    server.wait_for_workers(4)

    assert {frozenset(certificates.names(server)) for _ in range(10)} == {frozenset({"localhost", "renewed.test"})}


def test_workers_of_a_mold_get_what_came_after_it(
    serve: Launcher, certificates: Certificates, tmp_path: Path
) -> None:
    """A mold is older than the certificates that its next worker serves with."""
    server = serve("--preload", *certificates.arguments(tmp_path, "localhost"), APP)
    certificates.issue(tmp_path, "localhost", "renewed.test")
    server.wait_for_log(CHANGED)
    [pid] = server.workers()
    os.kill(pid, SIGKILL)
    wait_for_exit([pid])
    server.wait_for_workers(2)

    assert look_until(lambda: certificates.names(server) == {"renewed.test"})


def test_a_reload_reads_them(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """HUP takes what the files hold then; what cannot be served is given up, and a missing file refused."""
    server = serve(*certificates.arguments(tmp_path, "localhost"), APP)
    certificates.issue(tmp_path, "localhost", "renewed.test")
    server.signal(SIGHUP)
    server.wait_for_log("Reloaded")
    assert certificates.names(server) == {"renewed.test"}
    shutil.copy(certificates.ca, tmp_path / "localhost.pem")
    server.signal(SIGHUP)
    server.wait_for_log("Reload given up")
    assert certificates.names(server) == {"renewed.test"}
    (tmp_path / "localhost.pem").unlink()
    server.signal(SIGHUP)
    server.wait_for_log("Reload refused, .*cannot read .*localhost.pem: No such file")

    assert certificates.names(server) == {"renewed.test"}


def nobody_can_run_python() -> bool:
    """Tell whether we are root, and the interpreter is not in a folder that only root can enter."""
    if os.getuid() != 0:
        return False
    command = [sys.executable, "-c", "import ssl, httptools"]
    try:
        return subprocess.run(command, user="nobody", cwd="/", capture_output=True, check=False).returncode == 0
    except PermissionError:
        return False


@pytest.mark.skipif(not nobody_can_run_python(), reason="only root can become nobody, who must be able to run Python")
@pytest.mark.parametrize("worker_class", classes_for("call"))
def test_workers_need_not_read_the_key(
    serve: Launcher, certificates: Certificates, tmp_path: Path, worker_class: str
) -> None:
    """A worker that is nobody serves with a key that only root can read, and with the one that follows it."""
    folder = tmp_path / "private"
    folder.mkdir()
    pair = certificates.arguments(folder, "localhost")
    folder.chmod(0o700)
    (folder / "localhost.key").chmod(0o600)
    # pytest's folders are for their owner alone; the worker's is everybody's.
    server = serve("-k", worker_class, "--user", "nobody", "--chdir", "/", *pair, APP)
    with certificates.client(server) as client:
        assert client.get("/environ").json()["uid"] != 0
    certificates.issue(folder, "localhost", "renewed.test")
    server.wait_for_log(CHANGED)

    assert look_until(lambda: certificates.names(server) == {"renewed.test"})


# -- other things than requests --


@pytest.mark.parametrize("worker_class", classes_for("dialogue"))
def test_a_dialogue(serve: Launcher, certificates: Certificates, tmp_path: Path, worker_class: str) -> None:
    """A function that owns its connection knows nothing of TLS, and drains as without it."""
    server = serve("-k", worker_class, *certificates.arguments(tmp_path, "localhost"), "echoes_lines:talk")
    with RawConnection(certificates.connect(server)) as first, RawConnection(certificates.connect(server)) as second:
        for line in (b"hello\n", b"x" * 60_000 + b"\n"):
            for connection in (first, second):
                connection.send(line)
            assert (first.read_line(), second.read_line()) == (line, line)
        server.stop()

        assert (first.read_line(), second.read_line()) == (b"good-bye\n", b"good-bye\n")
        assert first.read() == b""


@pytest.mark.parametrize("worker_class", classes_for("dialogue"))
def test_a_websocket(
    serve: Launcher, certificates: Certificates, tmp_path: Path, worker_class: str, opened: Open
) -> None:
    """A library that takes the connection over goes on in its session, until its worker leaves."""
    server = serve("-k", worker_class, *certificates.arguments(tmp_path, "localhost"), "echoes_flask_sock:app")
    clients = [opened(server) for _ in range(5)]
    for size in (1, 1000, 200_000):
        for client in clients:
            client.send("x" * size)
        assert [len(client.recv()) for client in clients] == [size] * 5
    server.stop()

    assert {client.recv_data() for client in clients} == {(websocket.ABNF.OPCODE_CLOSE, b"\x03\xe9the worker leaves")}


@pytest.mark.parametrize(
    ("worker_class", "application"), [("gevent", "echoes_gevent_websocket:app"), ("eventlet", "echoes_eventlet:app")]
)
def test_a_websocket_of_a_librarys_own(
    serve: Launcher, certificates: Certificates, tmp_path: Path, worker_class: str, application: str, opened: Open
) -> None:
    """So do gevent-websocket and eventlet.websocket."""
    server = serve("-k", worker_class, *certificates.arguments(tmp_path, "localhost"), application)
    clients = [opened(server) for _ in range(5)]
    for size in (1, 1000, 60_000):
        for client in clients:
            client.send("x" * size)
        assert [len(client.recv()) for client in clients] == [size] * 5


Open = Callable[[Server], websocket.WebSocket]


@pytest.fixture
def opened(certificates: Certificates) -> Iterator[Open]:
    """Open WebSockets that are closed after the test."""
    clients: list[websocket.WebSocket] = []

    def connect(server: Server) -> websocket.WebSocket:
        url = f"wss://127.0.0.1:{server.port}/echo"
        sslopt = {"context": certificates.context()}
        clients.append(websocket.create_connection(url, timeout=DEADLINE, sslopt=sslopt))
        return clients[-1]

    yield connect
    for client in clients:
        client.shutdown()


# -- starting --


def test_it_works_without_workers(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """The inline arbiter serves by TLS, too."""
    server = serve(*certificates.arguments(tmp_path, "localhost"), APP, workers=0)

    assert certificates.names(server) == {"localhost"}


def test_a_unix_socket(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """Every address of the pool is TLS."""
    server = serve(*certificates.arguments(tmp_path, "localhost"), APP, bind="unix:s.sock")
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(server.folder / "s.sock"))
        with certificates.context().wrap_socket(plain, server_hostname="localhost") as connected:
            assert RawConnection(connected).get("/").body == b"hello"


def test_the_hook_of_a_configuration_file(serve: Launcher, certificates: Certificates, tmp_path: Path) -> None:
    """``ssl_context`` changes the default context, as with gunicorn."""
    config = tmp_path / "server.py"
    config.write_text(
        "def ssl_context(config, default_ssl_context_factory):\n"
        "    import ssl\n"
        "    context = default_ssl_context_factory()\n"
        "    context.maximum_version = ssl.TLSVersion.TLSv1_2\n"
        "    return context\n"
    )
    server = serve("-c", str(config), *certificates.arguments(tmp_path, "localhost"), APP)
    with certificates.connect(server) as connected:
        assert connected.version() == "TLSv1.2"


def test_mistakes_are_told_at_the_start(certificates: Certificates, tmp_path: Path) -> None:
    """A pair that does not fit ends the start, and the check, with a sentence and no traceback."""
    first, _ = certificates.issue(tmp_path, "first")
    _, second = certificates.issue(tmp_path, "second")
    for check in ((), ("--check-config",)):
        pair = ("--certfile", str(first), "--keyfile", str(second))
        done = run_to_completion("-b", "127.0.0.1:0", *pair, *check, APP, folder=tmp_path)

        assert done.code == 1
        assert any(re.search(r"first\.pem cannot be used: the key belongs to another", line) for line in done.err)
        assert not any("Traceback" in line for line in done.err)
