"""What workerkit promises to those who import it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import workerkit
from workerkit import errors

PUBLIC_METHODS_OF = ("Worker", "ServerWorker", "Protocol", "Connection", "Stream", "Arbiter")


def in_a_fresh_process(program: str) -> str:
    """Run a program in an interpreter of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30, cwd=Path.cwd()
    )
    return done.stdout.strip()


def imported_by(statement: str) -> set[str]:
    """Return the modules that are loaded after a statement."""
    return set(in_a_fresh_process(f"import sys; {statement}; print(*sys.modules)").split())


def test_importing_workerkit_is_light() -> None:
    """Neither ssl nor asyncio, which a patching worker class would have to be faster than, nor anything of ours."""
    modules = imported_by("import workerkit")

    assert not {"ssl", "asyncio", "threading", "socket", "select", "logging"} & modules
    assert {name for name in modules if name.startswith("workerkit")} == {"workerkit"}


def test_using_workerkit_needs_neither_tls_nor_an_event_loop() -> None:
    """Even with every public name loaded, what nobody asked for is not imported."""
    modules = imported_by("from workerkit import *")

    assert not {"ssl", "asyncio", "gevent", "eventlet", "http.client", "email", "importlib.metadata"} & modules


def test_every_public_name_is_loaded_when_it_is_used() -> None:
    """Each name of __all__ can be had, and is the same object when it is asked for again."""
    for name in workerkit.__all__:
        assert getattr(workerkit, name) is getattr(workerkit, name)


def test_the_lists_of_public_names_agree() -> None:
    """__all__, the lazily loaded names and the names for type checkers are the same, in order."""
    source = ast.parse(Path(workerkit.__file__).read_text())
    checked = next(node for node in source.body if isinstance(node, ast.If))
    imports = {
        (alias.asname or alias.name, node.module)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imports == set(workerkit._HOMES.items())
    assert set(workerkit.__all__) == set(workerkit._HOMES)
    assert list(workerkit.__all__) == sorted(workerkit.__all__)


def test_dir_names_what_is_not_loaded_yet() -> None:
    """Completion in a shell finds every public name at once."""
    assert in_a_fresh_process("import workerkit; print(set(workerkit.__all__) <= set(dir(workerkit)))") == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A mistyped name fails as in any module."""
    with pytest.raises(AttributeError, match="module 'workerkit' has no attribute 'Wroker'"):
        workerkit.Wroker  # noqa: B018


def test_the_types_are_published() -> None:
    """The marker that makes type checkers read our annotations is beside the code."""
    assert Path(workerkit.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("name", workerkit.__all__)
def test_public_names_are_described(name: str) -> None:
    """Every public class and function has a docstring of its own, which ends its first line as a sentence."""
    found = getattr(workerkit, name)
    text = found.__doc__ if not isinstance(found, type) else found.__dict__.get("__doc__")

    assert text, f"{name} has no docstring"
    assert text.strip().splitlines()[0].rstrip().endswith((".", ":", ",", ";")) or "\n" in text


def public_methods() -> list[tuple[str, str]]:
    """Return the public methods and properties that the contracts themselves define."""
    return [
        (owner, name)
        for owner in PUBLIC_METHODS_OF
        for name, value in vars(getattr(workerkit, owner)).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)))
    ]


@pytest.mark.parametrize(("owner", "name"), public_methods())
def test_public_methods_are_described(owner: str, name: str) -> None:
    """Every public method of a contract says what it is for."""
    value: Any = vars(getattr(workerkit, owner))[name]
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)

    assert inspect.getdoc(function), f"{owner}.{name} has no docstring"


def test_the_contracts_have_methods() -> None:
    """The list above is not empty by mistake."""
    owners = {owner for owner, _ in public_methods()}

    assert owners == set(PUBLIC_METHODS_OF)


def test_every_error_is_under_one_root() -> None:
    """Whoever catches WorkerkitError catches whatever workerkit raises on purpose."""
    raised = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert len(raised) > 5
    assert all(issubclass(value, workerkit.WorkerkitError) for value in raised)
    assert {value.__name__ for value in raised} <= set(workerkit.__all__)


def test_errors_carry_their_consequences() -> None:
    """Exit codes and statuses stand on the exceptions, as gunicorn's users know them."""
    assert workerkit.BootError("x").exit_code == 3
    assert workerkit.AppLoadError("x").exit_code == 4
    assert workerkit.UsageError("x").exit_code == 2
    assert workerkit.BindError("x").exit_code == workerkit.PluginError("x").exit_code == 1
    assert workerkit.ProtocolError("x").status == 400
    assert workerkit.ProtocolError("x", 413).status == 413
    assert isinstance(workerkit.Disconnected("x"), ConnectionError)
    assert isinstance(workerkit.DeadlineExceeded("x"), TimeoutError)
