"""The access log: gunicorn's format atoms, compiled once into a list of getters.

``%(h)s`` peer, ``%(l)s`` ``-``, ``%(u)s`` user, ``%(t)s`` time, ``%(r)s`` request line, ``%(s)s`` status, ``%(m)s``
method, ``%(U)s`` path, ``%(q)s`` query, ``%(H)s`` protocol, ``%(b)s`` body bytes or ``-``, ``%(B)s`` body bytes,
``%(f)s`` referer, ``%(a)s`` user agent, ``%(T)s`` seconds, ``%(M)s`` milliseconds, ``%(D)s`` microseconds, ``%(L)s``
decimal seconds, ``%(p)s`` pid, ``%({name}i)s`` request header, ``%({name}o)s`` response header, ``%({name}e)s``
process environment variable. Case matters; what is missing is ``-``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workerkit.process.clock import gmtime, wall_clock
from workerkit.telemetry.files import open_log

DEFAULT_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KEEP_AT_MOST = 64 * 1024


@dataclass(slots=True)
class AccessRecord:
    """What a finished request is described by."""

    peer: str
    method: str
    target: str
    protocol: str
    request_fields: Sequence[tuple[bytes, bytes]]
    status: str
    response_fields: Sequence[tuple[str, str]]
    body_bytes: int
    seconds: float


Getter = Callable[[AccessRecord], str]


def _request_field(name: str) -> Getter:
    wanted = name.lower().encode("latin-1")

    def get(record: AccessRecord) -> str:
        for key, value in record.request_fields:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return "-"

    return get


def _response_field(name: str) -> Getter:
    wanted = name.lower()
    return lambda record: next((value for key, value in record.response_fields if key.lower() == wanted), "-")


def _variable(name: str) -> Getter:
    return lambda _record: os.environ.get(name, "-")


def _user(record: AccessRecord) -> str:
    """The name of RFC 7617's basic credentials; the password never reaches a log."""
    scheme, _, encoded = _authorization(record).partition(" ")
    if scheme.lower() != "basic":
        return "-"
    import binascii  # noqa: PLC0415  only servers that log users of basic authentication need it

    try:
        return binascii.a2b_base64(encoded.strip()).partition(b":")[0].decode("utf-8", "replace") or "-"
    except ValueError:
        return "-"


_authorization = _request_field("authorization")

_ATOMS: dict[str, Getter] = {
    "h": lambda record: record.peer,
    "l": lambda _record: "-",
    "u": _user,
    "t": lambda _record: _timestamp(),
    "r": lambda record: f"{record.method} {record.target} {record.protocol}",
    "s": lambda record: record.status[:3],
    "m": lambda record: record.method,
    "U": lambda record: record.target.partition("?")[0],
    "q": lambda record: record.target.partition("?")[2],
    "H": lambda record: record.protocol,
    "b": lambda record: str(record.body_bytes or "-"),
    "B": lambda record: str(record.body_bytes),
    "f": _request_field("referer"),
    "a": _request_field("user-agent"),
    "T": lambda record: str(int(record.seconds)),
    "M": lambda record: str(int(record.seconds * 1e3)),
    "D": lambda record: str(int(record.seconds * 1e6)),
    "L": lambda record: f"{record.seconds:.6f}",
    "p": lambda _record: f"<{os.getpid()}>",
}
_KINDS = {"i": _request_field, "o": _response_field, "e": _variable}

_ATOM = re.compile(r"%%|%\((?:\{([^}]+)\}(.)|([^){]+))\)s")
# Bytes of a request must not forge a line or drive a terminal (the field is quoted in the default format).
_UNSAFE = re.compile(r'[\x00-\x1f"\\\x7f-\x9f]')


def compile_format(text: str) -> tuple[str, tuple[Getter, ...]]:
    """Return a %-template and a getter for each of its holes.

    Raises:
        ValueError: An atom is unknown.
    """
    getters: list[Getter] = []

    def replace(match: re.Match[str]) -> str:
        name, kind, plain = match.groups()
        if match.group() == "%%":
            return "%"
        if name is not None and kind.lower() in _KINDS:
            getters.append(_KINDS[kind.lower()](name))
        elif plain is not None and plain in _ATOMS:
            getters.append(_ATOMS[plain])
        else:
            known = ", ".join([*_ATOMS, "{name}i", "{name}o", "{name}e"])
            raise ValueError(f"has the unknown atom {match.group()}; known: {known}")
        return "\0"

    template = _ATOM.sub(replace, text).replace("%", "%%").replace("\0", "%s")
    return template, tuple(getters)


def _timestamp() -> str:
    now = gmtime(wall_clock())
    return (
        f"[{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}:"
        f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} +0000]"
    )


class AccessLog:
    """Lines gathered in memory and written together."""

    def __init__(self, path: str, line_format: str) -> None:
        self._path = path
        self._template, self._getters = compile_format(line_format)
        # Threads add lines while one of them writes: a deque loses none between the two.
        self._lines: deque[str] = deque()
        self._size = 0
        self._fd = self._open()

    def _open(self) -> int:
        return sys.stdout.fileno() if self._path == "-" else open_log(self._path)

    def add(self, record: AccessRecord) -> None:
        """Take a finished request; in a worker, on the request path."""
        values = tuple([getter(record) for getter in self._getters])
        if _UNSAFE.search("".join(values)):
            values = tuple([_UNSAFE.sub(_escape, value) for value in values])
        line = self._template % values + "\n"
        self._lines.append(line)
        self._size += len(line)
        if self._size > _KEEP_AT_MOST:
            self.flush()

    def flush(self) -> None:
        """Write the lines out; a log that cannot be written loses them and stops nobody."""
        if not self._lines:
            return
        self._size = 0
        gathered: list[str] = []
        with contextlib.suppress(IndexError):  # another thread took the last one
            while self._lines:
                gathered.append(self._lines.popleft())
        rest = memoryview("".join(gathered).encode("utf-8", "backslashreplace"))
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            return

    def reopen(self) -> None:
        """Open the file anew, after log rotation.

        Raises:
            ConfigError: It cannot be opened; the old one goes on.
        """
        self.flush()
        if self._path != "-":
            fresh = self._open()
            # The number stays: a thread that writes to it meanwhile reaches the old file or the new one, never none.
            os.dup2(fresh, self._fd, inheritable=False)
            os.close(fresh)


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"
