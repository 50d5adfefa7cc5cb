"""The gateway with hooks around each request."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader
from workerkit.net.address import TCPAddress
from workerkit.process.hooks import HookOptions, Hooks, Identity, ServerFacade
from workerkit.process.scoreboard import Scoreboard
from workerkit.wsgi.gateway import WsgiFacts
from workerkit.wsgi.hooked import HookedGateway

REQUEST = b"POST /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\nX-Word: one\r\n\r\n"


class Exchange:
    """An answered request, as far as a gateway and hooks look at it."""

    def __init__(self, request: bytes = REQUEST) -> None:
        self.head = HeadReader(HttpLimits()).feed(request)
        self.body = io.BytesIO()
        self.stream = self
        self.peer, self.local = ("192.0.2.7", 4711), TCPAddress("127.0.0.1", 8000)
        self.status, self.sent, self.response_fields, self.started = "", 0, (), False
        self.job_deadline = None
        self.early_hints = self.on_drain

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        self.status, self.response_fields, self.sent = status, fields, len(data)

    def hand_over(self) -> bytes:
        return b""

    def on_drain(self, callback: object) -> None:
        pass

    def early_hints(self, fields: object) -> None:
        pass


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("202 Accepted", [("X-Answer", environ.get("HTTP_X_TRACE", "none"))])
    return [b"body"]


def breaks(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise LookupError("no such table")


def answer(app: Any = application, request: bytes = REQUEST, **functions: Any) -> Exchange:
    hooks = Hooks(HookOptions(**functions), None, ServerFacade(logging.getLogger("tests.hooked")))
    hooks.become(Identity("default", 0, 0, 1), Scoreboard(rows=1).row(0), inherited=False)
    facts = WsgiFacts(multithread=False, multiprocess=False, sendfile=False, worker_class="sync")
    exchange = Exchange(request)
    HookedGateway(app, facts, Trust(ForwardedOptions()), hooks)(exchange)
    return exchange


def test_what_a_request_looks_like_to_a_hook() -> None:
    """The attributes that hooks in the world read."""
    seen: list[Any] = []
    answer(pre_request=lambda worker, req: seen.append((worker, req)))
    worker, req = seen[0]

    assert worker.number == 0
    assert (req.method, req.path, req.uri, req.query, req.version) == ("POST", "/a%20b", "/a%20b?c=d", "c=d", (1, 1))
    assert req.headers == [("HOST", "example.org"), ("X-WORD", "one")]
    assert (req.remote_addr, req.scheme) == (("192.0.2.7", 4711), "http")


def test_what_a_response_looks_like_to_a_hook() -> None:
    """What the application has said, and how much was sent; with the environ that it got."""
    seen: list[Any] = []
    answer(post_request=lambda worker, req, environ, resp: seen.append((environ["PATH_INFO"], resp)))
    path, resp = seen[0]

    assert (path, resp.status, resp.status_code, resp.sent) == ("/a b", "202 Accepted", 202, 4)
    assert resp.headers == [("X-Answer", "none")]


def test_a_hook_adds_a_field() -> None:
    """What pre_request appends to the headers reaches the application."""
    exchange = answer(pre_request=lambda worker, req: req.headers.append(("X-Trace", "abc")))

    assert exchange.response_fields == [("X-Answer", "abc")]


def test_a_hook_that_takes_two_arguments() -> None:
    """post_request may be content with the worker and the request."""
    seen: list[str] = []
    answer(post_request=lambda worker, req: seen.append(req.method))

    assert seen == ["POST"]


def test_a_request_for_another_protocol_is_one_request() -> None:
    """The hooks are called once around it too."""
    seen: list[str] = []
    answer(
        request=b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        pre_request=lambda worker, req: seen.append("before"),
        post_request=lambda worker, req: seen.append("after"),
    )

    assert seen == ["before", "after"]


def test_post_request_is_called_whatever_came_of_it() -> None:
    """An application that raises has said no status; the error goes on."""
    seen: list[Any] = []
    with pytest.raises(LookupError):
        answer(breaks, post_request=lambda worker, req, environ, resp: seen.append((resp.status, resp.status_code)))

    assert seen == [(None, None)]


def test_a_pre_request_that_raises_is_an_error_of_the_request() -> None:
    """The application is not called; post_request is, without a response."""
    seen: list[Any] = []

    def refuse(worker: object, req: object) -> None:
        raise PermissionError("not today")

    with pytest.raises(PermissionError):
        answer(breaks, pre_request=refuse, post_request=lambda worker, req, environ, resp: seen.append(resp))

    assert seen == [None]


def test_a_post_request_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is there already; the error is logged."""
    logging.getLogger("workerkit.error").addHandler(caplog.handler)
    try:
        exchange = answer(post_request=breaks)
    finally:
        logging.getLogger("workerkit.error").removeHandler(caplog.handler)

    assert exchange.status == "202 Accepted"
    assert "The hook post_request failed" in caplog.text
