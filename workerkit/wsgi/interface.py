"""Which interface a callable has, told by its signature, so that the wrong one is named at boot.

A WSGI application is called with two positional arguments (PEP 3333, "The Application/Framework Side"). A
signature that cannot be had, as of some callables written in C, is taken to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workerkit.signatures import arity_of

_FITS = (
    "This worker class serves WSGI. `workerkit workers` lists the others; one that serves ASGI fits,\n"
    "or an adapter, such as a2wsgi.ASGIMiddleware(application)."
)


def complaint(application: Callable[..., Any], place: str) -> str | None:
    """Return why ``application``, which was found at ``place``, cannot be called as WSGI; None if it can.

    The message names what would fit, in three lines at most.
    """
    kind = _coroutine_kind(application)
    if kind:
        return f"{place} is an ASGI application ({kind}).\n{_FITS}"
    # What is called counts, not what a decorator wraps.
    arity = arity_of(application, follow_wrapped=False)
    if arity.fits(2):
        return None
    if arity.by_name:
        return f"{place} needs arguments by name; a WSGI application is called with two by place, and nothing else."
    count = arity.needed
    if count == 3:
        return f"{place} is an ASGI application (it takes three arguments: scope, receive and send).\n{_FITS}"
    if count == 0:
        return (
            f"{place} needs no argument, so it looks like a factory and not like a WSGI application.\n"
            f"To serve what it returns, write {place}() or add --factory."
        )
    takes = "one argument" if count == 1 else f"{count} arguments"
    hint = "\nA function of one stream is served by workerkit.run(function)." if count == 1 else ""
    return f"{place} takes {takes}; a WSGI application takes two, environ and start_response.{hint}"


def _coroutine_kind(application: Callable[..., Any]) -> str | None:
    import inspect  # noqa: PLC0415  dataclasses have imported it already

    if inspect.iscoroutinefunction(application):
        return "a coroutine function"
    if inspect.iscoroutinefunction(type(application).__call__):
        return f"a {type(application).__name__}, whose __call__ is a coroutine function"
    return None
