"""Whom to believe: which peers are proxies of ours, and what their header fields may say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerkit.errors import ProtocolError
from workerkit.http.names import spelled

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_EVERYONE = "*"
_UNIX = "unix"
# Entries that are what they look like. To read others, ipaddress is imported, which takes 3 ms of the start.
_PLAIN = frozenset((_EVERYONE, _UNIX, "127.0.0.1", "::1"))


def _check_peers(entries: Iterable[str]) -> None:
    for entry in entries:
        if entry in _PLAIN:
            continue
        try:
            _parse_network(entry)
        except ValueError:
            raise ValueError(f"{entry!r} is not an address, a network, '*' or 'unix'") from None


def _parse_network(entry: str) -> IPv4Network | IPv6Network:
    from ipaddress import ip_network  # noqa: PLC0415  see _PLAIN

    return ip_network(entry, strict=False)


@dataclass(frozen=True, slots=True)
class ForwardedOptions:
    """Trusted proxies."""

    forwarded_allow_ips: tuple[str, ...] = field(
        default=("127.0.0.1", "::1"),
        metadata={
            "help": "Peers whose forwarding header fields are believed: addresses, networks, "
            "'unix' for the peers of a Unix socket, '*' for all.",
            "variables": ("FORWARDED_ALLOW_IPS",),
            "check": _check_peers,
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

    __slots__ = ("_addresses", "_everyone", "_forwarders", "_header_map", "_networks", "_secure", "_unix")

    def __init__(self, options: ForwardedOptions) -> None:
        entries = frozenset(options.forwarded_allow_ips)
        self._everyone = _EVERYONE in entries
        self._unix = self._everyone or _UNIX in entries
        self._addresses = entries & _PLAIN
        self._networks = tuple(map(_parse_network, sorted(entries - _PLAIN)))
        self._secure = {
            name.lower().encode("latin-1"): value.lower().encode("latin-1")
            for name, value in options.secure_scheme_headers.items()
        }
        self._forwarders = frozenset(name.upper().encode("latin-1") for name in options.forwarder_headers)
        self._header_map = options.header_map

    def trusts(self, peer_host: str | None) -> bool:
        """Whether the peer at this address, or at the end of a Unix socket (None), is a proxy of ours."""
        if peer_host is None:
            return self._unix
        if self._everyone:
            return True
        # A socket for both families calls an IPv4 peer by its mapped address (RFC 4291, 2.5.5.2).
        host = peer_host.removeprefix("::ffff:")
        return host in self._addresses or (bool(self._networks) and self._is_in_a_network(host))

    def _is_in_a_network(self, host: str) -> bool:
        from ipaddress import ip_address  # noqa: PLC0415  see _PLAIN

        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def scheme(self, pairs: Iterable[tuple[bytes, bytes]], default: str = "http") -> str:
        """Return the scheme that a trusted peer's header fields tell, ``default`` if they tell none.

        Raises:
            ProtocolError: two of them contradict each other; one may be the client's own.
        """
        told = None
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
