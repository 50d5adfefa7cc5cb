"""The host names that a certificate is for (RFC 5280 section 4.2.1.6), which Python's ssl tells of peers only.

As much of DER as it takes to find them; what is read has been accepted by OpenSSL before.
"""

from __future__ import annotations

from collections.abc import Iterator

_EXTENSIONS = 0xA3
_DNS_NAME = 0x82
_SUBJECT_ALT_NAME = bytes((0x55, 0x1D, 0x11))  # 2.5.29.17


def host_names(certificate: bytes) -> list[str]:
    """Return the names, in lower case, in a certificate in DER; ``*.example.org`` is one of them."""
    return [value.decode("ascii").lower() for tag, value in _alternative_names(certificate) if tag == _DNS_NAME]


def _alternative_names(certificate: bytes) -> Iterator[tuple[int, bytes]]:
    ((_, signed),) = _values(certificate)
    _, to_be_signed = next(_values(signed))
    for tag, part in _values(to_be_signed):
        if tag == _EXTENSIONS:
            ((_, extensions),) = _values(part)
            for _, extension in _values(extensions):
                (_, identifier), *_, (_, value) = _values(extension)
                if identifier == _SUBJECT_ALT_NAME:
                    ((_, names),) = _values(value)
                    yield from _values(names)


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the contents of each value, one after another."""
    position = 0
    while position < len(der):
        tag, length = der[position], der[position + 1]
        position += 2
        if length >= 0x80:
            size = length - 0x80
            length = int.from_bytes(der[position : position + size], "big")
            position += size
        yield tag, der[position : position + length]
        position += length
