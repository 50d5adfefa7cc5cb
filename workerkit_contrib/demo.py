"""The bundled demonstration: a page that shows, live, which worker process answers.

Serve it with ``workerkit workerkit_contrib.demo``: plain WSGI, standard library only, for every worker class.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

LONGEST_PAUSE = 10_000  # milliseconds
STREAMED_LINES = 12

_PAGE = Path(__file__).with_name("demo.html").read_bytes()


class Tally:
    """What one worker process has answered so far."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._started = time.monotonic()
        # Taking the next number is one step, so that threads need no lock.
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        return next(self._numbers)

    @property
    def uptime(self) -> float:
        """Seconds since this process answered its first request."""
        return time.monotonic() - self._started


_tally = Tally()


def tally() -> Tally:
    """Return this process's tally; one that was begun before a fork stays with the parent."""
    global _tally  # noqa: PLW0603 - one for each process is the point
    if _tally.pid != os.getpid():
        _tally = Tally()
    return _tally


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request: the WSGI callable."""
    number = tally().next_number()
    match environ["PATH_INFO"]:
        case "/":
            return _answer(start_response, "text/html; charset=utf-8", _PAGE)
        case "/who":
            return _answer(start_response, "application/json", _who(environ, number))
        case "/slow":
            _pause(_wanted_pause(environ))
            return _answer(start_response, "application/json", _who(environ, number))
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
            return _lines()
        case _:
            return _answer(start_response, "text/plain", b"Nothing here. Try / instead.\n", "404 Not Found")


def _answer(start_response: StartResponse, kind: str, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response(status, headers)
    return [body]


def _who(environ: WSGIEnvironment, number: int) -> bytes:
    slot = environ.get("workerkit.slot", os.environ.get("WORKERKIT_SLOT"))
    facts = {
        "pid": os.getpid(),
        "slot": None if slot is None else int(slot),
        "worker_class": environ.get("workerkit.worker_class"),
        "answered": number,
        "uptime": round(tally().uptime, 3),
    }
    return json.dumps(facts).encode()


def _wanted_pause(environ: WSGIEnvironment) -> int:
    wanted = parse_qs(environ.get("QUERY_STRING", "")).get("ms", [""])[0]
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 500


def _lines() -> Iterator[bytes]:
    for number in range(1, STREAMED_LINES + 1):
        yield f"{number:2} of {STREAMED_LINES}, from worker {os.getpid()}\n".encode()
        _pause(100)


def _pause(milliseconds: int) -> None:
    # gevent and eventlet make an event's wait their own, so that other requests go on meanwhile.
    threading.Event().wait(min(milliseconds, LONGEST_PAUSE) / 1000)
