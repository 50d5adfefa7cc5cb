"""What is served while it is being attacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_LARGE = b"x" * 300_000


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read what comes, and answer with little, or for ``/large`` with more than the kernel takes from us at once."""
    environ["wsgi.input"].read()
    body = _LARGE if environ["PATH_INFO"] == "/large" else b"ok"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
