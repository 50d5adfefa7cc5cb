"""Headers of the PROXY protocol: what they say, what is none, and when that is known."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workerkit.errors import ProtocolError
from workerkit.net.address import TCPAddress
from workerkit.net.proxy_header import LONGEST, LONGEST_BLOCK, ProxyHeader, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"


def block(command: int, kind: int, data: bytes, *, size: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(data) if size is None else size) + data


def tcp4(more: bytes = b"") -> bytes:
    ends = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 56324, 443)
    return block(0x21, 0x11, ends + more)


def tcp6() -> bytes:
    ends = b"".join(socket.inet_pton(socket.AF_INET6, host) for host in ("2001:db8::7", "2001:db8::1"))
    return block(0x21, 0x21, ends + struct.pack("!HH", 56324, 443))


FOUR = (("203.0.113.7", 56324), TCPAddress("192.0.2.1", 443))
SIX = (("2001:db8::7", 56324, 0, 0), TCPAddress("2001:db8::1", 443))
NOBODY = (None, None)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (LINE, FOUR),
        (b"PROXY TCP6 2001:db8::7 2001:DB8:0:0::1 56324 443\r\n", SIX),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", (("0.0.0.0", 0), TCPAddress("255.255.255.255", 65535))),
        (b"PROXY UNKNOWN\r\n", NOBODY),
        (b"PROXY UNKNOWN ffff:f 1 2 3 whatever it is\r\n", NOBODY),
        (tcp4(), FOUR),
        (tcp4(b"\x04\x00\x03abc"), FOUR),
        (tcp4(b"\x04" * (LONGEST_BLOCK - 12)), FOUR),
        (tcp6(), SIX),
        (block(0x20, 0x00, b""), NOBODY),
        (block(0x20, 0x11, b"\0" * 12), NOBODY),
        (block(0x20, 0xFF, b"junk"), NOBODY),
        (block(0x21, 0x00, b""), NOBODY),
        (block(0x21, 0x12, b"\0" * 12), NOBODY),
        (block(0x21, 0x31, b"\0" * 216), NOBODY),
    ],
)
def test_a_header_says_whose_the_connection_is(header: bytes, said: tuple[object, object]) -> None:
    """Client and address for TCP; nothing for a proxy's own connections, and for kinds that have no such address."""
    expected = ProxyHeader(len(header), *said)  # type: ignore[arg-type]

    assert parse_proxy_header(header, "auto") == expected
    assert parse_proxy_header(header + b"\x16GET / HTTP/1.1\r\n", "auto") == expected
    for end in range(len(header)):
        assert parse_proxy_header(header[:end], "auto") is None


@pytest.mark.parametrize(
    "header",
    [
        b"G",
        b"\x16",
        b"p",
        b"PROXY\t",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\r",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
        b"PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n",
        b"PROXY TCP4 203.0.113.07 192.0.2.1 56324 443\r\n",
        b"PROXY TCP4 203.0.113 192.0.2.1 56324 443\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n",
        b"PROXY TCP6 203.0.113.7 192.0.2.1 56324 443\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 056324 443\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 65536\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 +6324 443\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 56324 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN \x01",
        b"PROXY TCP4 203.0.113.7\r1",
        b"PROXY UNKNOWN " + b"x" * 93,
        SIGNATURE[:-1] + b"\r",
        SIGNATURE + b"\x11",
        SIGNATURE + b"\x31",
        SIGNATURE + b"\x22",
        SIGNATURE + b"\x21\x41",
        SIGNATURE + b"\x21\x13",
        block(0x21, 0x11, b"", size=11),
        block(0x21, 0x21, b"", size=35),
        block(0x20, 0x00, b"", size=LONGEST_BLOCK + 1),
        block(0x21, 0x11, b"", size=65535),
    ],
)
def test_what_is_no_header_is_known_with_its_last_byte(header: bytes) -> None:
    """It is refused as soon as it cannot be a header any more, and not before."""
    with pytest.raises(ProtocolError):
        parse_proxy_header(header, "auto")
    assert parse_proxy_header(header[:-1], "auto") is None


def test_a_version_that_is_not_asked_for_is_refused_at_its_first_byte() -> None:
    """Where one version is expected, the other is like any other stranger."""
    assert parse_proxy_header(LINE, "v1") is not None
    assert parse_proxy_header(tcp4(), "v2") is not None
    with pytest.raises(ProtocolError):
        parse_proxy_header(b"P", "v2")
    with pytest.raises(ProtocolError):
        parse_proxy_header(b"\r", "v1")


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
@example(b"\n", b"PROXY ")
def test_any_bytes_are_judged(data: bytes, beginning: bytes) -> None:
    """A header, none, or not yet known: and what is known does not change with more bytes."""
    received = beginning + data
    known: object = None
    for end in range(len(received) + 1):
        try:
            found = parse_proxy_header(received[:end], "auto")
        except ProtocolError:
            found = ProtocolError  # type: ignore[assignment]  # a third answer
        assert known is None or found == known
        known = found
    assert known is not None or len(received) < LONGEST
