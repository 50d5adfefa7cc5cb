"""Tells what it is told of TLS, and takes and gives a lot."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

PIECE = bytes(range(256)) * 256


def app(environ, start_response):
    match environ["PATH_INFO"]:
        case "/environ":
            told = {key: value for key, value in environ.items() if isinstance(value, str)}
            answer = [json.dumps({**told, "pid": os.getpid(), "uid": os.getuid()}).encode()]
        case "/digest":
            digest = hashlib.sha256()
            while piece := environ["wsgi.input"].read(65536):
                digest.update(piece)
            answer = [digest.hexdigest().encode()]
        case "/big":
            start_response("200 OK", [("Content-Length", str(len(PIECE) * 100))])
            return (PIECE for _ in range(100))
        case "/file":
            path = Path(environ["QUERY_STRING"])
            start_response("200 OK", [("Content-Length", str(path.stat().st_size))])
            return environ["wsgi.file_wrapper"](path.open("rb"))
        case _:
            answer = [b"hello"]
    start_response("200 OK", [("Content-Length", str(len(answer[0])))])
    return answer
