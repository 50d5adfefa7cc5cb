"""The head of a request: read from bytes as they arrive, once complete judged as a whole."""

from __future__ import annotations

from workerkit.errors import ProtocolError
from workerkit.http.fields import Fields, FieldsCache, parse_fields
from workerkit.http.limits import HttpLimits, head_too_large, line_too_long
from workerkit.http.partial import PartialHead
from workerkit.http.request_line import RequestLine, parse_request_line

_BLANK = b"\r\n\r\n"

# Of each block of fields, how many heads are kept; longer request lines seldom come again.
_HEADS_KEPT = 8
_LONGEST_KEPT = 256

__all__ = ["Fields", "FieldsCache", "HeadReader", "RequestHead"]


class RequestHead:
    """What a request asks for and how its body is framed. One may stand for many requests of the same bytes.

    ``target`` is the raw request target; ``path`` and ``query`` are its parts, undecoded (``path`` is ``*`` for the
    asterisk-form). ``authority`` is the host of an absolute-form target and None otherwise: where it is given, it
    stands in place of the Host field (RFC 9112, 3.2.2). ``keep_alive`` is what the client allows. A body follows if
    ``chunked`` is set or ``content_length`` is not 0; only then can ``expect_continue`` be set. ``log_line`` is free
    for the access log; all else is frozen.
    """

    # Not a frozen dataclass: those assign through object.__setattr__, which takes three times as long.
    __slots__ = (
        "authority",
        "chunked",
        "content_length",
        "expect_continue",
        "fields",
        "keep_alive",
        "log_line",
        "method",
        "minor",
        "path",
        "query",
        "target",
    )

    def __init__(self, line: RequestLine, fields: Fields) -> None:
        self.method, self.target, self.path, self.query, self.authority, self.minor = line
        self.fields = fields
        self.log_line: str | None = None
        self.content_length = fields.content_length or 0
        self.chunked = fields.chunked
        if self.minor:
            # HTTP/1.1 persists unless told otherwise, 1.0 only if asked to (RFC 9112, 9.3).
            self.keep_alive = not fields.close
            # Who has announced no body waits for no leave to send one.
            self.expect_continue = fields.expect_continue and (fields.chunked or self.content_length > 0)
        else:
            self.keep_alive = fields.keep_alive and not fields.close
            # To be ignored in a request of HTTP/1.0 (RFC 9110, 10.1.1).
            self.expect_continue = False

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.target} HTTP/1.{self.minor}>"


class HeadReader:
    """Reads one head at a time from the bytes of a connection; holds next to nothing in between.

    For the protocol, in a worker: ``feed`` what was received until it returns a head, then take ``rest``, which is
    what came after the head and belongs to the body or the next request. Then ``feed`` again, for the next message.
    The reader keeps ``rest`` until then: who has taken it and lets the connection idle sets it to ``b""``.
    """

    __slots__ = ("_limits", "_partial", "cache", "rest")

    def __init__(self, limits: HttpLimits, cache: FieldsCache | None = None) -> None:
        if cache is not None and cache.limits is not limits and cache.limits != limits:
            raise ValueError("the cache holds what passed other limits")
        self._limits = limits
        self.cache = cache
        self._partial: PartialHead | None = None
        self.rest = b""

    @property
    def started(self) -> bool:
        """Whether some of the next head has arrived, so that the connection is not idle."""
        return self._partial is not None and self._partial.started

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived at all, not even an empty line before the next head."""
        return self._partial is None

    def feed(self, data: bytes) -> RequestHead | None:
        """Take what was received; return the head once it is complete, None while it is not.

        Raises:
            ProtocolError: as soon as what has arrived cannot become a head that is served; nothing that comes later on
                this connection may be read as a request.
        """
        partial = self._partial
        if partial is not None:
            return self._feed_more(partial, data)
        cache = self.cache
        if cache is not None and data.endswith(_BLANK):
            head = self._recognize(data, cache)
            if head is not None:
                return head
        # A server should ignore an empty line before the request line (RFC 9112, 2.2): one, as clients of old sent
        # after a body.
        start = 2 if data.startswith(b"\r\n") else 0
        blank = data.find(b"\r\n\r\n", start)
        if blank < 0:
            self._partial = PartialHead(self._limits)
            return self._feed_more(self._partial, data)
        end = blank + 4
        try:
            head = self._parse(data, start, end)
        except ProtocolError:
            # Of several faults, the one that is answered is the one that comes first, however the bytes were split.
            PartialHead(self._limits).feed(data)
            raise
        self.rest = data[end:]
        return head

    def _recognize(self, data: bytes, cache: FieldsCache) -> RequestHead | None:
        """Read what is one head and nothing else, with fields that came before; None if it is anything else.

        On a busy connection nearly every request is that. A block that the cache knows ends where its empty line is,
        so the empty line need not be searched for. Nothing is accepted here that would not be accepted otherwise.
        """
        line_end = data.find(b"\r\n")
        if line_end > self._limits.limit_request_line > 0 or len(data) > cache.largest_head:
            return None
        fields = cache.known(data[line_end + 2 :])
        if fields is None:
            return None
        line = data[:line_end]
        head: RequestHead | None = fields.heads.get(line)
        if head is None:
            try:
                head = RequestHead(parse_request_line(line), fields)
                _judge(head, fields)
            except ProtocolError:
                return None  # whoever reads it the long way finds the fault that comes first
            if line_end < _LONGEST_KEPT:
                if len(fields.heads) >= _HEADS_KEPT:
                    fields.heads.clear()
                fields.heads[line] = head
        self.rest = b""
        return head

    def _feed_more(self, partial: PartialHead, data: bytes) -> RequestHead | None:
        end = partial.feed(data)
        if end is None:
            return None
        received = bytes(partial.received)
        head = self._parse(received, partial.start, end)
        self.rest = received[end:]
        self._partial = None
        return head

    def _parse(self, data: bytes, start: int, end: int) -> RequestHead:
        """Judge the complete head ``data[start:end]``: every head that is accepted, fast or slow, passes here."""
        limits = self._limits
        line_end = data.find(b"\r\n", start)
        if line_end - start > limits.limit_request_line > 0:
            raise line_too_long(limits)
        if end - start > limits.limit_request_head > 0:
            raise head_too_large(limits)
        line = parse_request_line(data[start:line_end])
        block = data[line_end + 2 : end]
        cache = self.cache
        fields = parse_fields(block, limits) if cache is None else cache.parse(block)
        head = RequestHead(line, fields)
        _judge(head, fields)
        return head


def _judge(head: RequestHead, fields: Fields) -> None:
    """Refuse what the request line and the header fields are only together."""
    if not head.minor:
        # Transfer-Encoding in a request of HTTP/1.0 means that its framing is faulty (RFC 9112, 6.1).
        if fields.chunked:
            raise ProtocolError("Transfer-Encoding in a request of HTTP/1.0")
    elif fields.host is None:
        # Every request of HTTP/1.1 has a Host field (RFC 9112, 3.2).
        raise ProtocolError("the Host field is missing")
    if head.authority is not None and fields.host == b"":
        raise ProtocolError("the Host field is empty, and the target names a host")
