"""Answers with what the process around it looks like."""

from __future__ import annotations

import json
import os
import sys


def app(environ, start_response):
    facts = {
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "path": sys.path,
        "worker_class": environ["workerkit.worker_class"],
        "multiprocess": environ["wsgi.multiprocess"],
        "scheme": environ["wsgi.url_scheme"],
        "remote": environ.get("REMOTE_ADDR"),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
