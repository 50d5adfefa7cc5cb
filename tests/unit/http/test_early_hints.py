"""103 Early Hints, as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from workerkit.errors import ApplicationError
from workerkit.http.early_hints import render

LINK = ("Link", "</style.css>; rel=preload; as=style")


def test_hints_are_an_interim_response() -> None:
    """A status line, the fields in their order, and an empty line."""
    expected = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\nLink: </a.js>\r\n\r\n"

    assert render([LINK, ("Link", "</a.js>")]) == expected
    assert render(iter([(b"Link", LINK[1].encode()), ["Link", b"</a.js>"]])) == expected  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (("Link", "a\r\nX: b"), "holds a control character"),
        (("Link", b"a\nb"), "holds a control character"),
        (("Link", "a\0"), "holds a control character"),
        (("Link", "\u20ac"), "is not latin-1"),
        (("Li nk", "a"), "is not a token"),
        (("Link\r\nX", "a"), "is not a token"),
        (("Link", 5), "must be a str"),
        (("Link",), "must be a tuple of name and value"),
        (5, "must be a tuple of name and value"),
        (("Content-Length", "5"), "cannot be among early hints"),
        (("transfer-encoding", "chunked"), "cannot be among early hints"),
        (("Connection", "close"), "cannot be among early hints"),
    ],
)
def test_what_no_hint_can_be_is_refused(header: Any, complaint: str) -> None:
    """As for the fields of a response, and none about framing or the connection."""
    with pytest.raises(ApplicationError, match=complaint):
        render([LINK, header])
