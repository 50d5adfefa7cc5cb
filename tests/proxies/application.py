"""An application that writes down each request that reaches it, and answers with what it was asked.

Served by the real command, under one worker, in the folder where the record is to be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

RECORD = "seen.jsonl"
UNREAD = "/unread"
"""A path whose body is left to the server."""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Record the request before anything of its body is read: one that is cut short was a request, too."""
    method, target = environ["REQUEST_METHOD"], environ["RAW_URI"]
    line = json.dumps([environ.get("HTTP_X_REQUEST_ID", ""), method, target]) + "\n"
    record = os.open(RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(record, line.encode())
    os.close(record)
    if environ["PATH_INFO"] != UNREAD:
        environ["wsgi.input"].read()
    body = f"{method} {target}".encode()
    fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("X-Connection", environ.get("REMOTE_PORT", "")),
    ]
    start_response("200 OK", fields)
    return [body]
