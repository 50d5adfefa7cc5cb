"""Patching the standard library for an application, and telling what was imported too early for that.

Both libraries replace names in modules. Whoever has copied such a name before (``from time import sleep``), has
derived a class from it, or keeps a lock of the old kind goes on with what blocks: every greenlet of the worker, for
as long as it lasts.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

from workerkit.errors import PluginError
from workerkit.frames import summary

_PATCHED = (
    "_thread",
    "os",
    "queue",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
)
_PATCHERS = frozenset({"gevent", "eventlet", "greenlet", "zope", "dns"})
_OURS = frozenset({"workerkit", "workerkit_contrib"})


def patch(library: str, apply: Callable[[], None], post_patch: str) -> None:
    """Patch, warn of what came too early, and call the hook. In the process that imports the application.

    Args:
        library: The library's module, and our extra that installs it.
        apply: Imports the library and patches.
        post_patch: ``module:function``; empty: no hook.

    Raises:
        PluginError: The library is not installed, or the hook cannot be called.
    """
    before = {name: dict(vars(sys.modules[name])) for name in _PATCHED if name in sys.modules}
    loaded = [name for name in sys.modules if _may_be_too_early(name)]
    try:
        apply()
    except ImportError as error:
        if error.name != library:
            raise PluginError(f"the {library} worker cannot import {library}: {error}") from error
        message = f'the {library} worker needs {library}: pip install "workerkit[{library}]"'
        raise PluginError(message) from None
    replaced = {
        id(value): value
        for name, values in before.items()
        for key, value in values.items()
        if callable(value) and getattr(sys.modules[name], key, None) is not value
    }
    early = sorted({"ssl"} & before.keys()) if replaced else []
    early += [name for name in loaded if keeps_any_of(replaced, vars(sys.modules[name]))]
    if early:
        logging.getLogger("workerkit.error").warning(
            "Imported before %s could patch the standard library, and may block all requests of a worker: %s. "
            "Import them later than the configuration, or patch at the top of whatever imports them.",
            library,
            ", ".join(early),
        )
    if post_patch:
        _call(post_patch)


def keeps_any_of(replaced: dict[int, object], namespace: dict[str, object]) -> bool:
    """Return whether a module's names hold what was replaced: itself, a class made from it, or an instance."""
    return any(not replaced.keys().isdisjoint(map(id, _itself_and_classes(value))) for value in namespace.values())


def _itself_and_classes(value: Any) -> tuple[object, ...]:
    # Not isinstance: that asks for __class__, which a lazy object (Django's settings) may answer with an exception.
    return value.__mro__ if issubclass(type(value), type) else (value, type(value))


def _may_be_too_early(name: str) -> bool:
    """Leave out the standard library, which looks names up when it uses them, and those who patch."""
    root = name.partition(".")[0]
    return root not in sys.stdlib_module_names and root not in _PATCHERS and root not in _OURS


def _call(reference: str) -> None:
    module, _, function = reference.partition(":")
    try:
        hook = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"post_patch: cannot import {reference!r}, a MODULE:FUNCTION: {summary(error)}") from error
    hook()
