"""The head of a response, from what the application gave, and the framing of its body (RFC 9112, 6).

``begin`` is on the path of every request: it joins text and encodes once, looks statuses and names up in memos, and
leaves the explaining to the moment when something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum, IntEnum, auto
from typing import NamedTuple

from workerkit.errors import ApplicationError
from workerkit.http import abnf
from workerkit.http.reasons import REASONS
from workerkit.memo import Memo

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")

# The statuses whose response says which protocol the connection changes to, or should (RFC 9110, 15.2.2 and
# 15.5.22).
_UPGRADE_STATUSES = (101, 426)

# An exabyte; int() refuses more than 4300 digits, and takes quadratic time for fewer.
_MOST_DIGITS = 18

_is_token = re.compile(abnf.TOKEN.decode()).fullmatch
_is_status = re.compile(r"([1-9][0-9][0-9]) [\t -~\x80-\xff]*+").fullmatch
_control_character = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


class BodyMode(IntEnum):
    """How the end of a response's body is told."""

    NONE = 0  # there is none, whatever the application gives
    LENGTH = 1  # by its length
    CHUNKED = 2  # by the last chunk
    CLOSE = 3  # by closing the connection


# An attribute of an Enum costs as much as a call.
_BY_LENGTH = BodyMode.LENGTH
_CHUNKED = BodyMode.CHUNKED
_CLOSE = BodyMode.CLOSE


# A plain tuple: to make an object with names takes four times as long.
ResponseStart = tuple[bytes, BodyMode, int, bool]
"""What goes out first, and how to go on: head, mode, length, keep_alive.

The head is complete, with its empty line. The length is what the body must have, in mode LENGTH. ``keep_alive`` says
whether another request may be read after this response; never after a 101, where the connection changes hands.
"""


def begin(
    method: str,
    minor: int,
    keep_alive: bool,
    status: str,
    headers: Sequence[tuple[str, str]],
    date_server: bytes,
    known_length: int | None,
) -> ResponseStart:
    """Make the head of a final response, and decide how its body is framed.

    For a gateway, in a worker. ``method``, ``minor`` and ``keep_alive`` are the request's. ``date_server`` holds
    our own ``Date`` and ``Server`` lines, each with its line end; a line that the application sets itself replaces
    ours. ``known_length`` is the length of the whole body where that is known, in case the application did not say.

    Raises:
        ApplicationError: naming the status or the header that cannot be sent.
    """
    try:
        status_text, code, has_body = _STATUSES[status]
        parts = [status_text]
        declared: int | None = None
        for name, value in headers:
            prefix, role = _NAMES[name]
            if not value.isprintable():
                _check_value(name, value)
            if role is None:
                parts += (prefix, value, "\r\n")
            elif role is _LENGTH:
                declared = _parse_length(value, declared)
            elif role is _OURS:
                parts += (prefix, value, "\r\n")
                date_server = _without(name, date_server)
            else:
                keep_alive = _may_persist(name, value, role, code) and keep_alive
                if code in _UPGRADE_STATUSES:
                    parts += (prefix, value, "\r\n")
        # How the body is framed, and which Content-Length is sent: the one place (RFC 9112, 6).
        length = known_length if declared is None else declared
        if not has_body or method == "HEAD":
            mode, length = BodyMode.NONE, _length_of_no_body(code, declared, known_length)
        else:
            # Chunked must not be sent to a client of HTTP/1.0 (RFC 9112, 6.1).
            mode = _BY_LENGTH if length is not None else _CHUNKED if minor else _CLOSE
        if length is not None:
            parts.append(f"Content-Length: {length}\r\n")
        elif mode is _CHUNKED:
            parts.append("Transfer-Encoding: chunked\r\n")
        if not (keep_alive and minor) or code == 101:
            keep_alive = keep_alive and mode is not _CLOSE and code != 101
            parts.append(_connection_line(minor, code, keep_alive))
        head = b"".join(("".join(parts).encode("latin-1"), date_server, b"\r\n"))
    except (TypeError, ValueError, AttributeError) as error:
        raise _explain(headers) from error
    return head, mode, length or 0, keep_alive


def field_line(name: str, value: str) -> bytes:
    """One header field line, with its line end.

    Raises:
        ApplicationError: naming the header, for a name that is no token or a value that a field cannot have.
    """
    prefix, _ = _parse_name(name)
    _check_value(name, value)
    return f"{prefix}{value}\r\n".encode("latin-1")


def chunk(data: bytes) -> tuple[bytes, ...]:
    """One chunk, as buffers to be sent in order; none for no data, which would say that the body ends."""
    return (b"%x\r\n" % len(data), data, b"\r\n") if data else ()


def error_response(status: int, reason: str | None = None, date_server: bytes = b"") -> bytes:
    """The whole response to a request that is refused; the connection closes after it.

    ``reason`` is shown to the client, so it must not say more than the client knows.
    """
    phrase = REASONS.get(status, "Error")
    text = f"{status} {phrase}\n" if reason is None else f"{status} {phrase}: {reason}\n"
    body = text.encode("latin-1", "replace")
    headers = [("Content-Type", "text/plain; charset=iso-8859-1")]
    head, *_ = begin("GET", 1, False, f"{status} {phrase}", headers, date_server, len(body))
    return head + body


def http_date(year: int, month: int, day: int, hour: int, minute: int, second: int, weekday: int) -> bytes:
    """An IMF-fixdate (RFC 9110, 5.6.7) of a moment in UTC: ``http_date(*time.gmtime(now)[:7])``. Monday is 0."""
    date = (_DAYS[weekday], day, _MONTHS[month - 1], year, hour, minute, second)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % date


class _Status(NamedTuple):
    line: str
    code: int
    has_body: bool


def _parse_status(status: str) -> _Status:
    if not isinstance(status, str):
        raise ApplicationError(f"the status must be a str, not {type(status).__name__}")
    match = _is_status(status)
    if match is None:
        raise ApplicationError(f"the status {status!r} is not three digits, a space and a reason")
    code = int(match[1])
    if code < 200 and code != 101:
        raise ApplicationError(f"the status {status!r} announces another response and cannot be the last")
    # A response to 1xx, 204 or 304 never has a body (RFC 9112, 6.3).
    return _Status(f"HTTP/1.1 {status}\r\n", code, code >= 200 and code not in (204, 304))


class _Role(Enum):
    """What is special about a header that an application sets."""

    LENGTH = auto()  # says how the body is framed
    OURS = auto()  # we set it if the application does not
    CONNECTION = auto()
    UPGRADE = auto()
    FORBIDDEN = auto()  # is between us and the client


_LENGTH = _Role.LENGTH
_OURS = _Role.OURS

_ROLES = {
    "content-length": _Role.LENGTH,
    "date": _Role.OURS,
    "server": _Role.OURS,
    "connection": _Role.CONNECTION,
    "upgrade": _Role.UPGRADE,
    "keep-alive": _Role.FORBIDDEN,
    "proxy-connection": _Role.FORBIDDEN,
    "te": _Role.FORBIDDEN,
    "trailer": _Role.FORBIDDEN,
    "transfer-encoding": _Role.FORBIDDEN,
}


class _Name(NamedTuple):
    prefix: str
    role: _Role | None


def _parse_name(name: str) -> _Name:
    if not isinstance(name, str):
        raise ApplicationError(f"the name of the header {name!r} must be a str, not {type(name).__name__}")
    if not _is_token(name):
        raise ApplicationError(f"the name of the header {name!r} is not a token")
    return _Name(f"{name}: ", _ROLES.get(name.lower()))


# Applications use a handful of each; the sizes only bound what one that makes them up can cost.
_STATUSES: Memo[str, _Status] = Memo(_parse_status, 256)
_NAMES: Memo[str, _Name] = Memo(_parse_name, 1024)


def _check_value(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise ApplicationError(f"the value of the header {name} must be a str, not {type(value).__name__}")
    # No CR, LF or NUL (RFC 9110, 5.5), which would end the line or the head; nor any control character but HTAB.
    if _control_character(value):
        raise ApplicationError(f"the value of the header {name} holds a control character: {value!r}")
    # PEP 3333: a str stands for bytes.
    if not value.isascii() and max(value) > "\xff":
        raise ApplicationError(f"the value of the header {name} is not latin-1: {value!r}")


def _explain(headers: object) -> ApplicationError:
    """Find what could not be put into a head, by going over it with more care."""
    if not isinstance(headers, Iterable):
        return ApplicationError(f"the headers must be a list, not {type(headers).__name__}")
    for header in headers:
        if not isinstance(header, tuple) or len(header) != 2:
            return ApplicationError(f"the header {header!r} must be a tuple of name and value")
        try:
            field_line(*header)
        except ApplicationError as error:
            return error
    return ApplicationError("the headers or the status cannot be sent")


def _parse_length(value: str, declared: int | None) -> int:
    if declared is not None:
        raise ApplicationError("the header Content-Length is set twice")
    if len(value) > _MOST_DIGITS or not (value.isdecimal() and value.isascii()):
        raise ApplicationError(f"the value of the header Content-Length is not a number: {value!r}")
    return int(value)


def _without(name: str, date_server: bytes) -> bytes:
    ours = name.lower().encode() + b":"
    return b"".join(line for line in date_server.splitlines(keepends=True) if not line.lower().startswith(ours))


def _may_persist(name: str, value: str, role: _Role, code: int) -> bool:
    """Judge a header about the connection: False if it asks to close, an error unless it is ours to grant."""
    upgrading = code in _UPGRADE_STATUSES
    if role is _Role.UPGRADE and upgrading:
        return True
    if role is _Role.CONNECTION:
        options = {option.strip().lower() for option in value.split(",")}
        # "keep-alive" changes nothing, and applications that were written for other servers set it.
        if options <= {"close", "keep-alive"} or (upgrading and options <= {"close", "keep-alive", "upgrade"}):
            return "close" not in options
    # These are about one connection, which is the server's (RFC 9110, 7.6.1; PEP 3333 forbids them too).
    raise ApplicationError(f"the header {name} ({value!r}) is the server's to set, not the application's")


def _length_of_no_body(code: int, declared: int | None, known: int | None) -> int | None:
    """Return the Content-Length of a response without a body: that of the body which it speaks of, if any."""
    if code < 200 or code == 204:
        # Neither Content-Length nor Transfer-Encoding there (RFC 9110, 8.6; RFC 9112, 6.1).
        return None
    if code == 304 or declared is not None:
        # The length that a 200 would have had; only the application knows that.
        return declared
    # The answer to HEAD has the length of that to GET. An empty body says nothing about it; one that is not does.
    return known or None


def _connection_line(minor: int, code: int, keep_alive: bool) -> str:
    """Say what becomes of the connection (RFC 9112, 9.3 and 9.6); only its default for our own version goes unsaid.

    To close is said to a client of HTTP/1.0 too: ours is a response of HTTP/1.1, which it may take at its word.
    """
    if keep_alive:
        return "" if minor else "Connection: keep-alive\r\n"
    return "Connection: close\r\n" if code != 101 else ""
