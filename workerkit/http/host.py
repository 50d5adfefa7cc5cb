"""The host of a request, where it is an address in brackets (RFC 3986, 3.2.2)."""

from __future__ import annotations


def is_address(host: bytes) -> bool:
    """Whether the brackets hold an IPv6 address; for a host, with or without a port, that matches ``abnf.HOST_PORT``.

    What only looks like one must be refused (RFC 9112, 3.2): the libraries that an application hands it to raise.
    """
    from ipaddress import IPv6Address  # noqa: PLC0415  3 ms of the start, and few hosts are addresses

    try:
        IPv6Address(host[1 : host.index(b"]")].decode())
    except ValueError:
        return False
    return True
