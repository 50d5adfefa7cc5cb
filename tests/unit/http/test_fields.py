"""The judges of header fields, with and without llhttp in front of them."""

from __future__ import annotations

import pytest
from feeding import BROWSER, LIMITS

from workerkit.errors import ProtocolError
from workerkit.http import fields
from workerkit.http.fields import Pair, parse_fields
from workerkit.http.limits import HttpLimits


def split_leniently(block: bytes, count: int) -> tuple[Pair, ...]:
    """What a parser would give that let everything pass."""
    del count
    lines = block.split(b"\r\n")[:-2]
    return tuple((name.strip(), value.strip()) for name, _, value in (line.partition(b":") for line in lines))


@pytest.mark.parametrize(
    "block",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"Content-Length: +5\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 1111111111111111111\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n",
        b"Transfer-Encoding: (, chunked\r\n\r\n",
    ],
)
def test_framing_does_not_lean_on_llhttp(block: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """If llhttp let a doubtful framing pass, it would still be refused here."""
    monkeypatch.setattr(fields, "_split", split_leniently)

    with pytest.raises(ProtocolError) as refused:
        parse_fields(block, LIMITS)

    assert refused.value.status == 400


def test_a_head_that_ends_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If llhttp saw fewer fields than there are lines, the two of us would disagree about the end."""

    class Hasty(fields.HttpRequestParser):  # type: ignore[misc,name-defined]
        def feed_data(self, data: bytes) -> None:
            first, _, _ = data.partition(b"B: 2")
            super().feed_data(first + b"\r\n")

    monkeypatch.setattr(fields, "HttpRequestParser", Hasty)

    with pytest.raises(ProtocolError, match="end with an empty line"):
        parse_fields(b"A: 1\r\nB: 2\r\n\r\n", LIMITS)


def test_a_refusal_repeats_nothing_of_the_clients() -> None:
    """The reason is a fixed text: it goes to logs and to the client."""
    with pytest.raises(ProtocolError) as refused:
        parse_fields(b"Host: a\r\nX: \x1b[31mred\r\n\r\n", LIMITS)

    assert str(refused.value) == "malformed header field: Invalid header value char"


def test_limits_hold_for_a_complete_block() -> None:
    """A block that arrives at once is measured field by field, not as a whole."""
    longest = max(map(len, BROWSER.split(b"\r\n")))

    assert len(parse_fields(BROWSER, HttpLimits(limit_request_field_size=longest)).pairs) == 13
    assert len(parse_fields(BROWSER, HttpLimits(limit_request_fields=13)).pairs) == 13
    for limits in (HttpLimits(limit_request_field_size=longest - 1), HttpLimits(limit_request_fields=12)):
        with pytest.raises(ProtocolError) as refused:
            parse_fields(BROWSER, limits)
        assert refused.value.status == 431
