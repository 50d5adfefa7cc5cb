"""Early hints on a connection: when they leave, and when they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from http1_peer import Connect, get, post, replies

from workerkit.errors import ApplicationError
from workerkit.wsgi.gateway import Application

LINK = ("Link", "</a.css>; rel=preload; as=style")
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n"


def hinting(*headers: Any, then: Callable[[], object] = lambda: None) -> Application:
    """Return an application that gives hints, and another time when its response has begun."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"](list(headers))
        then()
        write = start_response("200 OK", [("Content-Length", "5")])
        write(b"he")
        environ["wsgi.early_hints"]([LINK])
        return [b"llo"]

    return application


def test_hints_leave_at_once_and_before_the_response(connect: Connect) -> None:
    """The client has them while the application still works; later ones are not sent."""
    seen: list[bytes] = []
    peer = connect(hinting(LINK, then=lambda: seen.append(peer.receive())))
    peer.send(get())
    answer = peer.drive_and_receive()

    assert seen == [HINTS]
    assert [reply.body for reply in replies(answer)] == [b"hello"]
    assert b"103" not in answer


def test_a_client_of_http_1_0_gets_none(connect: Connect) -> None:
    """It knows no response but the last."""
    peer = connect(hinting(LINK))
    peer.send(get(version="1.0"))

    assert b"103" not in peer.drive_and_receive()


def test_each_request_of_a_connection_has_its_own(connect: Connect) -> None:
    """Also of those that came in one piece, with bodies."""
    peer = connect(hinting(LINK))
    peer.send(post(b"one") + post(b"two"))
    received = peer.drive_and_receive()

    assert received.count(HINTS) == 2
    assert [reply.body for reply in replies(received.replace(HINTS, b""))] == [b"hello", b"hello"]


@pytest.mark.parametrize("bad", [("Link", "a\r\nEvil: yes"), ("Content-Length", "0"), ("Link", "a\0")])
def test_a_bad_hint_is_the_applications_error(
    connect: Connect, bad: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is sent, a 500 is, and the log names the header."""
    peer = connect(hinting(LINK, bad))
    [reply] = peer.ask(get())

    assert reply.status == 500
    assert bad[0] in caplog.text


def test_nobody_who_keeps_the_function_can_use_it_later(connect: Connect) -> None:
    """Between two requests nothing is sent, and whoever tries is told."""
    kept: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.early_hints"])
        start_response("200 OK", [])
        return [b""]

    peer = connect(application)
    peer.ask(get())
    with pytest.raises(ApplicationError, match="after the request had ended"):
        kept[0]([LINK])

    assert peer.receive() == b""
