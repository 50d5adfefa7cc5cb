"""Lists of peers: addresses, networks, ``unix`` for whoever is at the other end of a Unix socket, ``*`` for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

EVERYONE = "*"
UNIX = "unix"
MACHINE_ITSELF = ("127.0.0.1", "::1", UNIX)
"""What settings trust by default: whoever can connect so has a process on this machine."""

# Entries that are what they look like. To read others, ipaddress is imported, which takes 3 ms of the start.
_PLAIN = frozenset((EVERYONE, *MACHINE_ITSELF))


def check_peers(entries: Iterable[str]) -> None:
    """Raise ``ValueError`` for an entry that ``Peers`` cannot understand; the ``check`` of such settings."""
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


class Peers:
    """Those that a setting lists; made once in a worker, since networks are compiled.

    Raises:
        ValueError: An entry is none of the four kinds.
    """

    __slots__ = ("_addresses", "_everyone", "_networks", "_unix")

    def __init__(self, entries: Iterable[str]) -> None:
        listed = frozenset(entries)
        self._everyone = EVERYONE in listed
        self._unix = self._everyone or UNIX in listed
        self._addresses = listed & _PLAIN
        self._networks = tuple(map(_parse_network, sorted(listed - _PLAIN)))

    def __contains__(self, host: str | None) -> bool:
        """Whether this address is listed; None is the other end of a Unix socket."""
        if self._everyone:
            return True
        if host is None:
            return self._unix
        # A socket for both families calls an IPv4 peer by its mapped address (RFC 4291, 2.5.5.2).
        host = host.removeprefix("::ffff:")
        return host in self._addresses or (bool(self._networks) and self._is_in_a_network(host))

    def _is_in_a_network(self, host: str) -> bool:
        from ipaddress import ip_address  # noqa: PLC0415  see _PLAIN

        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def host_of(peer: object) -> str | None:
    """Return the address in what accept(2) says of a peer; None at a Unix socket."""
    return peer[0] if isinstance(peer, tuple) else None
