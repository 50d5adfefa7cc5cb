"""The chunked transfer coding, decoded (RFC 9112, 7.1).

    chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF )
                   1*"0" [ chunk-ext ] CRLF *( field-line CRLF ) CRLF

All but sizes and data is read by the table of rules at the end, one for each state: a run of bytes that leave the
state as it is, then one byte that leads to another. A byte that fits neither is refused when it arrives; nothing
waits for the end of a line, so no byte is looked at twice, however they are split.

Two things are narrower than the grammar: there is no white space between a size and its extension (the RFC itself
calls it bad), and a size has at most 16 digits. Extensions and trailers are checked, counted and dropped: nobody
uses the former, and the latter could pass for header fields that a proxy in front has vouched for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

from workerkit.errors import ProtocolError
from workerkit.http import abnf
from workerkit.http.limits import HttpLimits, body_too_large
from workerkit.records import Record

_MOST_SIZE_DIGITS = 16
_LARGEST_EXTENSION = 4096  # of one chunk

_hex_digits = re.compile(rb"[0-9A-Fa-f]*+").match


class _State(Enum):
    SIZE = auto()
    SIZE_LF = auto()
    EXTENSION = auto()
    QUOTED = auto()
    ESCAPED = auto()
    DATA = auto()
    DATA_CR = auto()
    DATA_LF = auto()
    TRAILER = auto()
    NAME = auto()
    VALUE = auto()
    VALUE_LF = auto()
    LAST_LF = auto()
    DONE = auto()


class ChunkedDecoder:
    """A chunked body; see ``workerkit.http.body.BodyDecoder``."""

    __slots__ = (
        "_digits",
        "_extension",
        "_extensions",
        "_limits",
        "_received",
        "_remaining",
        "_state",
        "_trailers",
        "rest",
    )

    def __init__(self, limits: HttpLimits) -> None:
        self.rest = b""
        self._limits = limits
        self._state = _State.SIZE
        self._digits = b""  # of the size of this chunk, so far
        self._extension = 0  # bytes of extensions of this chunk,
        self._extensions = 0  # and of all
        self._remaining = 0  # bytes of data that this chunk still has
        self._received = 0  # bytes of data that all chunks have announced
        self._trailers = 0  # bytes of trailers

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: bytes) -> bytes:
        payload: list[bytes] = []
        position = 0
        while position < len(data) and self._state is not _State.DONE:
            if self._state is _State.DATA:
                position = self._read_data(data, position, payload)
            elif self._state is _State.SIZE:
                position = self._read_size(data, position)
            else:
                position = self._read_syntax(data, position)
        if self._state is _State.DONE:
            self.rest = data[position:]
        return b"".join(payload)

    def _read_size(self, data: bytes, position: int) -> int:
        end = _hex_digits(data, position).end()  # type: ignore[union-attr]  # it matches, if only nothing
        self._digits += data[position:end]
        if len(self._digits) > _MOST_SIZE_DIGITS:
            raise ProtocolError(f"malformed chunked body: a chunk size of more than {_MOST_SIZE_DIGITS} digits")
        if end == len(data):
            return end
        if not self._digits:
            raise _malformed("a chunk size")
        if data.startswith(b"\r\n", end):  # as nearly always: two rules in one step
            self._begin_chunk()
            return end + 2
        return self._read_syntax(data, end)

    def _read_data(self, data: bytes, position: int, payload: list[bytes]) -> int:
        piece = data[position : position + self._remaining]
        payload.append(piece)
        self._remaining -= len(piece)
        position += len(piece)
        if self._remaining:
            return position
        if data.startswith(b"\r\n", position):  # as nearly always: two rules in one step
            self._state = _State.SIZE
            return position + 2
        self._state = _State.DATA_CR
        return position

    def _read_syntax(self, data: bytes, position: int) -> int:
        """Read on by the rule of this state, at most to the byte that leads to another."""
        rule = _RULES[self._state]
        end = position
        if rule.run is not None:
            end = rule.run(data, position).end()  # type: ignore[union-attr]  # it matches, if only nothing
            rule.tally(self, end - position)
            if end == len(data):
                return end
        state = rule.steps.get(data[end])
        if state is None:
            raise _malformed(rule.expected)
        rule.tally(self, 1)
        self._state = state
        if state is _State.DATA:
            self._begin_chunk()
        return end + 1

    def _begin_chunk(self) -> None:
        """Judge a size, its line being complete; a size of 0 ends the data."""
        self._remaining = int(self._digits, 16)
        self._received += self._remaining
        if self._received > self._limits.limit_request_body > 0:
            raise body_too_large(self._limits)
        self._state = _State.DATA if self._remaining else _State.TRAILER
        self._digits = b""
        self._extension = 0

    def _count_nothing(self, size: int) -> None:
        """Framing is bounded by its rules."""

    def _count_extension(self, size: int) -> None:
        self._extension += size
        self._extensions += size
        if self._extension > _LARGEST_EXTENSION or self._extensions > self._limits.limit_chunk_extensions:
            raise ProtocolError("the extensions of a chunked body are too large")

    def _count_trailer(self, size: int) -> None:
        self._trailers += size
        if self._trailers > self._limits.limit_request_trailers:
            raise ProtocolError("the trailers of a chunked body are too large", 431)


def _malformed(expected: str) -> ProtocolError:
    return ProtocolError(f"malformed chunked body: {expected} expected")


class _Rule(Record):
    expected: str
    steps: dict[int, _State]
    run: Callable[[bytes, int], re.Match[bytes] | None] | None = None
    tally: Callable[[ChunkedDecoder, int], None] = ChunkedDecoder._count_nothing


def _extension_rule(run: bytes, steps: dict[bytes, _State]) -> _Rule:
    return _Rule("a chunk extension", _by_byte(steps), re.compile(run).match, ChunkedDecoder._count_extension)


def _trailer_rule(run: bytes, steps: dict[bytes, _State]) -> _Rule:
    return _Rule("a trailer field", _by_byte(steps), re.compile(run).match, ChunkedDecoder._count_trailer)


def _by_byte(steps: dict[bytes, _State]) -> dict[int, _State]:
    return {byte: state for characters, state in steps.items() for byte in characters}


def _matching(character: bytes) -> bytes:
    """Every byte that the pattern of one character matches."""
    return b"".join(re.findall(character, bytes(range(256))))


# The only line end is CRLF, everywhere.
_RULES = {
    _State.SIZE: _Rule("a chunk size", _by_byte({b"\r": _State.SIZE_LF, b";": _State.EXTENSION})),
    _State.SIZE_LF: _Rule("LF after a chunk size", _by_byte({b"\n": _State.DATA})),
    # An extension is read as far as it takes to know where it ends: a quoted string may hold ";" and an escaped
    # quote, none of it may hold a control character (RFC 9112, 7.1.1; RFC 9110, 5.6.4).
    _State.EXTENSION: _extension_rule(rb"[\t !#-~]*+", {b"\r": _State.SIZE_LF, b'"': _State.QUOTED}),
    _State.QUOTED: _extension_rule(rb"[\t !#-\[\]-~\x80-\xff]*+", {b'"': _State.EXTENSION, b"\\": _State.ESCAPED}),
    _State.ESCAPED: _extension_rule(b"", {_matching(abnf.FIELD_CHARACTER): _State.QUOTED}),
    _State.DATA_CR: _Rule("CRLF after the data of a chunk", _by_byte({b"\r": _State.DATA_LF})),
    _State.DATA_LF: _Rule("CRLF after the data of a chunk", _by_byte({b"\n": _State.SIZE})),
    # A trailer line is a field line, never folded (RFC 9112, 5): what is none, such as a request line, was never
    # meant to be one.
    _State.TRAILER: _trailer_rule(b"", {b"\r": _State.LAST_LF, _matching(abnf.TCHAR): _State.NAME}),
    _State.NAME: _trailer_rule(abnf.TCHAR + rb"*+", {b":": _State.VALUE}),
    _State.VALUE: _trailer_rule(abnf.FIELD_CHARACTER + rb"*+", {b"\r": _State.VALUE_LF}),
    _State.VALUE_LF: _trailer_rule(b"", {b"\n": _State.TRAILER}),
    _State.LAST_LF: _Rule("LF after the last trailer", _by_byte({b"\n": _State.DONE})),
}
