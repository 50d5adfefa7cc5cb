"""What is too long is refused before its end has arrived (RFC 9110 15.5.15, RFC 6585 section 5)."""

from __future__ import annotations

from tests.refusals.case import LIMITS, Case, Refused, Understood

_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
_LINE = LIMITS.limit_request_line
_FIELD = LIMITS.limit_request_field_size
_FIELDS = LIMITS.limit_request_fields


def _fields(count: int) -> bytes:
    """Return so many, Host among them."""
    return _HEAD + b"".join(b"F%d: x\r\n" % number for number in range(count - 1))


CASES: tuple[Case, ...] = (
    Refused("a request line", "RFC 9110 15.5.15", b"GET /" + b"a" * (_LINE - 2), 414),
    Refused("a method", "RFC 9110 15.5.15", b"G" * (_LINE + 3), 414),
    Understood("a request line that just fits", "RFC 9110 15.5.15",
               b"GET /" + b"a" * (_LINE - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n", ("GET /" + "a" * (_LINE - 14),)),
    Refused("a value", "RFC 6585 5", _HEAD + b"Name: " + b"x" * (_FIELD - 3), 431),
    Refused("a name", "RFC 6585 5", _HEAD + b"N" * (_FIELD + 3), 431),
    Understood("a field that just fits", "RFC 6585 5", _HEAD + b"Name: " + b"x" * (_FIELD - 6) + b"\r\n\r\n"),
    Refused("a field more than are allowed", "RFC 6585 5", _fields(_FIELDS) + b"N", 431),
    Understood("as many fields as are allowed", "RFC 6585 5", _fields(_FIELDS) + b"\r\n"),
    Refused("a head", "RFC 6585 5", _HEAD + (b"Name: " + b"x" * 6000 + b"\r\n") * 12, 431),
    Refused("80 KB of fields", "CVE-2018-12121", _HEAD + b"".join(b"F: %b\r\n" % (b"x" * 812) for _ in range(99)), 431),
)  # fmt: skip
