"""What an application is told of TLS."""

from __future__ import annotations

import io
import ssl
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader
from workerkit.net.address import TCPAddress, UnixAddress
from workerkit.net.stream import Stream
from workerkit.wsgi.tls_environ import TlsEnvironBuilder, _distinguished_name

CERTIFICATE = {
    "subject": ((("countryName", "DE"),), (("organizationName", "Example"),), (("commonName", "alice"),)),
    "issuer": ((("organizationName", "Authority"),),),
    "serialNumber": "0A",
    "notBefore": "Jan  1 00:00:00 2026 GMT",
    "notAfter": "Jan  1 00:00:00 2027 GMT",
}


class Session:
    """As much of a session as is asked for, and how often."""

    def __init__(self, certificate: dict[str, Any] | None = None) -> None:
        self.certificate = certificate
        self.asked = 0

    def version(self) -> str:
        self.asked += 1
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256

    def getpeercert(self, binary_form: bool = False) -> object:
        return b"DER" if binary_form else self.certificate


HERE = TCPAddress("127.0.0.1", 8443)


def build(session: Session, fields: str = "", local: object = HERE, times: int = 1) -> dict[str, Any]:
    builder = TlsEnvironBuilder({"SCRIPT_NAME": ""}, Trust(ForwardedOptions()))
    stream = SimpleNamespace(peer=("127.0.0.1", 4711), local=local, session=session, variables=None)
    environ: dict[str, Any] = {}
    for _ in range(times):
        head = HeadReader(HttpLimits()).feed(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        assert head is not None
        environ = builder.build(head, cast("Stream", stream), io.BytesIO())
    return environ


def test_the_scheme_is_https() -> None:
    """Without any proxy's word."""
    environ = build(Session())

    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "8443")
    assert build(Session(), local=UnixAddress("/s"))["SERVER_PORT"] == "443"


def test_a_trusted_proxy_knows_better() -> None:
    """It may speak TLS with us and have been spoken to without."""
    assert build(Session(), "X-Forwarded-Proto: http\r\n")["wsgi.url_scheme"] == "http"


def test_a_session_is_asked_once() -> None:
    """What is the same for all requests of a connection is kept with it."""
    session = Session()
    environ = build(session, times=3)

    assert session.asked == 1
    assert environ["SSL_PROTOCOL"] == "TLSv1.3"
    assert environ["SSL_CIPHER"] == "TLS_AES_256_GCM_SHA384"
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_CERT" not in environ


def test_a_clients_certificate() -> None:
    """Under the names of mod_ssl."""
    told = {key: value for key, value in build(Session(CERTIFICATE)).items() if key.startswith("SSL_CLIENT")}

    assert told == {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": "CN=alice,O=Example,C=DE",
        "SSL_CLIENT_I_DN": "O=Authority",
        "SSL_CLIENT_M_SERIAL": "0A",
        "SSL_CLIENT_V_START": "Jan  1 00:00:00 2026 GMT",
        "SSL_CLIENT_V_END": "Jan  1 00:00:00 2027 GMT",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(b"DER"),
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("alice,CN=root", "alice\\,CN\\=root"),
        ("#1", "\\#1"),
        (" a ", "\\ a\\ "),
        (" ", "\\ "),
        ('a+b"c\\<>;', 'a\\+b\\"c\\\\\\<\\>\\;'),
        ("a\0b", "a\\00b"),
    ],
)
def test_a_name_cannot_pass_for_more_than_it_is(value: str, written: str) -> None:
    """RFC 4514's escapes."""
    assert _distinguished_name(((("commonName", value),),)) == f"CN={written}"


def test_parts_of_several_values() -> None:
    """They are joined by a plus sign, and what has no short name keeps its own."""
    name = ((("organizationName", "Example"),), (("commonName", "a"), ("serialNumber", "7")))

    assert _distinguished_name(name) == "CN=a+serialNumber=7,O=Example"
