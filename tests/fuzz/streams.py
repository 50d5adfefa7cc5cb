"""Makes streams: requests by a grammar whose parts are now and then wrong, and mutations of these and of the cases."""

from __future__ import annotations

from random import Random

from tests.refusals.case import Cut, Refused, Understood
from tests.refusals.catalog import GROUPS

# For each part of a request what is right, and what is wrong or seldom.
METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS"), (b"BREW", b"get", b"CONNECT", b"P(ST", b"", b"PRI")
TARGETS = (
    (b"/", b"/a/b?c=d", b"/%2e%2e/", b"http://a/b?c", b"http://a", b"//a", b"/" + b"x" * 60),
    (b"*", b"a:80", b"/a#b", b"", b"/\xc3\xa9", b"/\x00", b"/%41%zz", b"http://u@a/", b"/a b", b"?a"),
)
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"), (b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"")
NAMES = (
    (b"X-Y", b"X_Y", b"Content_Length", b"Proxy", b"TE", b"Cookie", b"Accept", b"Connection", b"Upgrade"),
    (b"Host", b"Content-Length", b"transfer-encoding", b"Expect", b"Content-Type", b"", b"A B", b"N\x00", b"Name\t"),
)
VALUES = (
    (b"a", b"close", b"keep-alive, upgrade", b"websocket", b"", b" \t", b"\x80\xff", b'"a', b",,", b"x" * 60),
    (
        *(b"a b", b"5", b"0", b"+5", b"5, 5", b"1" * 30, b"chunked", b"gzip, chunked", b"chunked, gzip", b"x" * 130),
        *(b"100-continue", b"\x0b", b"a\rb", b"a\nb", b"\x00"),
    ),
)
LINE_ENDS = (b"\r\n",), (b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\n\r", b"")
SIZES = (
    (b"5", b"05", b"5;a", b'5;a="b\\""', b"5;" + b"a" * 40),
    (b"0", b"A", b"0x5", b"+5", b"-1", b" 5", b"5 ", b"f" * 16, b"f" * 17, b"", b'5;a="b', b"\xb2"),
)
_PARTS = [part for parts in (METHODS, TARGETS, VERSIONS, NAMES, VALUES, SIZES) for some in parts for part in some]
TOKENS = [*_PARTS, b"\r\n", b"\r\n\r\n", b": ", b":", b" ", b"0\r\n\r\n"]
"""What is inserted, and what hypothesis puts together."""

_RIGHT = 29 / 30
_LONGEST = 1500
SEEDS = [
    case.data
    for cases in GROUPS.values()
    for case in cases
    if isinstance(case, Refused | Understood | Cut) and len(case.data) <= _LONGEST
]


def stream(seed: int, number: int) -> bytes:
    """Return the stream of that number: the same in every process, for ever, as long as nobody edits this module."""
    chance = Random(seed << 64 | number)
    data = chance.choice(SEEDS) if chance.random() < 0.15 else b""
    data += b"".join(_request(chance) for _ in range(chance.choice((1, 1, 2, 3))))
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 4))):
        data = chance.choice(_MUTATIONS)(chance, data)
    return data


def _some(chance: Random, parts: tuple[tuple[bytes, ...], tuple[bytes, ...]]) -> bytes:
    """Return a part that is right, or one of thirty times another."""
    right, wrong = parts
    return chance.choice(right if chance.random() < _RIGHT else wrong)


def _request(chance: Random) -> bytes:
    line = b" ".join((_some(chance, METHODS), _some(chance, TARGETS), _some(chance, VERSIONS)))
    body, framing = _body(chance)
    fields = [b"Host: a"] * (chance.random() < _RIGHT)
    fields += [_field(chance) for _ in range(chance.choice((0, 0, 1, 2, 4, 11)))]
    place = chance.randrange(len(fields) + 1)
    fields[place:place] = framing
    return b"".join(part + _some(chance, LINE_ENDS) for part in (line, *fields, b"")) + body


def _field(chance: Random) -> bytes:
    return _some(chance, NAMES) + b": " + _some(chance, VALUES)


def _body(chance: Random) -> tuple[bytes, list[bytes]]:
    """Return a body, and the field that announces it."""
    kind = chance.random()
    if kind < 0.4:
        return b"", []
    if kind < 0.6:
        size = chance.choice((0, 1, 5, 40, 300))
        return b"x" * size, [b"Content-Length: %d" % size]
    chunks = [_chunk(chance) for _ in range(chance.choice((0, 1, 2, 5)))]
    trailers = [_field(chance) + b"\r\n" for _ in range(chance.choice((0, 0, 1)))]
    return b"".join((*chunks, b"0\r\n", *trailers, b"\r\n")), [b"Transfer-Encoding: chunked"]


def _chunk(chance: Random) -> bytes:
    if chance.random() < 0.5:
        size = chance.choice((1, 5, 30))
        return b"%x\r\n%b\r\n" % (size, b"A" * size)
    return _some(chance, SIZES) + _some(chance, LINE_ENDS) + b"AAAAA" + _some(chance, LINE_ENDS)


def _delete(chance: Random, data: bytes) -> bytes:
    begin, end = _slice(chance, data)
    return data[:begin] + data[end:]


def _repeat(chance: Random, data: bytes) -> bytes:
    begin, end = _slice(chance, data)
    return data[:end] + data[begin:end] * chance.choice((1, 1, 20)) + data[end:]


def _flip(chance: Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def _insert(chance: Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(TOKENS) + data[place:]


def _move(chance: Random, data: bytes) -> bytes:
    begin, end = _slice(chance, data)
    rest = data[:begin] + data[end:]
    place = chance.randrange(len(rest) + 1)
    return rest[:place] + data[begin:end] + rest[place:]


def _splice(chance: Random, data: bytes) -> bytes:
    other = chance.choice(SEEDS)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _slice(chance: Random, data: bytes) -> tuple[int, int]:
    begin = chance.randrange(len(data) + 1)
    return begin, min(len(data), begin + chance.choice((1, 2, 4, 20)))


_MUTATIONS = (_delete, _repeat, _flip, _insert, _move, _splice)
