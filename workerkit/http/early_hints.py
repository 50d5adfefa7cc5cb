"""103 Early Hints (RFC 8297): fields of a response, sent while it is being made."""

from __future__ import annotations

from collections.abc import Iterable

from workerkit.errors import ApplicationError
from workerkit.http.response import field_line

# About a message's framing or its connection, neither of which is a hint (RFC 9110, 7.6.1 and 8.6).
_NO_HINTS = frozenset((
    *("connection", "content-length", "keep-alive", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
))  # fmt: skip


def render(headers: Iterable[tuple[str | bytes, str | bytes]]) -> bytes:
    """Return the whole interim response. Names and values may be bytes, as gunicorn takes them.

    Raises:
        ApplicationError: naming the header that cannot be sent.
    """
    lines = [b"HTTP/1.1 103 Early Hints\r\n"]
    for header in headers:
        try:
            name, value = (part.decode("latin-1") if isinstance(part, bytes) else part for part in header)
        except (TypeError, ValueError):
            raise ApplicationError(f"the header {header!r} must be a tuple of name and value") from None
        lines.append(field_line(name, value))
        if name.lower() in _NO_HINTS:
            raise ApplicationError(f"the header {name} cannot be among early hints")
    return b"".join((*lines, b"\r\n"))
