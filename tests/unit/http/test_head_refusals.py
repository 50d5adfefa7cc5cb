"""Heads that must be refused, whole, byte by byte and split at random, always with the same status."""

from __future__ import annotations

import pytest
from feeding import converse, every_way, refusal, summary

from workerkit.http.limits import HttpLimits


def post(*lines: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


FRAMING = {
    "length and chunked": (post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "chunked and length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "two lengths": (post(b"Content-Length: 2", b"Content-Length: 3"), 400),
    "the same length twice": (post(b"Content-Length: 2", b"content-length: 2"), 400),
    "a list of lengths": (post(b"Content-Length: 2, 2"), 400),
    "a length with a plus": (post(b"Content-Length: +2"), 400),
    "a length with an underscore": (post(b"Content-Length: 1_0"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x2"), 400),
    "a negative length": (post(b"Content-Length: -1"), 400),
    "an empty length": (post(b"Content-Length: "), 400),
    "an empty length without a space": (post(b"Content-Length:"), 400),
    "a length after a vertical tab": (post(b"Content-Length: \x0b2"), 400),
    "a length before a no-break space": (post(b"Content-Length: 2\xa0"), 400),
    "a length in Arabic digits": (post("Content-Length: ٢".encode()), 400),
    "a length in two words": (post(b"Content-Length: 1 2"), 400),
    "a length of 40 digits": (post(b"Content-Length: " + b"1" * 40), 400),
    "a length of 19 digits": (post(b"Content-Length: " + b"1" * 19), 400),
    "a length of 5000 digits": (post(b"Content-Length: " + b"1" * 5000), 400),
    "a length of 5000 zeros": (post(b"Content-Length: " + b"0" * 5000), 400),
    "gzip alone": (post(b"Transfer-Encoding: gzip"), 400),
    "chunked, then gzip": (post(b"Transfer-Encoding: chunked, gzip"), 400),
    "gzip, then chunked": (post(b"Transfer-Encoding: gzip, chunked"), 501),
    "xchunked": (post(b"Transfer-Encoding: xchunked"), 400),
    "chunked twice in a line": (post(b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked twice in two lines": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked, then identity": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400),
    "identity": (post(b"Transfer-Encoding: identity"), 400),
    "identity, then chunked": (post(b"Transfer-Encoding: identity, chunked"), 400),
    "an empty coding": (post(b"Transfer-Encoding: ,chunked"), 400),
    "an empty coding at the end": (post(b"Transfer-Encoding: chunked,"), 400),
    "an empty list of codings": (post(b"Transfer-Encoding:"), 400),
    "chunked in quotes": (post(b'Transfer-Encoding: "chunked"'), 400),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1"), 400),
    "chunked after a vertical tab": (post(b"Transfer-Encoding: \x0bchunked"), 400),
    "chunked on a folded line": (post(b"Transfer-Encoding:\r\n chunked"), 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
}

FIELD_LINES = {
    "a space before the colon": (post(b"Name : x"), 400),
    "a tab before the colon": (post(b"Name\t: x"), 400),
    "Content-Length and a space": (post(b"Content-Length : 5"), 400),
    "a space before the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "a length after a space, first": (b"GET / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\n", 400),
    "no colon": (post(b"Name"), 400),
    "an empty name": (post(b": x"), 400),
    "a name in two words": (post(b"A B: x"), 400),
    "a carriage return in a name": (post(b"Content\rLength: 5"), 400),
    "a name above ASCII": (post(b"Nam\xe9: x"), 400),
    "NUL in a value": (post(b"Name: v\x00"), 400),
    "CR in a value": (post(b"Name: a\rb"), 400),
    "CR before the line end": (post(b"Name: v\x00\r"), 400),
    "LF in a value": (post(b"Name: a\nb"), 400),
    "a control character in a value": (post(b"Bad-header: xxxxxxxxxxxxxxx\x10"), 400),
    "DEL in a value": (post(b"Name: a\x7fb"), 400),
    "a folded line": (post(b"Name: a", b" b"), 400),
    "a line folded by a tab": (post(b"Name: a", b"\tb"), 400),
    "LF ends a field": (b"GET / HTTP/1.1\r\nHost: a\nName: x\r\n\r\n", 400),
    "LF ends everything": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "LF ends the head": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "CR ends a field": (b"GET / HTTP/1.1\r\nHost: a\rName: x\r\n\r\n", 400),
    "CR X ends the head": (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", 400),
    "CR X after the request line": (b"GET / HTTP/1.1\r\n\rX", 400),
}

REQUEST_LINES = {
    "two empty lines first": (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "half an empty line first": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "the other half first": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space first": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method that is no token": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no method": (b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method nobody knows": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "a method in lower case": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9 without a version": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9 with one": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.32": (b"GET / HTTP/1.32\r\nHost: a\r\n\r\n", 400),
    "http/1.1": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "another protocol": (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space at the end": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a vertical tab for a space": (b"GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "LF for a space": (b"GET /\nHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CR in the line": (b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an empty target": (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an asterisk for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an authority for GET": (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a relative reference": (b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a query alone": (b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a fragment of a query": (b"GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a control character in the target": (b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "NUL in the target": (b"GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "DEL in the target": (b"GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a byte above ASCII in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "half an escape": (b"GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a percent sign": (b"GET /a?100% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an escape of no digits": (b"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an absolute target without a host": (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an absolute target with a user": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an absolute target with a fragment": (b"GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    "CONNECT without a port": (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT to a path": (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}

HOSTS = {
    "none": (b"GET / HTTP/1.1\r\nName: x\r\n\r\n", 400),
    "no field at all": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "the same twice": (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
    "two in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "a path": (b"GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400),
    "a query": (b"GET / HTTP/1.1\r\nHost: a/b?\r\n\r\n", 400),
    "a user": (b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
    "a list": (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    "a port alone": (b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
    "a port of letters": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "a port of six digits": (b"GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400),
    "an open bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "a byte above ASCII": (b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", 400),
    "empty beside an authority": (b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "none beside an authority": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
}

OTHERS = {
    "another expectation": (post(b"Expect: 200-ok", b"Content-Length: 1"), 417),
    "two content types": (post(b"Content-Type: text/plain", b"content-type: text/html"), 400),
}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(data, status, id=f"{group}-{name}")
        for group, table in (
            ("framing", FRAMING),
            ("field line", FIELD_LINES),
            ("request line", REQUEST_LINES),
            ("host", HOSTS),
            ("other", OTHERS),
        )
        for name, (data, status) in table.items()
    ],
)
def test_a_head_is_refused_however_it_is_split(data: bytes, status: int) -> None:
    """Each must-reject head gets its status, whole, in bytes and in random pieces."""
    assert refusal(data) == status


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(data, status, id=name)
        for name, (data, status) in {**FRAMING, **FIELD_LINES, **REQUEST_LINES}.items()
    ],
)
def test_nothing_behind_a_refused_head_is_read(data: bytes, status: int) -> None:
    """A good request that follows in the same bytes is never taken for one."""
    told = summary(every_way(data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))

    assert told == [status]


@pytest.mark.parametrize("byte", [byte for byte in range(256) if byte not in b"\t" and (byte < 32 or byte == 127)])
def test_no_control_character_passes_in_a_value(byte: int) -> None:
    """Every control character but HTAB is refused in a field value, wherever it stands."""
    for value in (b"%cx", b"x%cy", b"x%c"):
        told = summary(every_way(post(b"Name: " + value % byte)))

        assert told == [400]


@pytest.mark.parametrize("byte", [byte for byte in range(256) if not bytes([byte]).isalnum()])
def test_a_name_holds_only_token_characters(byte: int) -> None:
    """A byte in a field name passes if it is a tchar, and ends the name if it is the colon."""
    told = summary(every_way(post(b"A%cb: x" % byte)))

    assert told == (["POST /"] if byte in b"!#$%&'*+-.^_`|~:" else [400])


@pytest.mark.parametrize("byte", [byte for byte in range(256) if byte not in b" ?"])
def test_a_target_holds_only_visible_ascii(byte: int) -> None:
    """A byte in a path passes if it is visible ASCII and neither a fragment's sign nor an escape's."""
    told = summary(every_way(b"GET /a%cb HTTP/1.1\r\nHost: a\r\n\r\n" % byte))

    assert told == ([f"GET /a{byte:c}b"] if 32 < byte < 127 and byte not in b"#%" else [400])


class TestLimits:
    """Limits are enforced before the line or head that breaks them is complete."""

    SMALL = HttpLimits(
        limit_request_line=40, limit_request_fields=4, limit_request_field_size=30, limit_request_head=100
    )

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            pytest.param(b"GET /" + b"a" * 38, 414, id="line"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nName: " + b"a" * 27, 431, id="field"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"N" * 33, 431, id="name"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC:\r\nD", 431, id="count"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"A: " + b"x" * 27 + b"\r\n") * 2 + b"B: 123456789", 431,
                         id="head"),
        ],
    )  # fmt: skip
    def test_a_limit_does_not_wait_for_the_end(self, data: bytes, status: int) -> None:
        """The status comes although no line end has arrived, and not one byte earlier."""
        assert refusal(data, self.SMALL) == status
        assert summary(every_way(data[:-1], self.SMALL)) == ["incomplete"]

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"GET /" + b"a" * 26 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="line"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nName: " + b"a" * 24 + b"\r\n\r\n", id="field"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nC:\r\nB: 2\r\n\r\n", id="count"),
            pytest.param(
                b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: " + b"x" * 27 + b"\r\nB: " + b"y" * 36 + b"\r\n\r\n", id="head"
            ),
        ],
    )
    def test_what_just_fits_is_accepted(self, data: bytes) -> None:
        """A line, a field, a count or a head of exactly the limit passes, one more does not."""
        limits = self.SMALL if b"yyy" not in data else HttpLimits(limit_request_head=len(data))
        longer = data.replace(b"aa", b"aaa", 1).replace(b"B: 2", b"B: 2\r\nC: 3", 1).replace(b"yy", b"yyy", 1)

        assert len(every_way(data, limits)) == 1
        assert every_way(data, limits)[0][0] == "request"
        assert refusal(longer, limits) in {414, 431}

    def test_zero_is_no_limit(self) -> None:
        """With every limit of heads at 0, a head of 200 KB passes."""
        limits = HttpLimits(
            limit_request_line=0, limit_request_fields=0, limit_request_field_size=0, limit_request_head=0
        )
        data = b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\nB: " + b"b" * 70000 + b"\r\n" + b"C: c\r\n" * 9000

        [event] = converse([data[:100], data[100:] + b"\r\n"], limits)

        assert event[0] == "request"

    def test_of_two_faults_the_first_is_answered(self) -> None:
        """A bad byte before a limit is a 400, one beyond it is never looked at."""
        before = b"GET / HTTP/1.1\r\nHost: a\r\nName: \x00" + b"a" * 50 + b"\r\n\r\n"
        beyond = b"GET / HTTP/1.1\r\nHost: a\r\nName: " + b"a" * 50 + b"\x00\r\n\r\n"

        assert refusal(before, self.SMALL) == 400
        assert refusal(beyond, self.SMALL) == 431

    def test_a_complete_head_is_measured_without_what_follows(self) -> None:
        """Body bytes that arrive with the head do not count as head."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n"

        events = every_way(head + b"x" * 500, HttpLimits(limit_request_head=len(head)))

        assert summary(events) == ["POST /"]


class TestEarly:
    """A byte that settles the matter is the last one that is waited for."""

    @pytest.mark.parametrize(
        "data",
        [
            b"G\x16",
            b"GET /\x00",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\rX",
            b"GET / HTTP/3.7\r\n",
            b"BREW / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n ",
            b"GET / HTTP/1.1\r\nHost ",
            b"GET / HTTP/1.1\r\nHost: a\x00",
            b"GET / HTTP/1.1\r\nHost: a\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\rX",
            b"GET / HTTP/1.1\r\nContent-Length: x",
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        ],
    )
    def test_the_last_byte_decides(self, data: bytes) -> None:
        """These bytes are refused, all but the last of them are not."""
        assert [event[0] for event in every_way(data)] == ["refused"]
        assert summary(every_way(data[:-1])) == ["incomplete"]
