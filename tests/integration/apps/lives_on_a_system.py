"""Does what takes time or processes, and tells what it sees of the system."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path


def _leave_orphans(count: int) -> None:
    """Have children that end at once and leave a child each; nobody here waits for those."""
    for _ in range(count):
        child = os.fork()
        if not child:
            if not os.fork():
                os._exit(0)
            os._exit(0)
        os.waitpid(child, 0)


def _zombies() -> int:
    found = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            found += entry.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
    return found


def app(environ, start_response):
    match environ["PATH_INFO"]:
        case "/orphans":
            _leave_orphans(200)
            told = ""
        case "/zombies":
            told = str(_zombies())
        case "/half-a-second":
            select.poll().poll(500)
            told = ""
        case "/time":
            told = str(time.time())
        case "/fault":
            raise RuntimeError("at fault")
        case _:
            told = str(os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(told)))])
    return [told.encode()]
