"""Generated connections: every way of splitting agrees, the cache agrees, and h11 agrees with what is accepted."""

from __future__ import annotations

import h11
from feeding import LIMITS, Event, byte_by_byte, converse, split_at
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workerkit.http.fields import FieldsCache
from workerkit.http.limits import HttpLimits

PROFILE = settings(max_examples=250, deadline=None, derandomize=True, database=None)

_word = st.text("abcXYZ019-", min_size=1, max_size=8).map(str.encode)
_value = st.text("ab1 \t,;=\"'/()\xe9", max_size=12).map(lambda text: text.encode("latin-1"))


def mostly(good: list[bytes], bad: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the good in nine cases of ten, since one bad part hides all others."""
    return st.integers(0, 9).flatmap(lambda digit: st.sampled_from(good if digit else bad))


_line = st.builds(
    b"%b %b %b\r\n".__mod__,
    st.tuples(
        mostly([b"GET", b"POST", b"OPTIONS", b"HEAD"], [b"BREW", b"CONNECT", b"get"]),
        mostly([b"/", b"/a/b?c=d", b"/%41?", b"http://b.example/x?y", b"//"], [b"*", b"/a b", b"/#", b"/%", b"a", b""]),
        mostly([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"], [b"HTTP/2.0", b"http/1.1", b"HTTP/1.2"]),
    ),
)
_field = st.one_of(
    st.builds(b"%b: %b\r\n".__mod__, st.tuples(_word, _value)),
    mostly(
        [
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"Connection: keep-alive, upgrade\r\n",
            b"Upgrade: x\r\n",
            b"Expect: 100-continue\r\n",
            b"content-length: 0\r\n",
        ],
        [
            b"Transfer-Encoding: gzip, chunked\r\n",
            b" folded\r\n",
            b"Name : x\r\n",
            b"Host: b c\r\n",
            b"A: \x00\r\n",
            b"A: b\n",
        ],
    ),
)
_body = st.sampled_from(
    [
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
        b"0\r\nX Y\r\n\r\n",
        b"5\r\nhelloXX",
        b"x\r\n",
    ]
)
_request = st.builds(
    lambda line, host, fields, body: line + host + b"".join(fields) + b"\r\n" + body,
    _line,
    mostly([b"Host: a.example\r\n"], [b"", b"Host: a\r\nHost: a\r\n"]),
    st.lists(_field, max_size=5),
    _body,
)
_connection = st.lists(_request, min_size=1, max_size=3).map(b"".join)

_good_field = st.builds(b"%b: %b\r\n".__mod__, st.tuples(_word.map(b"X-".__add__), _value))
_good_head = st.builds(
    lambda method, fields, framing: method + b" /a?b HTTP/1.1\r\nHost: a\r\n" + b"".join(fields) + framing,
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.lists(_good_field, max_size=4),
    st.sampled_from(
        [
            b"\r\n",
            b"Content-Length: 5\r\n\r\nhello",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"transfer-encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
        ]
    ),
)


def through_h11(data: bytes) -> tuple[object, ...]:
    """The first request of a connection, as h11 takes it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request), request
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    headers = tuple((name.lower(), value) for name, value in request.headers)
    return request.method.decode(), request.target.decode(), request.http_version[-1] == 49, headers, body


def ours(event: Event) -> tuple[object, ...]:
    """The same facts of a request of ours."""
    _, head, body = event
    assert isinstance(head, tuple)
    method, target, minor, pairs = head[0], head[1], head[5], head[10]
    return method, target, minor == 1, tuple((name.lower(), value) for name, value in pairs), body


def check(data: bytes, places: list[int]) -> list[Event]:
    """What holds for any bytes at all."""
    events = converse([data])
    assert converse(split_at(data, places)) == events
    assert converse(byte_by_byte(data)) == events
    cache = FieldsCache(LIMITS)
    assert converse([data], LIMITS, cache) == events
    assert converse(split_at(data, places), LIMITS, cache) == events
    if events and events[0][0] == "request":
        # h11 gives Transfer-Encoding in lower case.
        expected = ours(events[0])
        theirs = through_h11(data.removeprefix(b"\r\n"))
        assert theirs[:3] == expected[:3]
        assert [name for name, _ in theirs[3]] == [name for name, _ in expected[3]]  # type: ignore[attr-defined]
        assert theirs[4] == expected[4]
    return events


@PROFILE
@given(_connection, st.lists(st.integers(0, 400), max_size=6))
def test_any_connection_is_taken_the_same_way(data: bytes, places: list[int]) -> None:
    """Good or bad, the requests and the refusal do not depend on the pieces nor on the cache, and h11 concurs."""
    check(data, places)


@PROFILE
@given(_good_head, st.lists(st.integers(0, 300), max_size=6))
def test_good_requests_are_accepted_as_h11_accepts_them(data: bytes, places: list[int]) -> None:
    """Ordinary requests pass, with the same fields, values and body as h11 reads."""
    [event] = check(data, places)

    expected = ours(event)
    theirs = through_h11(data)
    assert [value.lower() for _, value in theirs[3]] == [  # type: ignore[attr-defined]
        value.lower()
        for _, value in expected[3]  # type: ignore[attr-defined]
    ]


@PROFILE
@given(
    _good_head,
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=2), st.integers(0, 2)), min_size=1, max_size=3),
    st.lists(st.integers(0, 300), max_size=4),
)
def test_a_damaged_request_is_judged_once(
    data: bytes, damages: list[tuple[int, bytes, int]], places: list[int]
) -> None:
    """Bytes replaced, put in or taken out anywhere: one verdict, and if it is good then h11's is, too."""
    for place, replacement, length in damages:
        begin = place % (len(data) + 1)
        data = data[:begin] + replacement + data[begin + length :]
    assume(data)

    check(data, places)


@PROFILE
@given(
    _connection,
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 120),
)
def test_tight_limits_are_met_at_the_same_byte(
    data: bytes, places: list[int], line: int, count: int, size: int, head: int
) -> None:
    """Which limit or fault is answered does not depend on the pieces, and what passes passes without limits."""
    limits = HttpLimits(
        limit_request_line=line,
        limit_request_fields=count,
        limit_request_field_size=size,
        limit_request_head=head,
        limit_request_body=4,
        limit_chunk_extensions=3,
        limit_request_trailers=5,
    )
    events = converse([data], limits)

    assert converse(split_at(data, places), limits) == events
    assert converse(byte_by_byte(data), limits) == events
    accepted = [event for event in events if event[0] == "request"]
    assert accepted == converse([data])[: len(accepted)]
