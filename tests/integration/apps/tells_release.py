"""Tells at ``/`` which release is served by which arbiter; at ``/variables`` what it was started with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

release = Path("release").read_text().strip() if Path("release").exists() else "none"
if release == "broken":
    raise RuntimeError("this release is broken")
if release == "waits":
    print("waits at the gate", file=sys.stderr, flush=True)
    with open(os.environ["GATE"], "rb", buffering=0) as gate:
        gate.read(1)


def app(environ, start_response):
    body = json.dumps(sorted(os.environ) if environ["PATH_INFO"] == "/variables" else [release, os.getppid()]).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
