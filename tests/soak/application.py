"""What is served while it is being disturbed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from typing import Any

StartResponse = Callable[..., Any]

if os.path.exists(os.path.join(os.path.dirname(__file__), "broken")):
    raise RuntimeError("this release is broken")


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer with this worker's pid, or do what the path says."""
    match environ["PATH_INFO"]:
        case "/upload":
            body = str(sum(map(len, iter(lambda: environ["wsgi.input"].read(65536), b""))))
        case "/crash":
            body = str(ctypes.string_at(0))  # SIGSEGV
        case "/stuck":
            open("stuck", "x").close()
            # PyDLL keeps the GIL: no Python code of this process runs meanwhile.
            body = str(ctypes.PyDLL(None).sleep(600))
        case "/grow":
            body = str(len(bytearray(1 << 30)))  # more than the machine gives us
        case _:
            body = str(os.getpid())
    data = body.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
