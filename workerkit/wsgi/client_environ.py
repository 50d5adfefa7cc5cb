"""Whose request it is, where proxies of ours say so: in the environ, and in the access log."""

from __future__ import annotations

from typing import IO

from workerkit.errors import ProtocolError
from workerkit.http.client_address import Client
from workerkit.http.forwarded import Trust
from workerkit.http.request import Fields, RequestHead
from workerkit.memo import Memo
from workerkit.net.stream import Stream
from workerkit.peers import host_of
from workerkit.telemetry.access import Answered
from workerkit.wsgi.environ import Environ, EnvironBuilder


class Clients:
    """Tells the client of a request; one per worker."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._trusts: Memo[str | None, bool] = Memo(trust.trusts, 1024)

    def of(self, fields: Fields, stream: Stream) -> Client | None:
        """Return whom a trusted peer names; None if the peer is not trusted, or names nobody.

        Raises:
            ProtocolError: What it says is malformed.
        """
        return self._trust.client(fields.pairs) if self._trusts[host_of(stream.peer)] else None

    def host(self, request: Answered) -> str:
        """Return the address that the access log shows."""
        try:
            client = self.of(request.head.fields, request.stream)
        except ProtocolError:
            client = None
        return client.host if client is not None else host_of(request.stream.peer) or "-"


class ClientEnvironBuilder:
    """Makes environs whose ``REMOTE_ADDR`` is the client's, out of those that another builder makes."""

    def __init__(self, builder: EnvironBuilder, trust: Trust) -> None:
        self._builder = builder
        self._clients = Clients(trust)

    def build(self, head: RequestHead, stream: Stream, body: IO[bytes]) -> Environ:
        """Return a new environ; see ``EnvironBuilder.build``."""
        environ = self._builder.build(head, stream, body)
        client = self._clients.of(head.fields, stream)
        if client is not None:
            environ["REMOTE_ADDR"] = client.host
            # The peer's port says nothing of the client.
            environ.pop("REMOTE_PORT", None)
            if client.port is not None:
                environ["REMOTE_PORT"] = client.port
        return environ
