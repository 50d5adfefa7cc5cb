"""The PROXY protocol, versions 1 and 2: what a proxy says of a connection, in front of its first byte.

The rules are those of HAProxy's proxy-protocol.txt. A header is a line of text (version 1) or a block of bytes
(version 2), and both are told from anything else by how they begin. No byte is read here: a header is a pure function
of what has arrived.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import Any, Final, NamedTuple

from workerkit.errors import ProtocolError
from workerkit.net.address import TCPAddress

LONGEST_LINE: Final = 107
"""Bytes of a header of version 1 at most, its line end included."""
LONGEST_BLOCK: Final = 4096
"""Bytes after the first 16 of a header of version 2 at most: addresses, and what else a proxy knows."""
LONGEST: Final = 16 + LONGEST_BLOCK

_WORD = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
# Of each kind of connection whose addresses are taken: the address family, and the bytes of an address.
_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_KINDS = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}

_could_be_a_line = re.compile(rb"[ -~]*+\r?").fullmatch
_is_line = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*+)?|(TCP[46]) ([0-9A-Fa-f.:]++) ([0-9A-Fa-f.:]++)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
).fullmatch


class ProxyHeader(NamedTuple):
    """What was said."""

    size: int
    """Bytes of the header: those that follow are the client's."""
    peer: tuple[Any, ...] | None = None
    """Who has connected to the proxy, as ``Stream.peer``. None: the proxy itself, or somebody who has no address."""
    local: TCPAddress | None = None
    """Where that was."""


def parse_proxy_header(received: bytes, version: str) -> ProxyHeader | None:
    """Return the header that a connection begins with; None while what has arrived is the beginning of one.

    Args:
        received: All that has arrived, or as much as ``LONGEST``.
        version: ``v1``, ``v2``, or ``auto`` for either.

    Raises:
        ProtocolError: As soon as it cannot be one.
    """
    if version != "v2" and _begins(received, _WORD):
        return _parse_line(received)
    if version != "v1" and _begins(received, _SIGNATURE):
        return _parse_block(received)
    raise ProtocolError("it does not begin with a header of the PROXY protocol")


def _begins(received: bytes, word: bytes) -> bool:
    return received[: len(word)] == word[: len(received)]


def _parse_line(received: bytes) -> ProxyHeader | None:
    end = received.find(b"\n", 0, LONGEST_LINE) + 1
    if not end:
        if len(received) >= LONGEST_LINE or not _could_be_a_line(received):
            raise ProtocolError("its PROXY line does not end where it must")
        return None
    match = _is_line(received[:end])
    if match is None:
        raise ProtocolError("its PROXY line is malformed")
    family, *rest = match.groups()
    if family is None:
        return ProxyHeader(end)
    source, destination = (_packed(_FAMILIES[family], address) for address in rest[:2])
    source_port, destination_port = map(int, rest[2:])
    if max(source_port, destination_port) > 65535:
        raise ProtocolError("its PROXY line names a port above 65535")
    return _header(end, _FAMILIES[family], source, source_port, destination, destination_port)


def _packed(family: int, address: bytes) -> bytes:
    try:
        return socket.inet_pton(family, address.decode("ascii"))
    except OSError:
        raise ProtocolError("its PROXY line names no address of the family that it announces") from None


def _parse_block(received: bytes) -> ProxyHeader | None:
    """Judge a header of version 2, each byte of it as soon as it is there."""
    command = received[12] if len(received) > 12 else _LOCAL
    if command not in (_LOCAL, _PROXY):
        raise ProtocolError("its PROXY header has an unknown version or command")
    kind = received[13] if len(received) > 13 and command == _PROXY else 0
    if kind >> 4 > 3 or kind & 15 > 2:
        raise ProtocolError("its PROXY header has an unknown address family or transport")
    if len(received) < 16:
        return None
    size = int.from_bytes(received[14:16], "big")
    # Of other kinds than TCP, the connection keeps the addresses that it has, as the specification has it.
    family, width = _KINDS.get(kind, (0, 0))
    if size > LONGEST_BLOCK or (width and size < 2 * width + 4):
        raise ProtocolError("its PROXY header has an impossible length")
    if len(received) < 16 + size:
        return None
    if not width:
        return ProxyHeader(16 + size)
    middle, end = 16 + width, 16 + 2 * width
    source_port, destination_port = struct.unpack_from("!HH", received, end)
    return _header(
        16 + size, family, received[16:middle], source_port, received[middle:end], destination_port
    )


def _header(
    size: int, family: int, source: bytes, source_port: int, destination: bytes, destination_port: int
) -> ProxyHeader:
    # As accept(2) writes them: of IPv6, with flow and scope.
    more = (0, 0) if family == socket.AF_INET6 else ()
    peer = (socket.inet_ntop(family, source), source_port, *more)
    return ProxyHeader(size, peer, TCPAddress(socket.inet_ntop(family, destination), destination_port))
