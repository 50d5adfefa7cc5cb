"""Whose request it is: REMOTE_ADDR behind proxies of ours, and what the access log shows."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from workerkit.errors import ProtocolError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead
from workerkit.net.address import TCPAddress
from workerkit.net.stream import Stream
from workerkit.telemetry.access import LineFormat
from workerkit.wsgi.client_environ import ClientEnvironBuilder, Clients
from workerkit.wsgi.environ import EnvironBuilder

PROXY = ("127.0.0.1", 4711)


@pytest.fixture
def end() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    yield ours
    ours.close()
    theirs.close()


def head(*fields: str) -> RequestHead:
    read = HeadReader(HttpLimits()).feed("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
    assert read is not None
    return read


def trust(name: str = "X-Forwarded-For") -> Trust:
    return Trust(ForwardedOptions(remote_addr_header=name))


def stream_of(end: socket.socket, peer: Any) -> Stream:
    return Stream(end, peer, TCPAddress("127.0.0.1", 8000), lambda *_: None)


@pytest.mark.parametrize(
    ("peer", "fields", "expected"),
    [
        (PROXY, ("X-Forwarded-For: 6.6.6.6, 192.0.2.7",), ("192.0.2.7", None)),
        (PROXY, ("X-Forwarded-For: 192.0.2.7:80",), ("192.0.2.7", "80")),
        (PROXY, ("X_Forwarded_For: 6.6.6.6",), ("127.0.0.1", "4711")),
        (PROXY, ("X-Forwarded-For: unknown",), ("127.0.0.1", "4711")),
        (PROXY, (), ("127.0.0.1", "4711")),
        ("", ("X-Forwarded-For: 192.0.2.7",), ("192.0.2.7", None)),
        (("203.0.113.9", 1), ("X-Forwarded-For: 6.6.6.6",), ("203.0.113.9", "1")),
    ],
)
def test_a_trusted_peer_names_its_client(
    end: socket.socket, peer: Any, fields: tuple[str, ...], expected: tuple[str, str | None]
) -> None:
    """Address and port are the client's, or both are the peer's."""
    builder = ClientEnvironBuilder(EnvironBuilder({"SCRIPT_NAME": ""}, trust()), trust())
    for _ in range(2):
        environ = builder.build(head(*fields), stream_of(end, peer), io.BytesIO())

        assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == expected


def test_the_access_log_shows_the_same(end: socket.socket) -> None:
    """And the peer where the field is malformed, for which the request is refused."""
    clients = Clients(trust("Forwarded"))
    line = LineFormat("%(h)s %(s)s", clients.host)

    def shown(peer: Any, *fields: str) -> str:
        request: Any = SimpleNamespace(head=head(*fields), stream=stream_of(end, peer), status="200 OK")
        return line.line(line.entry(request, 0.0))

    assert shown(PROXY, "Forwarded: for=192.0.2.7") == "192.0.2.7 200\n"
    assert shown(PROXY, 'Forwarded: for="192.0.2.7') == "127.0.0.1 200\n"
    assert shown(("203.0.113.9", 1), "Forwarded: for=6.6.6.6") == "203.0.113.9 200\n"
    assert shown("") == "- 200\n"
    with pytest.raises(ProtocolError):
        clients.of(head('Forwarded: for="192.0.2.7').fields, stream_of(end, PROXY))
