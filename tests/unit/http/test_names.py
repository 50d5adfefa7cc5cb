"""The environ keys of header fields."""

from __future__ import annotations

import pytest

from workerkit.http.names import environ_name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"Host", "HTTP_HOST"),
        (b"x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
        (b"Content-Type", "CONTENT_TYPE"),
        (b"CONTENT-LENGTH", "CONTENT_LENGTH"),
        (b"X.Y!", "HTTP_X.Y!"),
        (b"Script-Name", "HTTP_SCRIPT_NAME"),
        (b"Remote-User", "HTTP_REMOTE_USER"),
    ],
)
def test_a_field_has_its_cgi_name(name: bytes, key: str) -> None:
    """Upper case, dashes as underscores, HTTP_ before all but the two of the body."""
    assert environ_name(name) == key
    assert environ_name(name) == key


@pytest.mark.parametrize(
    "name",
    [b"Proxy", b"PROXY", b"proxy", b"X_Forwarded_For", b"Content_Length", b"Transfer_Encoding", b"_", b"SCRIPT_NAME"],
)
def test_a_field_that_could_pass_for_something_else_has_none(name: bytes) -> None:
    """Proxy never becomes HTTP_PROXY; an underscore never passes for a dash."""
    assert environ_name(name) is None
