"""Configuration files: found, read and, if they are Python, executed. ``layers`` knows what keys mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

from workerkit.errors import ConfigError
from workerkit.frames import summary
from workerkit.records import Record

PYPROJECT = "pyproject.toml"
DEFAULT_FILES = ("workerkit.toml", "workerkit.conf.py", PYPROJECT, "gunicorn.conf.py")
"""Looked for in the current directory, in this order; of pyproject.toml only [tool.workerkit] counts."""

_MODULE_NAME = "__config__"


@dataclass(frozen=True, eq=False, repr=False)
class FileOptions:
    """This command."""

    config: str | None = field(
        default=None,
        metadata={
            "flags": ("-c",),
            "metavar": "FILE",
            "help": "Configuration file: TOML, Python, or python:MODULE.",
        },
    )


class FileValues(Record):
    """What a configuration file says, key by key; ``is_python`` if it was executed."""

    name: str
    values: Mapping[str, object]
    is_python: bool = False


def find_file() -> FileValues | None:
    """Read the first default file that exists in the current directory; raises as ``read_file`` does."""
    for name in DEFAULT_FILES:
        if not os.path.isfile(name):
            continue
        found = _read_pyproject(name) if name == PYPROJECT else read_file(name)
        if found is not None:
            return found
    return None


def read_file(location: str) -> FileValues:
    """Read the configuration file that ``-c`` names.

    Args:
        location: a path, ``file:path`` or ``python:module``. A path that ends in ``.toml`` is TOML, any other
            is Python.

    Raises:
        ConfigError: it cannot be read, is not valid, or raises when it is executed; in that last case the
            exception is the cause.
    """
    if location.startswith("python:"):
        return _import_module(location.removeprefix("python:"))
    path = location.removeprefix("file:")
    if os.path.basename(path) == PYPROJECT:
        return _read_pyproject(path) or _refuse(f"{path} has no table [tool.workerkit]")
    if path.endswith(".toml"):
        return FileValues(path, _parse_toml(path, _read(path)))
    return _execute(path)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from None


def _read_pyproject(path: str) -> FileValues | None:
    content = _read(path)
    if not _may_hold_our_table(content):  # most do not, and parsing them would cost every start some milliseconds
        return None
    tool = _parse_toml(path, content).get("tool")
    table = tool.get("workerkit") if isinstance(tool, dict) else None
    return FileValues(f"{path} [tool.workerkit]", table) if isinstance(table, dict) else None


def _may_hold_our_table(content: bytes) -> bool:
    """Tell whether TOML names [tool.workerkit] in one of its spellings; a dependency of our name does not."""
    bare = content.translate(None, b" \t\"'")
    return any(spelling in bare for spelling in (b"tool.workerkit", b"[tool]", b"tool={"))


def _parse_toml(path: str, content: bytes) -> dict[str, object]:
    import tomllib  # noqa: PLC0415  only those who have such a file pay for it

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _execute(path: str) -> FileValues:
    """Run a Python file in a module of its own, which stays importable for what it defines."""
    content = _read(path)
    module = ModuleType(_MODULE_NAME)
    module.__file__ = path
    sys.modules[_MODULE_NAME] = module
    try:
        exec(compile(content, path, "exec"), module.__dict__)  # noqa: S102  the operator's own file
    except (Exception, SystemExit) as error:
        raise ConfigError(f"the configuration file {path} failed: {summary(error)}") from error
    return _public_names(path, module)


def _import_module(name: str) -> FileValues:
    import importlib  # noqa: PLC0415  rarely used

    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"the configuration module {name} failed: {summary(error)}") from error
    return _public_names(f"python:{name}", module)


def _public_names(name: str, module: ModuleType) -> FileValues:
    values = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    return FileValues(name, values, is_python=True)


def _refuse(message: str) -> FileValues:
    raise ConfigError(message)
