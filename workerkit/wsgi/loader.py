"""The application, loaded: from the text that names it to a callable that can be served as WSGI.

Runs in the process that imports the application (a worker, the mold, or the command for
``--check-config``). Whatever is wrong is found here, at boot, with a message for people, and not by the
first request.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from workerkit.errors import AppLoadError, BootError
from workerkit.frames import summary, user_frames
from workerkit.net.protocol import Protocol
from workerkit.signatures import arity_of
from workerkit.spelling import by_likeness, did_you_mean, nearest
from workerkit.wsgi.interface import complaint
from workerkit.wsgi.reference import AppReference, Call, parse_reference

_DEFAULT_ATTRIBUTES = ("application", "app")
_MOST_LISTED = 8


Complaint = Callable[[Callable[..., Any], str], "str | None"]
"""``complain(found, place)``: why it cannot be served; None if it can."""


def load_application(reference_text: str, factory: bool = False, complain: Complaint = complaint) -> Any:
    """Import the application and return it.

    Args:
        reference_text: ``MODULE``, ``MODULE:VAR``, ``MODULE:attribute.of.it`` or a call of one with literals.
        factory: call what is found, without arguments, if the text does not call it itself.
        complain: judges what was found, unless it is a protocol already; by default as a WSGI application.

    Raises:
        ConfigError: the text cannot be read.
        BootError: there is no such module, or the user's own code raised; the exception is the cause and
            ``frames`` are the user's.
        AppLoadError: there is no such attribute, it is not callable, or ``complain`` has a reason.
    """
    reference = parse_reference(reference_text)
    module = _import(reference)
    attribute, application = _find(module, reference)
    if reference.call or factory:
        call = reference.call or Call()
        attribute, application = f"{attribute}()", _call(application, call, f"{reference.module}:{attribute}")
    place = f"{reference.module}:{attribute}"
    if isinstance(application, Protocol):
        return application
    if not callable(application):
        raise AppLoadError(_not_callable(application, place, module))
    problem = complain(application, place)
    if problem:
        raise AppLoadError(problem)
    return application


def _import(reference: AppReference) -> ModuleType:
    try:
        return importlib.import_module(reference.module)
    except (Exception, SystemExit) as error:  # sys.exit() at import is a failure like any other
        if isinstance(error, ModuleNotFoundError) and not user_frames(error) and _is_part(error.name, reference.module):
            raise BootError(_no_such_module(str(error.name), reference.module)) from None
        raise BootError(*_own_failure(error, f"{reference.module} cannot be imported")) from error


def _is_part(missing: str | None, module: str) -> bool:
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def _no_such_module(missing: str, module: str) -> str:
    here = os.getcwd()
    if module.endswith(".py"):
        hint = did_you_mean(module.removesuffix(".py"))
    else:
        parent, _, last = missing.rpartition(".")
        meant = nearest(last, _modules_in(os.path.join(here, *parent.split("."))))
        hint = did_you_mean(f"{parent}.{meant}".lstrip(".") if meant else None)
    return (
        f"there is no module {missing!r}{hint}\n"
        f"It was looked for in {here} and on the rest of sys.path.\n"
        "If it is elsewhere, name its folder with --chdir or --pythonpath; if it is a package, install it."
    )


def _modules_in(folder: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # then nothing can be suggested
        return
    for entry in entries:
        name, suffix = os.path.splitext(entry.name)
        if name.isidentifier() and (suffix == ".py" or (not suffix and entry.is_dir())):
            yield name


def _own_failure(error: BaseException, what: str) -> tuple[str, str]:
    """Return message and frames for what the user's own code raised."""
    if isinstance(error, SystemExit):
        return f"{what}: it called sys.exit({'' if error.code is None else repr(error.code)})", user_frames(error)
    cause = f"\n(caused by {summary(error.__cause__)})" if error.__cause__ else ""
    return f"{what}: {summary(error)}{cause}", user_frames(error)


def _find(module: ModuleType, reference: AppReference) -> tuple[str, object]:
    """Return the attribute's name and the object."""
    if reference.attribute is None:
        for name in _DEFAULT_ATTRIBUTES:
            if hasattr(module, name):
                return name, getattr(module, name)
        raise AppLoadError(
            f"{module.__name__} has neither {' nor '.join(map(repr, _DEFAULT_ATTRIBUTES))}; "
            f"name the application: {module.__name__}:VARIABLE\n{_callables_line(module, 'app')}"
        )
    found: object = module
    for name in reference.attribute.split("."):
        owner = found
        try:
            found = getattr(owner, name)
        except AttributeError:
            raise AppLoadError(_no_such_attribute(owner, name, module)) from None
    return reference.attribute, found


def _no_such_attribute(owner: object, name: str, module: ModuleType) -> str:
    if owner is not module:
        hint = did_you_mean(nearest(name, dir(owner)))
        return f"{_article(owner)} in {module.__name__} has no attribute {name!r}{hint}"
    hint = did_you_mean(nearest(name, _callables(module)))
    return f"{module.__name__} has no attribute {name!r}{hint}\n{_callables_line(module, name)}"


def _callables_line(module: ModuleType, wanted: str) -> str:
    names = by_likeness(wanted, _callables(module))
    shown = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"Callables in {module.__name__}: {shown}" if names else f"There is no callable in {module.__name__}."


def _callables(module: ModuleType) -> list[str]:
    """Return the names of callables that ``module`` made itself and did not import."""
    return [name for name, value in vars(module).items() if not name.startswith("_") and _is_own(value, module)]


def _is_own(value: object, module: ModuleType) -> bool:
    if isinstance(value, type | FunctionType):
        return value.__module__ == module.__name__
    return callable(value) and type(value).__module__ != "typing"


def _call(factory: object, call: Call, place: str) -> object:
    if not callable(factory):
        raise AppLoadError(f"{place} is {_article(factory)}, so it cannot be called; name it without parentheses")
    try:
        return factory(*call.positional, **call.keywords)
    except (Exception, SystemExit) as error:
        message, frames = _own_failure(error, f"{place}() failed")
        if isinstance(error, TypeError) and not frames:  # it was not entered: the arguments do not fit
            raise AppLoadError(f"{place} cannot be called like this: {error}") from None
        raise BootError(message, frames) from error


def _not_callable(value: object, place: str, module: ModuleType) -> str:
    if value is None and place.endswith("()"):
        return f"{place} returned None, not an application; does the factory end with `return app`?"
    message = f"{place} is {_article(value)}, not a callable WSGI application"
    if place.endswith("()"):
        return message.replace(" is ", " returned ", 1)
    factories = _factories(module)
    if factories:
        return f"{message}\nDid you mean the result of a factory, {module.__name__}:{factories[0]}()?"
    return f"{message}\n{_callables_line(module, place.rpartition(':')[2])}"


def _factories(module: ModuleType) -> list[str]:
    """Return the functions of ``module`` that need no argument, the likeliest factory first."""
    functions = (name for name in _callables(module) if isinstance(vars(module)[name], FunctionType))
    return by_likeness("create_app", _without_argument(functions, module))


def _without_argument(names: Iterable[str], module: ModuleType) -> list[str]:
    return [name for name in names if arity_of(vars(module)[name]).fits(0)]


def _article(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
