"""What an accepted head says, and how the reader goes from one message to the next."""

from __future__ import annotations

import sys

import pytest
from feeding import BROWSER, LIMITS, byte_by_byte, converse, every_way, facts, summary

from workerkit.errors import ProtocolError
from workerkit.http import partial
from workerkit.http.fields import FieldsCache
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead


def read(data: bytes, cache: FieldsCache | None = None) -> RequestHead:
    head = HeadReader(LIMITS, cache).feed(data)
    assert head is not None
    return head


def test_a_browsers_head_is_read() -> None:
    """Method, target, version and the fields, names as sent, come out of a browser's request."""
    head = read(b"GET /shop/items?page=2&q=%20 HTTP/1.1\r\n" + BROWSER)

    assert (head.method, head.target, head.minor) == ("GET", "/shop/items?page=2&q=%20", 1)
    assert (head.path, head.query, head.authority) == ("/shop/items", "page=2&q=%20", None)
    assert head.fields.host == b"shop.example:8000"
    assert len(head.fields.pairs) == 13
    assert head.fields.pairs[4] == (b"sec-ch-ua-mobile", b"?0")
    assert repr(head) == "<RequestHead GET /shop/items?page=2&q=%20 HTTP/1.1>"
    assert repr(head.fields) == "<Fields 13 fields, host b'shop.example:8000'>"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /a?b HTTP/1.1", ("/a?b", "/a", "b", None)),
        (b"GET /a? HTTP/1.1", ("/a?", "/a", "", None)),
        (b"GET /a?b?c=/d HTTP/1.1", ("/a?b?c=/d", "/a", "b?c=/d", None)),
        (b"GET // HTTP/1.1", ("//", "//", "", None)),
        (b"GET //b.example/x HTTP/1.1", ("//b.example/x", "//b.example/x", "", None)),
        (b'GET /<a>|{b}^"c"? HTTP/1.1', ('/<a>|{b}^"c"?', '/<a>|{b}^"c"', "", None)),
        (b"OPTIONS * HTTP/1.1", ("*", "*", "", None)),
        (b"OPTIONS / HTTP/1.1", ("/", "/", "", None)),
        (b"M-SEARCH / HTTP/1.1", ("/", "/", "", None)),
        (b"GET http://b.example HTTP/1.1", ("http://b.example", "/", "", "b.example")),
        (b"GET http://b.example?x HTTP/1.1", ("http://b.example?x", "/", "x", "b.example")),
        (b"GET HTTPS://[::1]:443/y?z HTTP/1.1", ("HTTPS://[::1]:443/y?z", "/y", "z", "[::1]:443")),
    ],
)
def test_a_target_is_split_by_its_form(line: bytes, expected: tuple[object, ...]) -> None:
    """Each form of target gives a path, a query and, in absolute-form, the authority that stands in for Host."""
    head = read(line + b"\r\nHost: a.example\r\n\r\n")

    assert (head.target, head.path, head.query, head.authority) == expected


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"a.example:80",
        b"a:",
        b"127.0.0.1",
        b"[::1]",
        b"[2001:db8::1]:8000",
        b"a_b",
        b"xn--bcher-kva",
        b"%41",
        b"",
    ],
)
def test_a_host_is_a_host_and_a_port(host: bytes) -> None:
    """Names, addresses, ports and the empty value of a target without authority are all valid."""
    assert read(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").fields.host == host


@pytest.mark.parametrize(
    ("minor", "connection", "expected"),
    [
        (1, b"", True),
        (1, b"Connection: close\r\n", False),
        (1, b"Connection: keep-alive\r\n", True),
        (1, b"Connection: foo, Close , keep-alive\r\n", False),
        (1, b"Connection: foo\r\nConnection: close\r\n", False),
        (1, b"Connection: closed\r\n", True),
        (0, b"", False),
        (0, b"Connection: keep-alive\r\n", True),
        (0, b"Connection: Keep-Alive, foo\r\n", True),
        (0, b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (0, b"Keep-Alive: 300\r\n", False),
    ],
)
def test_keep_alive_is_the_versions_default_or_as_asked(minor: int, connection: bytes, expected: bool) -> None:
    """HTTP/1.1 persists unless it says close, HTTP/1.0 only if it says keep-alive; close wins."""
    head = read(b"GET / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (minor, connection))

    assert head.keep_alive is expected


@pytest.mark.parametrize(
    ("minor", "lines", "expected"),
    [
        (1, b"Expect: 100-continue\r\nContent-Length: 1\r\n", True),
        (1, b"Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", True),
        (1, b"Expect: 100-continue\r\n", False),
        (1, b"Expect: 100-continue\r\nContent-Length: 0\r\n", False),
        (1, b"Content-Length: 1\r\n", False),
        (0, b"Expect: 100-continue\r\nContent-Length: 1\r\n", False),
    ],
)
def test_100_continue_is_expected_of_1_1_and_before_a_body(minor: int, lines: bytes, expected: bool) -> None:
    """Nobody waits for a 100 who speaks HTTP/1.0 or announces no body."""
    head = read(b"POST / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (minor, lines))

    assert head.expect_continue is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"websocket"),
        (b"Upgrade: a\r\nUpgrade: b\r\nConnection: keep-alive, Upgrade\r\n", b"a, b"),
        (b"Upgrade: h2c\r\n", None),
        (b"Connection: upgrade\r\n", None),
    ],
)
def test_an_upgrade_counts_if_connection_lists_it(lines: bytes, expected: bytes | None) -> None:
    """Upgrade without the connection option is ignored."""
    assert read(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n").fields.upgrade == expected


def test_a_refused_upgrade_leaves_the_body_and_the_next_request_alone() -> None:
    """What follows an upgrade request with a body is its body, and after that the next request."""
    data = b"POST /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nGET /"

    events = every_way(data + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert summary(events) == ["POST /1", "GET /2"]
    assert events[0][2] == b"GET /"


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    """Spaces and tabs before and after a value are taken away, those inside stay; a value may be empty."""
    data = b"GET / HTTP/1.1\r\nHost:a \t\r\nA: \t b \t c\t \r\nEmpty:\r\nSpaces:   \r\n\r\n"

    [(_, head, _)] = every_way(data)

    pairs = ((b"Host", b"a"), (b"A", b"b \t c"), (b"Empty", b""), (b"Spaces", b""))
    assert isinstance(head, tuple)
    assert pairs in head


def test_one_empty_line_before_a_request_is_skipped() -> None:
    """The line end that old clients send after a body is not part of the next request."""
    data = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"

    assert summary(every_way(data)) == ["POST /1", "GET /2"]


def test_pipelined_requests_come_out_one_by_one() -> None:
    """What follows a head is left to the caller, byte for byte."""
    reader = HeadReader(LIMITS)
    second = b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"

    first = reader.feed(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + second)

    assert first is not None
    assert first.path == "/1"
    assert reader.rest == second
    assert not reader.started


def test_a_head_without_fields_is_one_of_http_1_0() -> None:
    """HTTP/1.0 needs no field at all."""
    [(_, head, body)] = every_way(b"GET / HTTP/1.0\r\n\r\n")

    assert isinstance(head, tuple)
    assert head[:2] == ("GET", "/")
    assert body == b""


class TestStarted:
    """``started`` says whether the connection is idle."""

    @pytest.mark.parametrize("data", [b"", b"\r", b"\r\n"])
    def test_an_empty_line_is_no_start(self, data: bytes) -> None:
        """Nothing, or only an empty line, leaves the connection idle."""
        reader = HeadReader(LIMITS)

        assert reader.feed(data) is None
        assert not reader.started

    @pytest.mark.parametrize("data", [b"G", b"\r\nG", b"GET / HTTP/1.1\r\nHost: a\r\n"])
    def test_a_byte_of_a_head_is_a_start(self, data: bytes) -> None:
        """One byte of the next head ends the idle time."""
        reader = HeadReader(LIMITS)

        assert reader.feed(data) is None
        assert reader.started

    def test_between_messages_nothing_is_held(self) -> None:
        """After a head that came in pieces the reader is as small as a new one."""
        reader = HeadReader(LIMITS)
        reader.feed(b"GET / HTTP/1.1\r\n")
        reader.feed(b"Host: a\r\n\r\n")

        assert not reader.started
        assert sys.getsizeof(reader) <= 64
        assert [getattr(reader, slot) for slot in ("_partial", "rest")] == [None, b""]


def test_a_dripped_head_is_told_to_the_parser_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte, llhttp gets each byte of the fields once: the time is linear."""
    told: list[int] = []

    class CountingParser(partial.HttpRequestParser):  # type: ignore[misc,name-defined]
        def feed_data(self, data: bytes) -> None:
            told.append(len(data))
            super().feed_data(data)

    monkeypatch.setattr(partial, "HttpRequestParser", CountingParser)
    block = b"Host: a\r\n" + b"".join(b"Name-%d: %b\r\n" % (number, b"x" * 200) for number in range(90)) + b"\r\n"

    [event] = converse(byte_by_byte(b"GET / HTTP/1.1\r\n" + block))

    assert event[0] == "request"
    assert sum(told) == len(partial.ANY_REQUEST_LINE) + len(block)


class TestCache:
    """The cache saves work and changes nothing."""

    def test_the_same_block_is_parsed_once(self) -> None:
        """Two requests that repeat their fields share them, whatever their request lines are."""
        cache = FieldsCache(LIMITS)

        first = read(b"GET /1 HTTP/1.1\r\n" + BROWSER, cache)
        second = read(b"HEAD /2 HTTP/1.0\r\n" + BROWSER, cache)

        assert first.fields is second.fields
        assert (first.method, second.method) == ("GET", "HEAD")
        assert (first.minor, second.minor) == (1, 0)

    def test_facts_of_the_version_are_not_cached(self) -> None:
        """One block of fields gives each version its own facts."""
        cache = FieldsCache(LIMITS)
        block = b"Host: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        lines = (b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n")

        with_cache = [facts(read(line + block, cache)) for line in lines * 2]

        assert with_cache == [facts(read(line + block)) for line in lines * 2]

    @pytest.mark.parametrize(
        ("good", "bad"),
        [
            (b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n"),
            (b"POST / HTTP/1.1\r\n", b"POST /# HTTP/1.1\r\n"),
            (b"POST / HTTP/1.1\r\n", b"CONNECT a:80 HTTP/1.1\r\n"),
        ],
    )
    def test_a_cached_block_excuses_no_request_line(self, good: bytes, bad: bytes) -> None:
        """A request that is refused without the cache is refused with it, also after a hit."""
        cache = FieldsCache(LIMITS)
        block = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        read(good + block, cache)

        with pytest.raises(ProtocolError) as with_cache:
            read(bad + block, cache)
        with pytest.raises(ProtocolError) as without:
            read(bad + block)

        assert (with_cache.value.status, str(with_cache.value)) == (without.value.status, str(without.value))

    def test_a_missing_host_is_missed_again(self) -> None:
        """Fields without Host, cached from HTTP/1.0, are refused on HTTP/1.1."""
        cache = FieldsCache(LIMITS)
        read(b"GET / HTTP/1.0\r\nA: b\r\n\r\n", cache)

        with pytest.raises(ProtocolError, match="Host field is missing"):
            read(b"GET / HTTP/1.1\r\nA: b\r\n\r\n", cache)

    def test_refused_blocks_are_not_kept(self) -> None:
        """What was refused once is refused each time, and takes no room."""
        cache = FieldsCache(LIMITS)

        for _ in range(2):
            with pytest.raises(ProtocolError):
                read(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", cache)

        assert len(cache) == 0

    def test_the_cache_is_bounded(self) -> None:
        """No more blocks than its size are kept, and no large ones."""
        cache = FieldsCache(LIMITS, size=3)

        for number in range(10):
            read(b"GET / HTTP/1.1\r\nHost: a%d\r\n\r\n" % number, cache)
            assert len(cache) <= 3
        before = len(cache)
        read(b"GET / HTTP/1.1\r\nHost: a\r\nB: " + b"b" * 5000 + b"\r\n\r\n", cache)

        assert len(cache) == before

    def test_a_cache_serves_the_limits_it_was_made_for(self) -> None:
        """A reader with other limits than its cache's is an error at once."""
        with pytest.raises(ValueError, match="other limits"):
            HeadReader(HttpLimits(limit_request_fields=1), FieldsCache(LIMITS))

    def test_what_a_gateway_keeps_comes_back(self) -> None:
        """The free slot of shared fields is there for the next request."""
        cache = FieldsCache(LIMITS)
        read(b"GET / HTTP/1.1\r\n" + BROWSER, cache).fields.environs = ("kept",)

        assert read(b"GET /2 HTTP/1.1\r\n" + BROWSER, cache).fields.environs == ("kept",)
        assert read(b"GET /2 HTTP/1.1\r\n" + BROWSER).fields.environs == ()
