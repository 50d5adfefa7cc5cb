"""The conversation before the protocol's own: handshakes, refusals, and what is passed on."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator

import pytest
import trustme
from sockets import arrived
from tls_peer import Client, certificates

from workerkit.errors import ConfigError
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.net.tls import TlsConnection, TlsServer
from workerkit.net.tls_options import TlsOptions
from workerkit.net.tls_stream import TlsStream


class Inner(Connection):
    """Reads little at a time, and remembers it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.deadline = 77.0
        self.heard: list[bytes | None] = []
        self.calls: list[str] = []

    def advance(self, now: float) -> Next:
        self.heard.append(self.stream.recv(4))
        return Next.CLOSE if self.heard[-1] == b"" else Next.IDLE

    def take(self) -> Job:
        return lambda: "the job"

    def expire(self, now: float) -> Next:
        self.calls.append("expire")
        return Next.WRITE

    def drain(self, now: float) -> Next:
        self.calls.append("drain")
        return Next.READ

    def close(self) -> None:
        self.calls.append("close")


class Toy(Protocol):
    alpn = ("toy/2", "toy/1")
    refusal = b"speak TLS\n"

    def __init__(self) -> None:
        self.made: list[Inner] = []

    def connect(self, stream: Stream) -> Inner:
        self.made.append(Inner(stream))
        return self.made[-1]

    def plaintext_refusal(self) -> bytes:
        return self.refusal


class Meeting:
    """A client, and the connection that it meets."""

    def __init__(self, server: TlsServer, protocol: Toy, client: Client) -> None:
        self.server, self.protocol, self.client = server, protocol, client
        self.connection: TlsConnection = server.connect(client.accepted)

    @property
    def inner(self) -> Inner:
        return self.protocol.made[0]

    @property
    def stream(self) -> TlsStream:
        return self.connection.stream

    def go_on(self) -> Next:
        return self.connection.advance(100.0)

    def shake_hands(self) -> None:
        self.client.shake_hands(self.go_on)
        self.inner.heard.clear()

    def close(self) -> None:
        self.connection.close()
        self.stream.close()
        self.client.close()


LOG = logging.getLogger("tests.tls")


def server_of(
    *leaves: trustme.LeafCert, protocol: Toy | None = None, authorities: str = "", **options: object
) -> TlsServer:
    settings = TlsOptions(certfile=("0.pem",), **options)  # type: ignore[arg-type]  # whichever a test is about
    return TlsServer(settings, certificates(*leaves, authorities=authorities), protocol or Toy(), LOG)


@pytest.fixture
def meeting(leaf: trustme.LeafCert, trusting: ssl.SSLContext) -> Iterator[Meeting]:
    protocol = Toy()
    met = Meeting(server_of(leaf, protocol=protocol), protocol, Client(trusting, alpn=("toy/1", "other")))
    yield met
    met.close()


# -- the handshake --


def test_a_handshake_comes_first(meeting: Meeting) -> None:
    """The protocol has no part in it, learns nothing of it, and is then asked at once."""
    assert meeting.go_on() is Next.READ
    assert not meeting.protocol.made
    meeting.client.shake_hands(meeting.go_on)

    assert meeting.inner.heard == [None]
    assert meeting.client.tls.version() == "TLSv1.3"
    assert meeting.client.tls.selected_alpn_protocol() == "toy/1"


def test_what_comes_with_the_handshake_is_read(meeting: Meeting) -> None:
    """Bytes that arrive together with the handshake's last are not waited for once more."""
    client = meeting.client
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.flush()
    meeting.go_on()
    client.take_in()
    client.tls.do_handshake()
    client.tls.write(b"hey!")
    client.flush()
    meeting.go_on()

    assert meeting.inner.heard == [b"hey!"]


def test_a_handshake_byte_by_byte(meeting: Meeting) -> None:
    """However the bytes arrive, they are the same handshake."""
    client = meeting.client
    while not meeting.protocol.made:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        for byte in client.outgoing.read():
            client.socket.send(bytes([byte]))
            assert meeting.go_on() in {Next.READ, Next.IDLE}
        client.take_in()

    assert meeting.inner.heard[0] is None


def test_the_deadline_is_the_handshakes_and_then_the_protocols(meeting: Meeting) -> None:
    """It counts from the first look at the connection, whatever arrives meanwhile."""
    meeting.go_on()
    assert meeting.connection.deadline == 110.0
    meeting.connection.advance(105.0)
    assert meeting.connection.deadline == 110.0
    meeting.shake_hands()

    assert meeting.connection.deadline == 77.0


def test_a_silent_client_is_given_up(meeting: Meeting) -> None:
    """Past the deadline the connection is closed, without a word."""
    meeting.go_on()

    assert meeting.connection.expire(111.0) is Next.CLOSE
    meeting.stream.close()
    assert arrived(meeting.client.socket) == b""


def test_a_client_that_leaves_during_the_handshake(meeting: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    """It costs a line in the log and its connection."""
    with pytest.raises(ssl.SSLWantReadError):
        meeting.client.tls.do_handshake()
    meeting.client.flush()
    assert meeting.go_on() is Next.READ
    meeting.client.socket.close()

    with caplog.at_level(logging.INFO):
        assert meeting.go_on() is Next.CLOSE
    assert "The TLS handshake with 192.0.2.1 failed" in caplog.text


def test_a_client_that_says_nothing_and_leaves(meeting: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    """A look at whether the port is open is not worth a line."""
    meeting.client.socket.close()

    with caplog.at_level(logging.INFO):
        assert meeting.go_on() is Next.CLOSE
    assert not caplog.text


def test_garbage_that_begins_like_a_handshake(meeting: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    """It is told so by an alert, and the log says what OpenSSL made of it."""
    meeting.client.socket.send(b"\x16\x03\x01\x00\x05hello" * 10)

    with caplog.at_level(logging.INFO):
        assert meeting.go_on() is Next.CLOSE
    assert arrived(meeting.client.socket)[:1] == b"\x15"
    assert "failed: " in caplog.text


def test_an_old_client_is_refused(leaf: trustme.LeafCert, trusting: ssl.SSLContext) -> None:
    """``tls_version`` 1.3 does not speak 1.2."""
    protocol = Toy()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    met = Meeting(server_of(leaf, protocol=protocol, tls_version="1.3"), protocol, Client(trusting))
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        met.client.shake_hands(met.go_on)
    met.close()


# -- who does not speak TLS --


def test_plain_text_is_answered_by_the_protocol(meeting: Meeting) -> None:
    """The answer is in plain text, and is not lost though the client goes on sending."""
    meeting.client.socket.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
    assert meeting.go_on() is Next.READ
    assert meeting.connection.deadline == 102.0
    meeting.client.socket.send(b"more")
    assert meeting.go_on() is Next.AGAIN
    assert meeting.connection.drain(100.0) is Next.READ
    assert arrived(meeting.client.socket) == b"speak TLS\n"
    meeting.client.socket.close()

    assert meeting.go_on() is Next.CLOSE
    assert not meeting.protocol.made


def test_a_protocol_without_an_answer_closes(meeting: Meeting) -> None:
    """Then there is nothing to say in plain text."""
    meeting.protocol.refusal = b""
    meeting.client.socket.send(b"hello\n")

    assert meeting.go_on() is Next.CLOSE
    assert arrived(meeting.client.socket) == b""


# -- the protocol's turn --


def test_what_no_poller_can_see_is_not_waited_for(meeting: Meeting) -> None:
    """A protocol that reads a part of what is here is called again, until it has everything."""
    meeting.shake_hands()
    meeting.client.send(b"abcdefghij")
    steps = [meeting.go_on() for _ in range(3)]

    assert steps == [Next.AGAIN, Next.AGAIN, Next.IDLE]
    assert meeting.inner.heard == [b"abcd", b"efgh", b"ij"]
    assert meeting.stream.pending == 0


def test_a_record_that_is_not_complete_is_waited_for(meeting: Meeting) -> None:
    """What is here of it makes nobody busy."""
    meeting.shake_hands()
    meeting.client.tls.write(b"hey!")
    record = meeting.client.outgoing.read()
    meeting.client.socket.send(record[:-1])
    assert meeting.go_on() is Next.IDLE
    assert meeting.go_on() is Next.IDLE
    meeting.client.socket.send(record[-1:])
    meeting.go_on()

    assert meeting.inner.heard == [None, None, b"hey!"]


def test_a_good_bye_is_the_end(meeting: Meeting) -> None:
    """The protocol reads the end, whether the peer says good-bye or only hangs up."""
    meeting.shake_hands()
    with pytest.raises(ssl.SSLWantReadError):
        meeting.client.tls.unwrap()
    meeting.client.flush()

    assert meeting.go_on() is Next.CLOSE


def test_everything_else_is_passed_on(meeting: Meeting) -> None:
    """Jobs, deadlines, drains and the end are the protocol's."""
    meeting.shake_hands()

    assert meeting.connection.take()() == "the job"
    assert meeting.connection.expire(200.0) is Next.WRITE
    assert meeting.connection.drain(200.0) is Next.READ
    assert meeting.connection.export() is None
    meeting.connection.close()
    assert meeting.inner.calls == ["expire", "drain", "close"]


def test_a_drain_during_the_handshake(meeting: Meeting) -> None:
    """The handshake goes on for a moment, and the protocol is told when it has its connection."""
    meeting.go_on()
    assert meeting.connection.drain(100.0) is Next.READ
    assert meeting.connection.deadline == 102.0
    meeting.client.shake_hands(meeting.go_on)

    assert meeting.inner.calls == ["drain"]


# -- certificates --


def connected_to(server: TlsServer, context: ssl.SSLContext, host: str) -> dict[str, object]:
    """Return the certificate that a client sees who asks for a host."""
    context.check_hostname = False
    protocol = server.protocol
    assert isinstance(protocol, Toy)
    met = Meeting(server, protocol, Client(context, host))
    met.client.shake_hands(met.go_on)
    seen = met.client.tls.getpeercert()
    met.close()
    assert seen
    return {value for _, value in seen["subjectAltName"]}  # type: ignore[return-value,union-attr]


def test_the_name_chooses_the_certificate(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """Of several certificates the one with the client's name is used, the first one for any other name."""
    leaves = [authority.issue_cert(*names) for names in (("one.test",), ("two.test", "*.wild.test"), ("two.test",))]
    server = server_of(*leaves)
    one, two = {"one.test"}, {"two.test", "*.wild.test"}

    seen = {
        host: connected_to(server, trusting, host)
        for host in ("one.test", "TWO.test", "a.wild.test", "a.b.wild.test", "wild.test", "192.0.2.1")
    }
    assert seen == {
        "one.test": one,
        "TWO.test": two,
        "a.wild.test": two,
        "a.b.wild.test": one,
        "wild.test": one,
        "192.0.2.1": one,
    }


def test_other_certificates_are_for_new_connections(
    authority: trustme.CA, leaf: trustme.LeafCert, meeting: Meeting, trusting: ssl.SSLContext
) -> None:
    """A connection goes on with the certificate that it began with."""
    meeting.shake_hands()
    meeting.server.renew(certificates(authority.issue_cert("renewed.test")))
    meeting.client.send(b"hey!")
    meeting.go_on()

    assert meeting.inner.heard == [b"hey!"]
    assert connected_to(meeting.server, trusting, "localhost") == {"renewed.test"}


def test_broken_certificates_change_nothing(authority: trustme.CA, leaf: trustme.LeafCert) -> None:
    """They are refused with a reason, and those before stay in use."""
    server = server_of(leaf)
    before = server.context
    strange = certificates(leaf)._replace(pairs=("no certificate",))
    with pytest.raises(ConfigError, match=r"the certificate 0\.pem cannot be used: there is no certificate in it"):
        server.renew(strange)
    other = authority.issue_cert("other.test")
    mixed = leaf.cert_chain_pems[0].bytes().decode() + other.private_key_pem.bytes().decode()
    with pytest.raises(ConfigError, match="the key belongs to another certificate"):
        server.renew(strange._replace(pairs=(mixed,)))

    assert server.context is before


def test_a_cipher_list_of_nothing(leaf: trustme.LeafCert) -> None:
    """A list that OpenSSL cannot use is refused at the start."""
    with pytest.raises(ConfigError, match="ciphers: OpenSSL knows none of 'NONSENSE'"):
        server_of(leaf, ciphers="NONSENSE")


def test_clients_show_certificates(authority: trustme.CA, leaf: trustme.LeafCert, trusting: ssl.SSLContext) -> None:
    """With ``cert_reqs`` a client without one is refused, and one with one is known."""
    ca = authority.cert_pem.bytes().decode()
    protocol = Toy()
    server = server_of(leaf, protocol=protocol, authorities=ca, ca_certs="ca.pem", cert_reqs=2)
    nobody = Meeting(server, protocol, Client(trusting))
    nobody.client.shake_hands(nobody.go_on)
    assert not protocol.made
    nobody.close()
    authority.issue_cert("alice@example.org").configure_cert(trusting)
    alice = Meeting(server, protocol, Client(trusting))
    alice.shake_hands()
    certificate = alice.stream.session.getpeercert()
    alice.close()

    assert certificate
    assert certificate["subjectAltName"] == (("email", "alice@example.org"),)


# -- the hook --


def test_the_hook_makes_the_context(leaf: trustme.LeafCert) -> None:
    """It is given the options and what would have been used, and its answer is used."""
    calls = []

    def hook(config: TlsOptions, make_default: object) -> ssl.SSLContext:
        assert callable(make_default)
        context = make_default()
        assert isinstance(context, ssl.SSLContext)
        calls.append((config.certfile, context))
        return context

    server = server_of(leaf, ssl_context=hook)
    assert calls == [(("0.pem",), server.context)]
    server.renew(certificates(leaf))
    assert calls[1] == (("0.pem",), server.context)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda config, make: None, "ssl_context must return an ssl.SSLContext, not None"),
        (lambda config, make: 1 / 0, "ssl_context failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_hook_that_fails(leaf: trustme.LeafCert, hook: object, message: str) -> None:
    """The error says that it is the hook's."""
    with pytest.raises(ConfigError, match=message):
        server_of(leaf, ssl_context=hook)
