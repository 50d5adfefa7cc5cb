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
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from workerkit.http.fields import Fields
from workerkit.http.memo import Memo
from workerkit.process.clock import gmtime, wall_clock
from workerkit.telemetry.files import open_log

DEFAULT_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KEEP_AT_MOST = 64 * 1024


class AccessRecord(NamedTuple):
    """What a finished request is described by."""

    peer: str
    method: str
    target: str
    protocol: str
    fields: Fields
    status: str
    response_fields: Sequence[tuple[str, str]]
    body_bytes: int
    seconds: float


Getter = Callable[[AccessRecord], str]
FieldGetter = Callable[[Fields], str]


def _request_field(name: str) -> FieldGetter:
    wanted = name.lower().encode("latin-1")

    def get(fields: Fields) -> str:
        for key, value in fields.pairs:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return "-"

    return get


def _response_field(name: str) -> Getter:
    wanted = name.lower()
    return lambda record: next((value for key, value in record.response_fields if key.lower() == wanted), "-")


def _variable(name: str) -> Getter:
    return lambda _record: os.environ.get(name, "-")


def _user(fields: Fields) -> str:
    """The name of RFC 7617's basic credentials; the password never reaches a log."""
    scheme, _, encoded = _authorization(fields).partition(" ")
    if scheme.lower() != "basic":
        return "-"
    import binascii  # noqa: PLC0415  only servers that log users of basic authentication need it

    try:
        return binascii.a2b_base64(encoded.strip()).partition(b":")[0].decode("utf-8", "replace") or "-"
    except ValueError:
        return "-"


_authorization = _request_field("authorization")

_ATOMS: dict[str, Getter] = {
    "h": attrgetter("peer"),
    "t": lambda _record: _times[int(wall_clock())],
    "r": lambda record: f"{record.method} {record.target} {record.protocol}",
    "s": lambda record: record.status[:3],
    "m": attrgetter("method"),
    "U": lambda record: record.target.partition("?")[0],
    "q": lambda record: record.target.partition("?")[2],
    "H": attrgetter("protocol"),
    "b": lambda record: str(record.body_bytes or "-"),
    "B": lambda record: str(record.body_bytes),
    "T": lambda record: str(int(record.seconds)),
    "M": lambda record: str(int(record.seconds * 1e3)),
    "D": lambda record: str(int(record.seconds * 1e6)),
    "L": lambda record: f"{record.seconds:.6f}",
    "p": lambda _record: f"<{os.getpid()}>",
}
_FIELD_ATOMS: dict[str, FieldGetter] = {
    "l": lambda _fields: "-",
    "u": _user,
    "f": _request_field("referer"),
    "a": _request_field("user-agent"),
}
_KINDS = {"o": _response_field, "e": _variable}

_ATOM = re.compile(r"%%|%\((?:\{([^}]+)\}(.)|([^){]+))\)s")
# Bytes of a request must not forge a line or drive a terminal (the field is quoted in the default format).
_UNSAFE = re.compile(r'[\x00-\x1f"\\\x7f-\x9f]')


class LineFormat:
    """A format, compiled: text with holes. Some holes depend on nothing but the request's fields.

    Clients repeat their fields, so those are filled once for each ``Fields`` and stay with it (``Fields.log_line``); a
    line then costs what is left.

    Raises:
        ValueError: An atom is unknown.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[str | FieldGetter] = []
        self._getters: list[Getter] = []
        end = 0
        for match in _ATOM.finditer(text):
            self._parts += text[end : match.start()].replace("%", "%%"), self._part(match)
            end = match.end()
        self._parts.append(text[end:].replace("%", "%%"))

    def _part(self, atom: re.Match[str]) -> str | FieldGetter:
        name, kind, plain = atom.groups()
        if atom.group() == "%%":
            return "%%"
        if plain in _FIELD_ATOMS:
            return _FIELD_ATOMS[plain]
        if name is not None and kind.lower() == "i":
            return _request_field(name)
        if name is not None and kind.lower() in _KINDS:
            self._getters.append(_KINDS[kind.lower()](name))
        elif plain in _ATOMS:
            self._getters.append(_ATOMS[plain])
        else:
            known = ", ".join(sorted([*_ATOMS, *_FIELD_ATOMS], key=str.lower))
            raise ValueError(f"has the unknown atom {atom.group()}; known: {known}, {{name}}i, {{name}}o, {{name}}e")
        return "%s"

    def line(self, record: AccessRecord) -> str:
        """Return the line of a finished request, without what ends it."""
        template = record.fields.log_line
        if template is None:
            template = record.fields.log_line = self._template(record.fields)
        values = tuple([getter(record) for getter in self._getters])
        if _UNSAFE.search("".join(values)):
            values = tuple([_UNSAFE.sub(_escape, value) for value in values])
        return template % values

    def _template(self, fields: Fields) -> str:
        filled = [part if isinstance(part, str) else _literally(part(fields)) for part in self._parts]
        return "".join(filled)


def _literally(value: str) -> str:
    return _UNSAFE.sub(_escape, value).replace("%", "%%")


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"


def _time_of(second: int) -> str:
    then = gmtime(second)
    return (
        f"[{then.tm_mday:02d}/{_MONTHS[then.tm_mon - 1]}/{then.tm_year}:"
        f"{then.tm_hour:02d}:{then.tm_min:02d}:{then.tm_sec:02d} +0000]"
    )


_times: Memo[int, str] = Memo(_time_of, 2)


class AccessLog:
    """Lines gathered in memory and written together."""

    def __init__(self, path: str, line_format: str) -> None:
        self._path = path
        self._format = LineFormat(line_format)
        self.lines: deque[str] = deque()
        """What is still to be written. Threads add to it while one of them writes: a deque loses none."""
        self._size = 0
        self._fd = self._open()
        if path != "-":
            # When nobody holds this log any more, and not when the next one is made: an arbiter that still serves
            # would write to whatever has got the number meanwhile.
            weakref.finalize(self, os.close, self._fd).atexit = False

    def _open(self) -> int:
        return sys.stdout.fileno() if self._path == "-" else open_log(self._path)

    def add(self, record: AccessRecord) -> None:
        """Take a finished request; in a worker, on the request path."""
        line = self._format.line(record) + "\n"
        self.lines.append(line)
        self._size += len(line)
        if self._size > _KEEP_AT_MOST:
            self.flush()

    def flush(self) -> None:
        """Write the lines out; a log that cannot be written loses them and stops nobody."""
        if not self.lines:
            return
        self._size = 0
        gathered: list[str] = []
        with contextlib.suppress(IndexError):  # another thread took the last one
            while self.lines:
                gathered.append(self.lines.popleft())
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
