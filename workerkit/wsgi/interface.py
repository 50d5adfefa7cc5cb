"""Which interface a callable has, told by its signature, so that the wrong one is named at boot.

A WSGI application is called with two positional arguments (PEP 3333, "The Application/Framework Side"). A
signature that cannot be had, as of some callables written in C, is taken to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    count = _required_if_not_two(application)
    if count is None:
        return None
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


def takes_no_argument(function: Callable[..., Any]) -> bool:
    """Return whether ``function`` can be called without arguments."""
    import inspect  # noqa: PLC0415  only a mistake pays for it

    return all(
        parameter.default is not parameter.empty or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        for parameter in inspect.signature(function).parameters.values()
    )


def _coroutine_kind(application: Callable[..., Any]) -> str | None:
    import inspect  # noqa: PLC0415  dataclasses have imported it already

    if inspect.iscoroutinefunction(application):
        return "a coroutine function"
    if inspect.iscoroutinefunction(type(application).__call__):
        return f"a {type(application).__name__}, whose __call__ is a coroutine function"
    return None


def _required_if_not_two(application: Callable[..., Any]) -> int | None:
    """Return how many positional arguments ``application`` needs if two do not fit; None if they do."""
    import inspect  # noqa: PLC0415  as above

    try:
        # What is called counts, not what a decorator wraps.
        parameters = inspect.signature(application, follow_wrapped=False).parameters.values()
    except (
        TypeError,
        ValueError,
        NameError,
    ):  # NameError: an annotation that only a type checker can resolve
        return None
    positional = [one for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    required = sum(one.default is one.empty for one in positional)
    at_most = 2 if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(positional)
    return None if required <= 2 <= at_most else required
