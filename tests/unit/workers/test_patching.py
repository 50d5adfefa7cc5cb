"""Patching: who came too early is found by what it keeps, and hooks and libraries that are missing are named."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from workerkit.errors import PluginError
from workerkit.workers.patching import keeps_any_of, patch


class Lines(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    handler = Lines()
    logger = logging.getLogger("workerkit.error")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of somebody's, already imported."""
    made = ModuleType("somebodys_module")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


class Sleeper:
    """A class that patching replaces."""


def test_a_copied_name_is_found() -> None:
    """``from time import sleep`` keeps what was replaced."""
    assert keeps_any_of({id(time.monotonic): time.monotonic}, {"now": time.monotonic})


def test_a_derived_class_is_found() -> None:
    """So does a class with what was replaced among its bases."""
    assert keeps_any_of({id(Sleeper): Sleeper}, {"Mine": type("Mine", (Sleeper,), {})})


def test_an_instance_is_found() -> None:
    """So does an instance, such as a lock."""
    assert keeps_any_of({id(Sleeper): Sleeper}, {"lock": Sleeper()})


class Lazy:
    """Will not say what it is before it is configured, like Django's settings."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("not configured")


def test_an_object_that_will_not_say_what_it_is_is_not_asked() -> None:
    """Looking at somebody's names must not make their lazy objects work."""
    assert not keeps_any_of({id(Sleeper): Sleeper}, {"settings": Lazy()})


def test_a_module_is_no_copy() -> None:
    """``import time`` looks names up when they are used, so it keeps nothing."""
    assert not keeps_any_of({id(time.monotonic): time.monotonic}, {"time": time, "n": 1, "s": "x"})


def replace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Barrier", Sleeper)


def test_modules_that_kept_a_name_are_named(
    logged: list[str], module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the library and the module that goes on with what blocks."""
    module.Barrier = threading.Barrier  # type: ignore[attr-defined]

    patch("gevent", lambda: replace(monkeypatch), "")

    (line,) = logged
    assert line.startswith("Imported before gevent could patch")
    assert "somebodys_module" in line


def test_nothing_is_said_where_nothing_was_replaced(logged: list[str], module: ModuleType) -> None:
    """In a process that was patched before, patching again warns of nobody."""
    module.Barrier = threading.Barrier  # type: ignore[attr-defined]

    patch("gevent", lambda: None, "")

    assert logged == []


def test_the_hook_comes_after_patching(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """``post_patch`` is called once what blocks is replaced."""
    seen: list[object] = []
    module.hook = lambda: seen.append(threading.Barrier)  # type: ignore[attr-defined]

    patch("gevent", lambda: replace(monkeypatch), "somebodys_module:hook")

    assert seen == [Sleeper]


@pytest.mark.parametrize("reference", ["somebodys_module:nothing", "no_such_module:hook", "somebodys_module", ":x"])
def test_a_hook_that_is_not_there_is_named(module: ModuleType, reference: str) -> None:
    """A mistake in ``post_patch`` is an error that shows what was asked for."""
    with pytest.raises(PluginError, match=f"post_patch: cannot import '{reference}'"):
        patch("gevent", lambda: None, reference)


def test_a_missing_library_says_what_to_install() -> None:
    """Without the library, the error is the command that gets it."""

    def apply() -> None:
        raise ModuleNotFoundError("there is none", name="gevent")

    with pytest.raises(PluginError, match=r'the gevent worker needs gevent: pip install "workerkit\[gevent\]"'):
        patch("gevent", apply, "")


def test_a_broken_library_says_what_is_wrong() -> None:
    """A library that is there and cannot be imported is not asked to be installed."""

    def apply() -> None:
        raise ImportError("undefined symbol: PyThing", name="gevent._loop")

    with pytest.raises(PluginError, match="cannot import gevent: undefined symbol"):
        patch("gevent", apply, "")
