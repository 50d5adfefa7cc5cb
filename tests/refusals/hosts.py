"""The Host field (RFC 9112 section 3.2)."""

from __future__ import annotations

from tests.refusals.case import Case, Refused, Understood

_SOURCE = "RFC 9112 3.2"
_REFUSED = {
    "none": b"Name: x",
    "two": b"Host: a\r\nHost: b",
    "the same twice": b"Host: a\r\nhost: a",
    "two words and a path": b"Host: a b/c",
    "a path": b"Host: a/b",
    "a path and a query": b"Host: a/b?",
    "a query": b"Host: a?b",
    "a fragment": b"Host: a#b",
    "a user": b"Host: u@h",
    "a list": b"Host: a,b",
    "a backslash": b"Host: a\\b",
    "a scheme": b"Host: http://a",
    "a port alone": b"Host: :80",
    "a port of letters": b"Host: a:b",
    "a negative port": b"Host: a:-1",
    "a port of six digits": b"Host: a:123456",
    "a port of more than 16 bits": b"Host: a:65536",
    "a port of more than 16 bits behind an address": b"Host: [::1]:99999",
    "two ports": b"Host: a:80:80",
    "an open bracket": b"Host: [::1",
    "a closed bracket": b"Host: ::1]",
    "an address in brackets, and more": b"Host: [::1]a",
    "brackets around nothing": b"Host: []",
    "brackets around a colon": b"Host: [:]",
    "brackets around dots": b"Host: [....]",
    "two gaps in an address": b"Host: [1::2::3]",
    "an address of nine groups": b"Host: [1:2:3:4:5:6:7:8:9]",
    "an older address in brackets": b"Host: [127.0.0.1]",
    "an address with a zone": b"Host: [fe80::1%25eth0]",
    "an address without brackets": b"Host: ::1",
    "quotes": b'Host: "a"',
    "markup": b"Host: <a>",
    "a byte above ASCII": b"Host: \xe9",
    "half an escape": b"Host: a%2",
}
_UNDERSTOOD = {
    "a name": "a",
    "a name and a port": "a.example:8000",
    "a name with an empty port": "a:",
    "an address": "[::1]:8000",
    "the highest port": "a:65535",
    "a port with zeros": "a:00080",
    "an address with another in it": "[::ffff:127.0.0.1]",
    "an underscore": "a_b",
    "nothing": "",
}


def _get(fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + fields + b"\r\n\r\n"


CASES: tuple[Case, ...] = (
    *(Refused(f"Host: {name}", _SOURCE, _get(fields)) for name, fields in _REFUSED.items()),
    Refused("no field at all", _SOURCE, b"GET / HTTP/1.1\r\n\r\n"),
    Refused("two in HTTP/1.0", _SOURCE, b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    Refused("empty beside an authority", _SOURCE, b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"),
    Refused("none beside an authority", _SOURCE, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    Refused("an authority that is no address", _SOURCE, b"GET http://[:]:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("an authority with no port of 16 bits", _SOURCE, b"GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(
        Understood(f"Host: {name}", _SOURCE, _get(b"Host: " + host.encode()), environ={"HTTP_HOST": host})
        for name, host in _UNDERSTOOD.items()
    ),
    Understood("none in HTTP/1.0", _SOURCE, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
               environ={"HTTP_HOST": None}),
)  # fmt: skip
