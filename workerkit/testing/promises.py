"""How a failed fact is reported: the promise that was broken comes first."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter


class BrokenPromise(TerminalRepr):
    """A failure with the promise in front, in the report and in the summary's line."""

    def __init__(self, promise: str, inner: Any) -> None:
        self.promise = promise
        self.inner = inner
        crash = getattr(inner, "reprcrash", None)
        if crash is not None:
            self.reprcrash = ReprFileLocation(crash.path, crash.lineno, f"{promise} ({crash.message})")

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write it."""
        tw.line(self.promise, red=True, bold=True)
        tw.line()
        if hasattr(self.inner, "toterminal"):
            self.inner.toterminal(tw)
        else:
            tw.line(str(self.inner))


def promise_of(item: pytest.Item) -> str:
    """Return the promise that a fact checks: its docstring, in one line."""
    function: Any = getattr(item, "function", None)
    return " ".join((inspect.getdoc(function) or item.name).split())


def broken_promise(item: pytest.Item, worker: str, inner: Any) -> BrokenPromise:
    """Return the report of a failed fact."""
    return BrokenPromise(f"Broken promise of the worker class {worker!r}: {promise_of(item)}", inner)
