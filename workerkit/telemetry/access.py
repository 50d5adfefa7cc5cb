"""The access log: gunicorn's format atoms, compiled once into a template and what fills its holes.

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
from typing import Any, Protocol

from workerkit.memo import Memo
from workerkit.process.clock import gmtime, wall_clock
from workerkit.telemetry.files import LogFile

DEFAULT_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KEEP_AT_MOST = 64 * 1024


class Fields(Protocol):
    """The header fields of a request, which many requests may share."""

    pairs: tuple[tuple[bytes, bytes], ...]
    log_line: str | None
    """Free for the access log."""


class Answered(Protocol):
    """A finished request, as its connection still holds it: an entry of its own for each would cost the most."""

    status: str
    response_fields: Sequence[tuple[str, str]]
    sent: int
    """Bytes of the body."""

    @property
    def head(self) -> Any:
        """What was asked for: ``method``, ``target``, ``minor``, ``fields``; and ``log_line``, which is ours."""

    @property
    def stream(self) -> Any:
        """Where it came from: ``peer``."""


FieldGetter = Callable[[Fields], str]


def _request_field(name: str) -> FieldGetter:
    wanted = name.lower().encode("latin-1")

    def get(fields: Fields) -> str:
        for key, value in fields.pairs:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return "-"

    return get


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

# Python expressions: one lambda is made of those that a format needs. ``clean`` what a stranger may have chosen.
_ATOMS = {
    "h": "request.stream.peer",
    "t": "int(wall_clock())",
    "s": "request.status",
    "b": "request.sent",
    "B": "request.sent",
    "T": "int(seconds)",
    "M": "int(seconds * 1e3)",
    "D": "int(seconds * 1e6)",
    "L": "f'{seconds:.6f}'",
    "p": "f'<{getpid()}>'",
}
# What a line shows of such a value, where that is not the value itself; worked out when lines are written.
_SHOWN = {
    "h": "{value}[0] if type({value}) is tuple else '-'",
    "t": "times[{value}]",
    "s": "{value}[:3]",
    "b": "{value} or '-'",
}
_NAMED_ATOMS = {
    "o": "clean(find(request.response_fields, {name!r}))",
    "e": "clean(environ.get({name!r}, '-'))",
}
_HEAD_ATOMS = {
    "r": "f'{head.method} {clean(head.target)} HTTP/1.{head.minor}'",
    "m": "head.method",
    "U": "clean(head.target.partition('?')[0])",
    "q": "clean(head.target.partition('?')[2])",
    "H": "f'HTTP/1.{head.minor}'",
}
_FIELD_ATOMS: dict[str, FieldGetter] = {
    "l": lambda _fields: "-",
    "u": _user,
    "f": _request_field("referer"),
    "a": _request_field("user-agent"),
}

_ATOM = re.compile(r"%%|%\((?:\{([^}]+)\}(.)|([^){]+))\)s")
# Bytes of a request must not forge a line or drive a terminal (the field is quoted in the default format).
_UNSAFE = re.compile(r'[\x00-\x1f"\\\x7f-\x9f]')


def _clean(value: str) -> str:
    return _UNSAFE.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"


def _find(fields: Sequence[tuple[str, str]], name: str) -> str:
    wanted = name.lower()
    return next((value for key, value in fields if key.lower() == wanted), "-")


Entry = tuple[str, tuple[object, ...]]
"""What a line is made of: a text with holes, and what fills them."""


class LineFormat:
    """A format, compiled: text with holes, of which many depend on nothing but the head of the request.

    Clients repeat themselves. So the holes for a request's fields are filled once for each ``Fields``, those for its
    head once for each ``RequestHead``, and what comes of it stays there (``log_line``). What is left is put down when
    the request ends, and becomes a line when lines are written, equal ones once.
    Each filling undoes one doubling of the percent signs that are to stay.

    Args:
        text: The format.
        host: Returns what stands for the peer; None: the peer's address does.

    Raises:
        ValueError: An atom is unknown.
    """

    def __init__(self, text: str, host: Callable[[Answered], str] | None = None) -> None:
        self.text = text
        self._parts: list[str | FieldGetter] = []
        of_head: list[str] = []
        of_request: list[str] = []
        shown: list[str] = []
        atoms, shows = _ATOMS, _SHOWN
        if host is not None:
            atoms, shows = {**atoms, "h": "host(request)"}, {**shows, "h": "{value}"}
        end = 0
        for atom in _ATOM.finditer(text):
            self._parts += _kept(_kept(text[end : atom.start()])), _part(atom, of_head, of_request, atoms)
            if len(of_request) > len(shown):
                shown.append(shows.get(atom[3], "{value}").format(value=f"values[{len(shown)}]"))
            end = atom.end()
        self._parts.append(_kept(_kept(text[end:])) + "\n")
        # Of what a format says, only names get here, and those by repr(). A getter for each hole takes twice as long.
        names = {**_NAMES, "host": host}
        values = "".join(f"kept({expression}), " for expression in of_head)
        self._of_head: Callable[[Any], tuple[str, ...]] = eval(f"lambda head: ({values})", names)  # noqa: S307
        values = "".join(f"{expression}, " for expression in of_request)
        source = f"lambda request, seconds: ({values})"
        self._of_request: Callable[[Answered, float], tuple[object, ...]] = eval(source, names)  # noqa: S307
        source = f"lambda values: ({''.join(f'{value}, ' for value in shown)})"
        self._shown: Callable[[tuple[object, ...]], tuple[object, ...]] = eval(source, names)  # noqa: S307
        self.takes_time = "seconds" in values
        """Whether a line says how long its request took."""

    def entry(self, request: Answered, seconds: float) -> Entry:
        """Return what the line of a request that took so long will say; nothing of the request is kept."""
        head = request.head
        template: str | None = head.log_line
        if template is None:
            template = head.log_line = self._template(head.fields) % self._of_head(head)
        return template, self._of_request(request, seconds)

    def line(self, entry: Entry) -> str:
        """Return the line of an entry."""
        template, values = entry
        return template % self._shown(values)

    def _template(self, fields: Fields) -> str:
        template = fields.log_line
        if template is None:
            filled = [part if isinstance(part, str) else _kept(_kept(_clean(part(fields)))) for part in self._parts]
            template = fields.log_line = "".join(filled)
        return template


def _kept(text: str) -> str:
    """Return a text that is as it was after one more filling."""
    return text.replace("%", "%%")


def _part(
    atom: re.Match[str], of_head: list[str], of_request: list[str], atoms: dict[str, str]
) -> str | FieldGetter:
    """Return what stands in a template for an atom: a text, or what gets it from the fields."""
    name, kind, plain = atom.groups()
    if atom.group() == "%%":
        return _kept(_kept("%"))
    if plain in _FIELD_ATOMS:
        return _FIELD_ATOMS[plain]
    if name is not None and kind.lower() == "i":
        return _request_field(name)
    if plain in _HEAD_ATOMS:
        of_head.append(_HEAD_ATOMS[plain])
        return "%s"
    if name is not None and kind.lower() in _NAMED_ATOMS:
        of_request.append(_NAMED_ATOMS[kind.lower()].format(name=name))
    elif plain in atoms:
        of_request.append(atoms[plain])
    else:
        known = ", ".join(sorted([*atoms, *_HEAD_ATOMS, *_FIELD_ATOMS], key=str.lower))
        raise ValueError(f"has the unknown atom {atom.group()}; known: {known}, {{name}}i, {{name}}o, {{name}}e")
    return _kept("%s")


def _time_of(second: int) -> str:
    then = gmtime(second)
    return (
        f"[{then.tm_mday:02d}/{_MONTHS[then.tm_mon - 1]}/{then.tm_year}:"
        f"{then.tm_hour:02d}:{then.tm_min:02d}:{then.tm_sec:02d} +0000]"
    )


_NAMES = {
    "clean": _clean,
    "environ": os.environ,
    "find": _find,
    "getpid": os.getpid,
    "kept": _kept,
    "times": Memo(_time_of, 2),
    "wall_clock": wall_clock,
}


class AccessLog:
    """Lines gathered in memory and written together."""

    def __init__(self, path: str, line_format: str) -> None:
        self.lines: deque[Entry] = deque()
        """What is still to be written. Threads add to it while one of them writes: a deque loses none."""
        self._size = 0
        self._file = LogFile(path, sys.stdout)
        self._use(LineFormat(line_format))

    def name_clients(self, host: Callable[[Answered], str]) -> None:
        """Have this tell whom a request came from, in place of the peer; in a worker, before it serves."""
        self._use(LineFormat(self._format.text, host))

    def _use(self, line_format: LineFormat) -> None:
        self._format = line_format
        self._entry = line_format.entry

    @property
    def takes_time(self) -> bool:
        """Whether lines say how long requests took; otherwise it need not be known."""
        return self._format.takes_time

    def add(self, request: Answered, seconds: float) -> None:
        """Take a finished request; in a worker, on the request path."""
        entry = self._entry(request, seconds)
        self.lines.append(entry)
        self._size += len(entry[0])
        if self._size > _KEEP_AT_MOST:
            self.flush()

    def flush(self) -> None:
        """Write the lines out; a log that cannot be written loses them and stops nobody."""
        if not self.lines:
            return
        self._size = 0
        entries: list[Entry] = []
        with contextlib.suppress(IndexError):  # there are no more, or another thread has taken the last one
            entries.extend(iter(self.lines.popleft, None))
        with contextlib.suppress(OSError):
            self._file.write("".join(self._lines_of(entries)))

    def _lines_of(self, entries: Sequence[Entry]) -> list[str]:
        made: dict[Entry, str] = {}

        def make(entry: Entry) -> str:
            line = made[entry] = self._format.line(entry)
            return line

        return [made.get(entry) or make(entry) for entry in entries]

    def reopen(self) -> None:
        """Open the file anew, after log rotation.

        Raises:
            ConfigError: It cannot be opened; the old one goes on.
        """
        self.flush()
        self._file.reopen()
