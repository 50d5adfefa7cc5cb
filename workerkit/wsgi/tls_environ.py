"""The environ of requests that came by TLS: what Apache's mod_ssl calls the facts about a session, under its names.

``SSL_PROTOCOL`` and ``SSL_CIPHER`` always; ``SSL_CLIENT_VERIFY`` is ``SUCCESS`` or ``NONE``. With a client's
certificate, which is only here when it was found good, ``SSL_CLIENT_S_DN`` and ``SSL_CLIENT_I_DN`` (its subject and
issuer, as RFC 4514 writes them), ``SSL_CLIENT_M_SERIAL``, ``SSL_CLIENT_V_START``, ``SSL_CLIENT_V_END``, and itself, as
PEM, in ``SSL_CLIENT_CERT``.
"""

from __future__ import annotations

import ssl
from typing import IO, Any, cast

from workerkit.http.forwarded import Trust
from workerkit.http.request import RequestHead
from workerkit.memo import Memo
from workerkit.net.stream import Stream
from workerkit.net.tls_stream import TlsStream
from workerkit.wsgi.environ import Environ, EnvironBuilder

_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}

_Name = tuple[tuple[tuple[str, str], ...], ...]


class TlsEnvironBuilder(EnvironBuilder):
    """Makes environs for a worker whose connections are all TLS."""

    scheme = "https"
    default_port = "443"

    def __init__(self, base: Environ, trust: Trust) -> None:
        super().__init__(base, trust)
        # Most clients have no certificate, and the same protocol and cipher: they share one dict.
        self._anonymous: Memo[tuple[str, str], dict[str, str]] = Memo(_anonymous, 64)

    def build(self, head: RequestHead, stream: Stream, body: IO[bytes]) -> Environ:
        """Return a new environ; see ``EnvironBuilder.build``."""
        environ = super().build(head, stream, body)
        tls = cast("TlsStream", stream)
        if tls.variables is None:
            tls.variables = self._describe(tls.session)
        environ.update(tls.variables)
        return environ

    def _describe(self, session: ssl.SSLObject) -> dict[str, str]:
        cipher = session.cipher()
        variables = self._anonymous[session.version() or "", cipher[0] if cipher else ""]
        certificate: dict[str, Any] | None = session.getpeercert()
        return {**variables, **_of_client(certificate, session.getpeercert(True) or b"")} if certificate else variables


def _anonymous(session: tuple[str, str]) -> dict[str, str]:
    version, cipher = session
    return {"SSL_PROTOCOL": version, "SSL_CIPHER": cipher, "SSL_CLIENT_VERIFY": "NONE"}


def _of_client(certificate: dict[str, Any], der: bytes) -> dict[str, str]:
    return {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": _distinguished_name(certificate.get("subject", ())),
        "SSL_CLIENT_I_DN": _distinguished_name(certificate.get("issuer", ())),
        "SSL_CLIENT_M_SERIAL": certificate.get("serialNumber", ""),
        "SSL_CLIENT_V_START": certificate.get("notBefore", ""),
        "SSL_CLIENT_V_END": certificate.get("notAfter", ""),
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der),
    }


def _distinguished_name(name: _Name) -> str:
    """Return a name as RFC 4514 writes it: the last part first."""
    return ",".join("+".join(f"{_SHORT.get(key, key)}={_escaped(value)}" for key, value in part) for part in name[::-1])


def _escaped(value: str) -> str:
    """Return a value that cannot be taken for more of the name (RFC 4514 section 2.4)."""
    escaped = "".join(f"\\{sign}" if sign in '"+,;<>\\=' else sign for sign in value)
    if escaped[:1] in ("#", " "):
        escaped = f"\\{escaped}"
    if value[1:].endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    return escaped.replace("\0", "\\00")
