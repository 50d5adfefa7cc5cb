"""An application that records what it is asked, and breaks the rules of a response where the path says so.

``/seen`` tells what was asked since it was last told. Served by the real command, under one worker.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Page = Callable[[Environ, StartResponse], Iterable[bytes]]

INJECTED = "Injected"
"""Whatever must not reach a client holds this."""

_seen: list[dict[str, Any]] = []
_PLAIN = [("Content-Type", "text/plain")]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Record the request, read its body, and answer as its path says."""
    path = environ["PATH_INFO"]
    if path == "/seen":
        told = json.dumps({"pid": os.getpid(), "calls": _seen}).encode()
        _seen.clear()
        start_response("200 OK", [*_PLAIN, ("Content-Length", str(len(told)))])
        return [told]
    _record(environ, path)
    if path.startswith("/fault/"):
        return _PAGES[path.removeprefix("/fault/")](environ, start_response)
    start_response("200 OK", [*_PLAIN, ("Content-Length", "5")])
    return [b"taken"]


def _record(environ: Environ, path: str) -> None:
    call: dict[str, Any] = {
        "request": f"{environ['REQUEST_METHOD']} {path}",
        "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
        "body": "",
        "error": "",
    }
    if path != "/gone":  # nobody waits until this one has ended, so it would be taken for the next one's
        _seen.append(call)
    if path == "/unread" or path.startswith("/fault/"):
        return
    try:
        call["body"] = environ["wsgi.input"].read().decode("latin-1")
    except OSError:
        call["error"] = "OSError"
        raise
    except Exception as error:
        call["error"] = type(error).__name__
        raise


def _starting(status: Any = "200 OK", headers: Any = None, body: Any = (b"01234",)) -> Page:
    """Return a page that answers so; what it says is checked by the server, not by us."""

    def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(_PLAIN) if headers is None else headers)
        return body() if callable(body) else list(body)

    return page


def _with(name: Any, value: Any) -> Page:
    return _starting(headers=[*_PLAIN, (name, value), ("X-After", INJECTED)], body=(INJECTED.encode(),))


def _hinting(name: str, value: str) -> Page:
    def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload"), (name, value)])
        return _starting()(environ, start_response)

    return page


def _pieces() -> Iterator[bytes]:
    yield INJECTED.encode()
    yield INJECTED.encode()


def _silent(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [INJECTED.encode()]


def _twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X-First", INJECTED)])
    start_response("200 OK", [("X-Second", INJECTED)])
    return [INJECTED.encode()]


def _late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", _PLAIN)
    yield b"part\r\n"
    try:
        raise RuntimeError("noticed too late")
    except RuntimeError:
        start_response("500 No", [("X-Late", INJECTED)], sys.exc_info())


def _raises(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X-Before", INJECTED)])
    raise RuntimeError(f"{INJECTED} on purpose")


def _exits(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise SystemExit(INJECTED)


def _longer_pieces() -> Iterator[bytes]:
    yield b"012"
    yield b"34" + INJECTED.encode()


def _written_304(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("304 Not Modified", [])
    write(INJECTED.encode())
    return [INJECTED.encode()]


def _file(status: str, *headers: tuple[str, str]) -> Page:
    """Return a page of ten digits, by the server's wrapper."""

    def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        content = tempfile.TemporaryFile()  # noqa: SIM115  the server closes it
        content.write(b"0123456789")
        content.seek(0)
        start_response(status, list(headers))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](content)
        return wrapped

    return page


def _none(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [("X-Before", INJECTED)])


def _length(value: str) -> list[tuple[str, str]]:
    return [*_PLAIN, ("Content-Length", value)]


_HOP_BY_HOP = {
    "Transfer-Encoding": "chunked",
    "Connection": "X-After",
    "Keep-Alive": "timeout=99",
    "TE": "trailers",
    "Trailer": "X-After",
    "Upgrade": "h2c",
    "Proxy-Connection": "close",
}
_BODY = (INJECTED.encode(),)

_PAGES: dict[str, Page] = {
    "value-crlf": _with("X-Bad", f"a\r\n{INJECTED}: 1"),
    "value-cr": _with("X-Bad", f"a\r{INJECTED}: 1"),
    "value-lf": _with("X-Bad", f"a\n{INJECTED}: 1"),
    "value-nul": _with("X-Bad", "a\0b"),
    "value-escape": _with("X-Bad", "a\x1b[31m"),
    "value-unicode": _with("X-Bad", "\u20ac"),
    "value-bytes": _with("X-Bad", b"a"),
    "value-none": _with("X-Bad", None),
    "name-crlf": _with(f"X-Bad: a\r\n{INJECTED}", "1"),
    "name-space": _with("X Bad", "a"),
    "name-colon": _with("X-Bad:", "a"),
    "name-empty": _with("", "a"),
    "name-bytes": _with(b"X-Bad", "a"),
    "hint-value-crlf": _hinting("X-Bad", f"a\r\n\r\n{INJECTED}"),
    "hint-value-cr": _hinting("X-Bad", f"a\r{INJECTED}: 1"),
    "hint-value-nul": _hinting("X-Bad", "a\0b"),
    "hint-name-crlf": _hinting(f"X-Bad: a\r\n{INJECTED}", "1"),
    "hint-length": _hinting("Content-Length", "5"),
    "hint-coding": _hinting("Transfer-Encoding", "chunked"),
    "status-crlf": _starting(f"200 OK\r\n{INJECTED}: 1"),
    "status-nul": _starting("200 O\0K"),
    "status-short": _starting("20 OK"),
    "status-long": _starting("2000 OK"),
    "status-bare": _starting("200"),
    "status-number": _starting(200),
    "status-words": _starting("OK then"),
    "status-zero": _starting("099 No"),
    "status-interim": _starting("103 Early Hints"),
    **{f"hop-{name}": _with(name, value) for name, value in _HOP_BY_HOP.items()},
    "length-words": _starting(headers=_length("five")),
    "length-signed": _starting(headers=_length("+5")),
    "length-long": _starting(headers=_length("1" * 40)),
    "length-twice": _starting(headers=[*_length("5"), ("content-length", "5")]),
    "headers-none": _starting(headers=7),
    "headers-triple": _starting(headers=[("X-Bad", "a", INJECTED)]),
    "file-long": _file("200 OK", ("Content-Length", "5")),
    "file-short": _file("200 OK", ("Content-Length", "50")),
    "file-204": _file("204 No Content"),
    "file-304": _file("304 Not Modified"),
    "none": _none,
    "silent": _silent,
    "twice": _twice,
    "late": _late,
    "text": _starting(body=(INJECTED,)),
    "raises": _raises,
    "exits": _exits,
    "longer": _starting(headers=_length("5"), body=(b"01234" + INJECTED.encode(),)),
    "longer-pieces": _starting(headers=_length("5"), body=_longer_pieces),
    "shorter": _starting(headers=_length("5"), body=(b"012",)),
    "absent": _starting(headers=_length("5"), body=()),
    **{f"body-{status}": _starting(f"{status} Said", body=_BODY) for status in (200, 204, 304)},
    **{f"pieces-{status}": _starting(f"{status} Said", body=_pieces) for status in (200, 204, 304)},
    "written-304": _written_304,
    "length-kept": _starting("200 OK", _length("7"), _BODY),
    "length-304": _starting("304 Not Modified", _length("7"), _BODY),
    "length-204": _starting("204 No Content", _length("5"), _BODY),
}
