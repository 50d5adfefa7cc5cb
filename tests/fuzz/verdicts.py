"""What must hold of every stream, whatever it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.unit.http.feeding import Conversation, Event, byte_by_byte, split_at
from workerkit.http.fields import FieldsCache
from workerkit.http.limits import HttpLimits
from workerkit.http.request_line import METHODS

LIMITS = HttpLimits(
    limit_request_line=200,
    limit_request_fields=12,
    limit_request_field_size=120,
    limit_request_head=600,
    limit_request_body=1000,
    limit_chunk_extensions=100,
    limit_request_trailers=100,
)
"""Small, so that streams reach them."""

_STATUSES = {400, 413, 414, 417, 431, 501, 505}
_is_target = re.compile(r"[!-~]+").fullmatch
_is_name = re.compile(rb"[!#-'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(rb"[\t -~\x80-\xff]*").fullmatch


class _Going(Conversation):
    """A conversation that fails when it stands still, rather than hang."""

    def _read_head(self, data: bytes) -> bytes:
        return _shorter(data, super()._read_head(data))

    def _read_body(self, data: bytes) -> bytes:
        return _shorter(data, super()._read_body(data))


def _shorter(data: bytes, rest: bytes) -> bytes:
    assert len(rest) < len(data), "the parser took nothing of what it was given"
    return rest


def _converse(pieces: Iterable[bytes], cache: FieldsCache | None = None) -> list[Event]:
    conversation = _Going(LIMITS, cache)
    for piece in pieces:
        conversation.receive(piece)
    return conversation.end()


def check(data: bytes, places: Iterable[int], cache: FieldsCache) -> list[Event]:
    """Parse a stream in many ways, and return what all of them took it for.

    Raises:
        AssertionError: Two ways differ, or what was accepted must not be.
        Exception: Whatever the parser let escape.
    """
    whole = _converse([data])
    assert _converse(byte_by_byte(data)) == whole, "byte by byte it is another"
    assert _converse(split_at(data, places)) == whole, "in pieces it is another"
    for _ in range(2):
        assert _converse([data], cache) == whole, "with known fields it is another"
    for event in whole:
        _check_event(event)
    return whole


def _check_event(event: Event) -> None:
    kind, *said = event
    if kind == "refused":
        assert said[0] in _STATUSES, f"a refusal with {said[0]}"
    elif kind == "request":
        _check_request(*said)


def _check_request(told: object, body: object) -> None:
    assert isinstance(told, tuple)
    assert isinstance(body, bytes)
    method, target, path, _query, _authority, minor, *_ = told
    length, chunked, pairs, host = told[7], told[8], told[10], told[11]
    assert method.encode() in METHODS, "a method that is not served"
    assert _is_target(target), "a target with bytes that no target has"
    assert path.startswith("/") or (path == "*" and method == "OPTIONS"), "a path that is none"
    assert all(_is_name(name) and _is_value(value) for name, value in pairs), "a field that is none"
    assert minor == 0 or host is not None, "no Host"
    assert not (chunked and (minor == 0 or length)), "two framings"
    assert chunked or len(body) == length, "a body of another length"
    assert len(body) <= LIMITS.limit_request_body, "a body over the limit"
    assert len(pairs) <= LIMITS.limit_request_fields, "fields over the limit"
