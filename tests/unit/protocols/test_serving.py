"""Which protocol serves what, when nobody has named one."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from workerkit.errors import AppLoadError, ConfigError, PluginError
from workerkit.net.protocol import Connection, Protocol, Service
from workerkit.net.stream import Stream
from workerkit.protocols.dialogue import Dialogue, dialogue
from workerkit.protocols.http1 import Http1
from workerkit.protocols.serving import make, protocol_class, protocol_of


class Own(Protocol):
    """A protocol that needs nothing to be served."""

    def connect(self, stream: Stream) -> Connection:
        raise NotImplementedError


class Handler:
    def __call__(self, stream: Stream) -> None: ...

    def app(self, environ: Any, start_response: Any) -> None: ...


def wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped


def handle(stream: Stream) -> None: ...


def handle_with_more(stream: Stream, *, verbose: bool = False) -> None: ...


def app(environ: Any, start_response: Any) -> None: ...


def either(stream: Stream, limit: int = 3) -> None: ...


def anything(*args: Any) -> None: ...


def asgi(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (handle, Dialogue),
        (handle_with_more, Dialogue),
        (Handler(), Dialogue),
        (wrapper(handle), Dialogue),
        (functools.partial(either, limit=4), Dialogue),
        (app, Http1),
        (Handler().app, Http1),
        (wrapper(app), Http1),
        (anything, Http1),
        (asgi, Http1),
        ({}.update, Http1),
        (dialogue(app), Dialogue),
        (Own(), Own),
        (Own, Own),
    ],
)
def test_what_is_served_decides(served: object, expected: type) -> None:
    """A protocol is itself, a callable of one argument a dialogue, of two (or who knows) an application."""
    assert protocol_of(served, "it") is expected


def test_what_could_be_either() -> None:
    """A callable that takes one argument or two has to be wrapped, and the message says how."""
    with pytest.raises(ConfigError) as caught:
        protocol_of(either, "talks:either")

    assert str(caught.value) == (
        "talks:either can be called with one argument, as a dialogue, and with two, as a WSGI application.\n"
        'Say which it is: workerkit.dialogue(either), or protocol = "http1".'
    )


def test_what_cannot_be_served() -> None:
    """An object of no use is named."""
    with pytest.raises(ConfigError, match=r"^cannot serve 42: it is no WSGI application, no function"):
        protocol_of(42, "42")


def test_protocols_have_names() -> None:
    """Ours are reached by entry point, anybody's by ``module:Class`` too."""
    assert (protocol_class("http1"), protocol_class("dialogue")) == (Http1, Dialogue)
    assert protocol_class(f"{__name__}:Own").__name__ == "Own"
    with pytest.raises(PluginError, match="there is no protocol 'http2'; did you mean 'http1'"):
        protocol_class("http2")


def service(served: object) -> Service:
    return Service(served, "it", "threaded", 1, True, lambda options: options(), logging.getLogger("told"), None)


def test_a_protocol_is_made_where_it_is_loaded() -> None:
    """An object is served as it is, a class is instantiated, a callable is handed over."""
    own = Own()

    assert make(Own, service(own)) is own
    assert isinstance(make(Own, service(Own)), Own)
    assert isinstance(make(Own, service(None)), Own)
    assert make(Dialogue, service(app)).handle is app  # type: ignore[attr-defined]
    assert isinstance(make(Http1, service(app)), Http1)


def test_a_protocol_that_cannot_serve_it() -> None:
    """The message says whose mistake it is."""
    with pytest.raises(ConfigError, match="it is a protocol itself, Own, and not served by Http1"):
        make(Http1, service(Own()))
    with pytest.raises(ConfigError, match="the protocol Own takes nothing to serve, got it"):
        make(Own, service(handle))
    with pytest.raises(ConfigError, match="nothing to serve"):
        make(Http1, service(None))
    with pytest.raises(AppLoadError, match="it takes one argument; a WSGI application takes two"):
        make(Http1, service(handle))
