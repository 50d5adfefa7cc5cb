"""Whose request it is that proxies of ours have passed on: ``Forwarded`` (RFC 7239), or a list of addresses.

Each proxy adds, on the right, the address that it was connected to from. So what stands right of the first address
that is not a proxy's was written by proxies of ours, and all that stands left of it may have been made up. That
address is the client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from workerkit.errors import ProtocolError
from workerkit.http import abnf
from workerkit.memo import Memo
from workerkit.peers import EVERYONE, Peers

_FORWARDED = b"forwarded"

# One parameter of an element, or none, and what ends it (RFC 7239, 4).
_next_pair = re.compile(
    rb"[ \t]*+(?:(" + abnf.TOKEN + rb')=(?:(' + abnf.TOKEN + rb')|"((?:[^"\\]|\\.)*+)"))?[ \t]*+([;,]|\Z)'
).match
_quoted_pair = re.compile(rb"\\(.)")
_split_node = re.compile(rb"(?:\[([0-9A-Fa-f:.]++)\]|([0-9.]++))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]++)").fullmatch


class Client(NamedTuple):
    """Who is at the other end of the proxies."""

    host: str
    port: str | None
    """None: no proxy has told."""
    scheme: str | None
    """What ``Forwarded`` says that it came by; None: nothing."""


class ClientField:
    """The header field that says whose a request is. Only for requests of trusted peers.

    Args:
        name: The field's name.
        proxies: The peers that are trusted. Of those by ``*``, only the last one counts as a proxy of ours: what it
            has added is the client's address, whoever else is trusted.
    """

    __slots__ = ("_name", "_proxies", "_told")

    def __init__(self, name: str, proxies: Iterable[str]) -> None:
        self._name = name.lower().encode("latin-1")
        self._proxies = Peers(entry for entry in proxies if entry != EVERYONE)
        self._told: Memo[bytes, Client | None] = Memo(self._find, 1024)

    def client(self, pairs: Iterable[tuple[bytes, bytes]]) -> Client | None:
        """Return whom the field names; None if it is missing, or if its last entry is no address.

        Raises:
            ProtocolError: A ``Forwarded`` field is malformed, so it cannot be said who wrote which part of it.
        """
        name = self._name
        values = [value for field, value in pairs if field.lower() == name]
        # A field that comes several times is one list (RFC 9110, 5.3).
        return self._told[b",".join(values)] if values else None

    def _find(self, value: bytes) -> Client | None:
        entries = list(_elements(value)) if self._name == _FORWARDED else [(node, None) for node in value.split(b",")]
        found = None
        for node, scheme in reversed(entries):
            address = _address(node)
            if address is None:
                # Hidden, on purpose or not: the proxy that hides it is all that is known.
                break
            found = Client(*address, scheme)
            if found.host not in self._proxies:
                break
        return found


def _address(node: bytes) -> tuple[str, str | None] | None:
    """Return host and port: of ``192.0.2.7:80``, ``[2001:db8::7]:80``, or either without a port; None of others."""
    from ipaddress import ip_address  # noqa: PLC0415  it takes 3 ms of the start, and few need it

    match = _split_node(node.strip(b" \t"))
    if match is None:
        return None
    try:
        address = ip_address((match[1] or match[2] or match[4]).decode())
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address), match[3].decode() if match[3] else None


def _elements(value: bytes) -> Iterator[tuple[bytes, str | None]]:
    """Yield who is named by each element of a ``Forwarded`` field, and the scheme; raise as ``ClientField`` does."""
    position = 0
    parameters: dict[bytes, bytes] = {}
    ended = False
    while not ended:
        match = _next_pair(value, position)
        if match is None:
            raise ProtocolError("the Forwarded field is malformed")
        name, token, quoted, sign = match.groups()
        if name is not None:
            if name.lower() in parameters:
                raise ProtocolError("the Forwarded field says something twice of one proxy")
            parameters[name.lower()] = token if quoted is None else _quoted_pair.sub(rb"\1", quoted)
        position = match.end()
        ended = not sign
        if sign != b";" and parameters:
            proto = parameters.get(b"proto", b"").lower()
            yield parameters.get(b"for", b""), proto.decode() if proto in (b"http", b"https") else None
            parameters = {}
