"""The header fields of a request: split by llhttp, judged here.

llhttp is given a request line of ours and then the field lines, so what it says is a pure function of their bytes:
the same block of bytes always gives the same ``Fields``, whatever the request line was. That is what lets
``FieldsCache`` skip the work for a client that repeats itself, and what makes its answers the same as without it.
Facts that depend on the method or the version are judged in ``request``.

In strict mode llhttp refuses a bare CR or LF, a line folded over two, a space before the colon, a name that is no
token, a control character in a value, Content-Length beside Transfer-Encoding, and a Content-Length that is empty,
signed, repeated or too long. The judges below do not lean on that for framing: they decide again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from workerkit.errors import ProtocolError
from workerkit.http import abnf
from workerkit.http.host import is_address
from workerkit.http.limits import HttpLimits, field_too_long, too_many_fields
from workerkit.memo import Memo

Pair = tuple[bytes, bytes]

# What llhttp is told before the field lines. POST, because it may have a body by either framing.
ANY_REQUEST_LINE = b"POST / HTTP/1.1\r\n"

# RFC 9110, 5.6.3: OWS = *( SP / HTAB )
_OWS = b" \t"

# Larger blocks carry large cookies, which seldom come twice the same; 512 of these are at most some megabytes.
_LARGEST_KEPT = 4096

# An exabyte. int() takes quadratic time, and raises ValueError above 4300 digits.
_MOST_LENGTH_DIGITS = 18

_NEVER_BEFORE = (b"chunked", b"identity")

_is_host = re.compile(abnf.HOST_PORT + rb"|").fullmatch
_is_length = re.compile(rb"[0-9]++").fullmatch
_is_token = re.compile(abnf.TOKEN).fullmatch


class Fields:
    """The header fields of one request, and the facts in them that do not depend on its request line.

    ``pairs`` are names as received and values without the white space around them, in order. ``host`` is None when
    there is no such field. ``upgrade`` is the protocol asked for, if ``Connection`` lists it. ``heads``, ``environs``
    and ``log_line`` are free for the reader of heads, the gateway and the access log: what is derived from these fields
    may be kept there, as one ``Fields`` may be shared, by way of the cache, by many requests (also those of other
    peers; treat all but these three as frozen).
    """

    __slots__ = (
        "chunked",
        "close",
        "content_length",
        "content_type",
        "environs",
        "expect_continue",
        "heads",
        "host",
        "keep_alive",
        "log_line",
        "pairs",
        "upgrade",
    )

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self.pairs = pairs
        self.host: bytes | None = None
        self.content_length: int | None = None
        self.content_type: bytes | None = None
        self.chunked = False
        self.close = False
        self.keep_alive = False
        self.expect_continue = False
        self.upgrade: bytes | None = None
        self.heads: dict[bytes, Any] = {}
        self.environs: tuple[Any, ...] = ()
        self.log_line: str | None = None

    def __repr__(self) -> str:
        return f"<Fields {len(self.pairs)} fields, host {self.host!r}>"


def parse_fields(block: bytes, limits: HttpLimits) -> Fields:
    """Split and judge the field lines of one head, given with the empty line that ends them.

    Raises:
        ProtocolError: 400; 417 for an unknown expectation; 431 over a limit; 501 for an unknown coding.
    """
    count = _check_limits(block, limits)
    fields = Fields(_split(block, count))
    for name, value in fields.pairs:
        judge = _JUDGES.get(name.lower())
        if judge is not None:
            judge(fields, value)
    if fields.chunked and fields.content_length is not None:
        # A request framed in both ways is what smuggling looks like, and ought to be an error (RFC 9112, 6.3).
        raise ProtocolError("both Transfer-Encoding and Content-Length are given")
    if fields.upgrade is not None and b"upgrade" not in _connection_options(fields.pairs):
        # Upgrade counts only when Connection lists it (RFC 9110, 7.8).
        fields.upgrade = None
    return fields


class FieldsCache:
    """The fields that were judged good lately, by the bytes they came in. One per process, for all its connections.

    Only blocks that passed are kept, for the limits that they passed. With a browser's 13 fields, reading a head
    takes a third of the time when its fields are known, and an eighth more when they are new: the cache is for
    connections whose clients repeat themselves, not for a proxy that gives each request a number of its own.
    """

    __slots__ = ("_memo", "known", "largest_head", "limits")

    largest_head: int
    """Above this, what was received need not be looked up whole: it cannot be known, or is many heads."""

    known: Callable[[bytes], Fields | None]
    """Returns the fields of a block that was judged good lately; None for any other bytes."""

    def __init__(self, limits: HttpLimits, size: int = 512) -> None:
        self.limits = limits
        self.largest_head = min(_LARGEST_KEPT, limits.limit_request_head or _LARGEST_KEPT)
        self._memo: Memo[bytes, Fields] = Memo(partial(parse_fields, limits=limits), size)
        self.known = self._memo.get

    def __len__(self) -> int:
        return len(self._memo)

    def parse(self, block: bytes) -> Fields:
        """The same as ``parse_fields(block, self.limits)``, raising what that raises."""
        if len(block) > _LARGEST_KEPT:
            return parse_fields(block, self.limits)
        return self._memo[block]


def _check_limits(block: bytes, limits: HttpLimits) -> int:
    """Count the fields; refuse too many, or one that is too long."""
    count = block.count(b"\n") - 1
    if count > limits.limit_request_fields > 0:
        raise too_many_fields(limits)
    if len(block) > limits.limit_request_field_size > 0:
        longest = max(map(len, block.split(b"\r\n")))
        if longest > limits.limit_request_field_size:
            raise field_too_long(limits)
    return count


class _Collector:
    """What llhttp reports to: httptools looks its callbacks up by name."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp has taken the white space before the value. That after it can only be OWS, although rstrip() knows
        # more kinds, because the others are controls and refused.
        self.pairs.append((name, value.rstrip()))


def _split(block: bytes, count: int) -> tuple[Pair, ...]:
    collector = _Collector()
    parser = HttpRequestParser(collector)
    try:
        parser.feed_data(ANY_REQUEST_LINE + block)
    except HttpParserUpgrade:
        pass  # the head is complete, and what comes after it was not given
    except HttpParserError as error:
        raise malformed(error) from None
    # One field a line and no line left over: llhttp saw the head end where we did.
    if len(collector.pairs) != count:
        raise ProtocolError("the header fields do not end with an empty line")
    return tuple(collector.pairs)


def malformed(error: HttpParserError) -> ProtocolError:
    """The refusal of what llhttp refused; its reasons are fixed texts, with nothing of the client's in them."""
    return ProtocolError(f"malformed header field: {error}")


def _judge_host(fields: Fields, value: bytes) -> None:
    # Two Host fields, or one that is not uri-host [":" port], must get a 400 (RFC 9112, 3.2). An empty one is
    # valid: clients send it when their target has no authority.
    if fields.host is not None:
        raise ProtocolError("more than one Host field")
    if not _is_host(value) or (b"[" in value and not is_address(value)):
        raise ProtocolError("the Host field is not a host and an optional port")
    fields.host = value


def _judge_content_length(fields: Fields, value: bytes) -> None:
    # 1*DIGIT, nothing else (RFC 9110, 8.6). Equal repetitions may be taken as one; refusing them is safer.
    if fields.content_length is not None:
        raise ProtocolError("more than one Content-Length field")
    if not _is_length(value):
        raise ProtocolError("the Content-Length is not a number")
    if len(value) > _MOST_LENGTH_DIGITS:
        raise ProtocolError("the Content-Length is beyond any body")
    fields.content_length = int(value)


def _judge_transfer_encoding(fields: Fields, value: bytes) -> None:
    # Without chunked as its last coding, the length of a request's body cannot be known: 400 (RFC 9112, 6.3).
    # Chunked may be applied once only (6.1). A coding that is not understood should get a 501 (6.1).
    if fields.chunked:
        raise ProtocolError("more than one Transfer-Encoding field")
    codings = [coding.strip(_OWS).lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        fields.chunked = True
        return
    *others, last = codings
    # "identity" was a coding once, and means that the body ends with the connection: not for a request.
    if last != b"chunked" or any(coding in _NEVER_BEFORE or not _is_token(coding) for coding in others):
        raise ProtocolError("the Transfer-Encoding does not end in one chunked")
    raise ProtocolError("a transfer coding other than chunked is not understood", 501)


def _judge_content_type(fields: Fields, value: bytes) -> None:
    # A singleton field (RFC 9110, 8.3): two would be read differently by the parts of one site.
    if fields.content_type is not None:
        raise ProtocolError("more than one Content-Type field")
    fields.content_type = value


def _judge_connection(fields: Fields, value: bytes) -> None:
    options = _OPTIONS[value]
    if b"close" in options:
        fields.close = True
    if b"keep-alive" in options:
        fields.keep_alive = True


def _judge_expect(fields: Fields, value: bytes) -> None:
    # There is one expectation, and an unknown one may be answered with 417 (RFC 9110, 10.1.1).
    if value.lower() != b"100-continue":
        raise ProtocolError("no expectation but 100-continue can be met", 417)
    fields.expect_continue = True


def _judge_upgrade(fields: Fields, value: bytes) -> None:
    fields.upgrade = value if fields.upgrade is None else fields.upgrade + b", " + value


_JUDGES: dict[bytes, Callable[[Fields, bytes], None]] = {
    b"host": _judge_host,
    b"content-length": _judge_content_length,
    b"transfer-encoding": _judge_transfer_encoding,
    b"content-type": _judge_content_type,
    b"connection": _judge_connection,
    b"expect": _judge_expect,
    b"upgrade": _judge_upgrade,
}


def _split_options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(_OWS) for option in value.lower().split(b","))


# Nearly all requests say "keep-alive", "close" or "Upgrade".
_OPTIONS: Memo[bytes, frozenset[bytes]] = Memo(_split_options, 64)


def _connection_options(pairs: tuple[Pair, ...]) -> frozenset[bytes]:
    return frozenset().union(*(_OPTIONS[value] for name, value in pairs if name.lower() == b"connection"))
