"""Whom to believe: which peers are proxies of ours, and what their header fields may say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerkit.errors import ProtocolError
from workerkit.http.names import spelled
from workerkit.peers import MACHINE_ITSELF, Peers, check_peers

if TYPE_CHECKING:
    from workerkit.http.client_address import Client, ClientField

Pairs = Iterable[tuple[bytes, bytes]]


def _check_field_name(name: str) -> None:
    if not name or not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError(f"{name!r} is not the name of a header field, such as X-Forwarded-For")


@dataclass(frozen=True, eq=False, repr=False)
class ForwardedOptions:
    """Trusted proxies."""

    forwarded_allow_ips: tuple[str, ...] = field(
        default=MACHINE_ITSELF,
        metadata={
            "help": "Peers whose forwarding header fields are believed: addresses, networks, "
            "'unix' for the peers of a Unix socket, '*' for all.",
            "variables": ("FORWARDED_ALLOW_IPS",),
            "check": check_peers,
        },
    )
    remote_addr_header: str | None = field(
        default=None,
        metadata={
            "metavar": "NAME",
            "check": _check_field_name,
            "help": "The header field in which trusted peers name their clients, such as X-Forwarded-For or Forwarded: "
            "REMOTE_ADDR is then the last address in it that is not a trusted peer's. "
            "Otherwise it is the peer's own.",
        },
    )
    secure_scheme_headers: dict[str, str] = field(
        default_factory=lambda: {
            "X-FORWARDED-PROTOCOL": "ssl",
            "X-FORWARDED-PROTO": "https",
            "X-FORWARDED-SSL": "on",
        },
        metadata={
            "help": "Header fields, and the values by which a trusted peer says that its client came by HTTPS.",
        },
    )
    forwarder_headers: tuple[str, ...] = field(
        default=("SCRIPT_NAME", "PATH_INFO"),
        metadata={
            "help": "Header fields with an underscore in their names that a trusted peer may send.",
        },
    )
    header_map: str = field(
        default="drop",
        metadata={
            "help": "What becomes of other header fields with an underscore in their names, which could pass "
            "for those with a dash: dropped, the request refused, or passed on regardless.",
            "choices": ("drop", "refuse", "dangerous"),
        },
    )


class Trust:
    """The options as questions; pure, so one serves a whole worker.

    Whether a peer is trusted holds for as long as its connection: ask once.
    """

    __slots__ = ("_client_field", "_forwarders", "_header_map", "_peers", "_secure")

    def __init__(self, options: ForwardedOptions) -> None:
        self._peers = Peers(options.forwarded_allow_ips)
        self._client_field = _client_field(options)
        self._secure = {
            name.lower().encode("latin-1"): value.lower().encode("latin-1")
            for name, value in options.secure_scheme_headers.items()
        }
        self._forwarders = frozenset(name.upper().encode("latin-1") for name in options.forwarder_headers)
        self._header_map = options.header_map

    def trusts(self, peer_host: str | None) -> bool:
        """Whether the peer at this address, or at the end of a Unix socket (None), is a proxy of ours."""
        return peer_host in self._peers

    @property
    def names_clients(self) -> bool:
        """Whether trusted peers name their clients: otherwise ``client`` knows none."""
        return self._client_field is not None

    def client(self, pairs: Pairs) -> Client | None:
        """Return whom a trusted peer's header fields name as its client; None: nobody.

        Raises:
            ProtocolError: They are malformed, and may be the client's own.
        """
        return self._client_field.client(pairs) if self._client_field is not None else None

    def scheme(self, pairs: Pairs, default: str = "http") -> str:
        """Return the scheme that a trusted peer's header fields tell, ``default`` if they tell none.

        Raises:
            ProtocolError: two of them contradict each other; one may be the client's own.
        """
        client = self.client(pairs)
        told = client.scheme if client is not None else None
        for name, value in pairs:
            secure = self._secure.get(name.lower())
            if secure is None:
                continue
            scheme = "https" if value.lower() == secure else "http"
            if told is not None and told != scheme:
                raise ProtocolError("the forwarding header fields contradict each other about the scheme")
            told = scheme
        return told or default

    def underscored(self, name: bytes, trusted: bool) -> str | None:
        """Return the environ key of a field that ``environ_name`` has none for; None to leave it out.

        Raises:
            ProtocolError: ``header_map`` is ``refuse``, and the field could pass for another.
        """
        if b"_" not in name:
            return None
        if (trusted and name.upper() in self._forwarders) or self._header_map == "dangerous":
            return spelled(name)
        if self._header_map == "refuse":
            raise ProtocolError("a header field has an underscore in its name")
        return None


def _client_field(options: ForwardedOptions) -> ClientField | None:
    if options.remote_addr_header is None:
        return None
    from workerkit.http.client_address import ClientField  # noqa: PLC0415  few need it, and it takes a while

    return ClientField(options.remote_addr_header, options.forwarded_allow_ips)
