"""One WSGI application with a page for every fact; ``/held`` and its like wait at the gate that the query names."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

from workerkit.testing.gate import pass_gate

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

PLAIN = [("Content-Type", "text/plain")]
PIECE = bytes(range(256)) * 64

_closed: dict[str, int] = {}
_STUCK = b"stuck in C now\n"
_kept: list[bytes] = []
_numbers = itertools.count()


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by path."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    return PAGES[environ["PATH_INFO"]](environ, start_response, query)


def _say(start_response: StartResponse, body: bytes) -> list[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def pid(_environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Tell the worker's process."""
    return _say(start_response, str(os.getpid()).encode())


def number(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Say the number ``n`` back."""
    return _say(start_response, query["n"].encode())


def next_number(_environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Tell how many requests for this page the worker has answered before."""
    return _say(start_response, str(next(_numbers)).encode())


def facts(environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Tell what the application is told, as JSON."""
    told: dict[str, str | bool | None] = {
        name: value for name, value in environ.items() if isinstance(value, str | bool)
    }
    told["slot"] = os.environ.get("WORKERKIT_SLOT")
    told["number"] = os.environ.get("WORKERKIT_NUMBER")
    return _say(start_response, json.dumps(told).encode())


def held(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Answer with the pid once the gate lets us."""
    pass_gate(int(query["gate"]))
    return _say(start_response, str(os.getpid()).encode())


def digest(environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Answer with the length and the SHA-256 of the request's body, read in pieces."""
    total, hashed = 0, hashlib.sha256()
    while piece := environ["wsgi.input"].read(50_000):
        total += len(piece)
        hashed.update(piece)
    return _say(start_response, f"{total} {hashed.hexdigest()}".encode())


def ignore(_environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Answer without a look at the request's body."""
    return _say(start_response, b"ignored")


def big(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Send so many pieces of 16 KiB, with a length if ``length`` is given, in chunks otherwise."""
    pieces = int(query["pieces"])
    length = [("Content-Length", str(pieces * len(PIECE)))] if "length" in query else []
    start_response("200 OK", [*PLAIN, *length])
    return (PIECE for _ in range(pieces))


class Stream:
    """An iterable whose closing is counted under a name."""

    def __init__(self, name: str, pieces: Iterator[bytes]) -> None:
        self.name = name
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        """Count it, and tell it to the log."""
        _closed[self.name] = _closed.get(self.name, 0) + 1
        print(f"closed {self.name}", file=sys.stderr, flush=True)


def stream(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Send one piece, wait at the gate, send another."""

    def pieces() -> Iterator[bytes]:
        yield b"first\n"
        pass_gate(int(query["gate"]))
        yield b"second\n"

    start_response("200 OK", PLAIN)
    return Stream(query["name"], pieces())


def short(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Send two pieces, from an iterable that is closed afterwards."""
    start_response("200 OK", PLAIN)
    return Stream(query["name"], iter([b"one, ", b"two"]))


def endless(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Send far more than anybody buffers, until the client has gone."""
    start_response("200 OK", PLAIN)
    return Stream(query["name"], (PIECE for _ in range(1 << 20)))


def closed(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Tell how often the iterable of that name was closed."""
    return _say(start_response, str(_closed.get(query["name"], 0)).encode())


def write(_environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Answer by the callable that start_response returns, and then by an iterable."""
    send = start_response("200 OK", PLAIN)
    send(b"written, ")
    send(b"then ")
    return [b"returned"]


def file(environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Send a file of so many pieces by the server's wrapper."""
    pieces = int(query["pieces"])
    content = tempfile.TemporaryFile()  # noqa: SIM115  the server closes it
    for _ in range(pieces):
        content.write(PIECE)
    content.seek(0)
    start_response("200 OK", [*PLAIN, ("Content-Length", str(pieces * len(PIECE)))])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](content)
    return wrapped


def nothing(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Answer with a status that has no body."""
    start_response(query["status"], [])
    return []


def fail(_environ: Environ, _start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Fail before the response has begun."""
    raise RuntimeError("this page fails on purpose")


def fail_late(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Fail when a part of the response has left."""

    def pieces() -> Iterator[bytes]:
        yield b"before the failure\n"
        raise RuntimeError("this page fails late, on purpose")

    start_response("200 OK", PLAIN)
    return Stream(query["name"], pieces())


def hints(environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Give an early hint, and wait for a gate."""
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload; as=style")])
    return held(environ, start_response, query)


def second_thought(_environ: Environ, start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Replace a response that has not left yet (PEP 3333's exc_info)."""
    start_response("200 OK", PLAIN)
    try:
        raise ValueError("noticed in time")
    except ValueError:
        start_response("503 Service Unavailable", PLAIN, sys.exc_info())
    return [b"sorry"]


def leave(_environ: Environ, _start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """Try to end the process that serves us."""
    raise SystemExit(7)


def die(_environ: Environ, _start_response: StartResponse, _query: dict[str, str]) -> Iterable[bytes]:
    """End the process that serves us."""
    os._exit(66)


def patient(environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Put the request's deadline off by so many seconds, and answer with what is left once the gate lets us."""
    environ["workerkit.deadline"].extend(float(query["seconds"]))
    pass_gate(int(query["gate"]))
    return _say(start_response, b"%d" % environ["workerkit.deadline"].remaining)


def grow(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Take so many MiB of memory, and keep them."""
    _kept.append(b"x" * (int(query["size"]) << 20))
    return _say(start_response, b"grown")


def stuck(_environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Hold the interpreter's lock for a minute, or for ``ms``, so that no class's heart can beat."""
    c = ctypes.PyDLL(None)
    write, usleep, microseconds = c.write, c.usleep, int(query.get("ms", "60000")) * 1000
    # Said from within C too: print() would let other threads go on until this one is back.
    write(2, _STUCK, len(_STUCK))
    usleep(microseconds)
    return _say(start_response, b"awake")


def complain(environ: Environ, start_response: StartResponse, query: dict[str, str]) -> Iterable[bytes]:
    """Write one line to the error log."""
    # In one piece: print() writes the end of its line by itself, and another thread's line may come in between.
    environ["wsgi.errors"].write(f"complaint {query['n']} {'x' * 200} end\n")
    environ["wsgi.errors"].flush()
    return _say(start_response, b"said")


PAGES = {
    "/": pid,
    "/number": number,
    "/next": next_number,
    "/facts": facts,
    "/held": held,
    "/digest": digest,
    "/ignore": ignore,
    "/big": big,
    "/stream": stream,
    "/short": short,
    "/endless": endless,
    "/closed": closed,
    "/write": write,
    "/file": file,
    "/nothing": nothing,
    "/fail": fail,
    "/fail-late": fail_late,
    "/hints": hints,
    "/second-thought": second_thought,
    "/leave": leave,
    "/die": die,
    "/patient": patient,
    "/grow": grow,
    "/stuck": stuck,
    "/complain": complain,
}
