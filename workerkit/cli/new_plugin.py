"""``workerkit new-plugin NAME``: writes a package with a worker class that works, to be changed into one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from workerkit import plugins
from workerkit.errors import UsageError

_USAGE = """\
Usage: workerkit new-plugin NAME [--into FOLDER]

Writes the package workerkit-NAME: a worker class that works, its entry point, its conformance tests, a README and a
CI file. FOLDER is workerkit-NAME unless given; nothing that exists is overwritten."""

_TEMPLATES = os.path.join(os.path.dirname(__file__), "templates", "plugin")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

# Where each template goes. They end in .txt, so that no tool takes them for what they will be.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "tests.yml.txt": ".github/workflows/tests.yml",
    "init.py.txt": "@module@/__init__.py",
    "worker.py.txt": "@module@/worker.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
}
_EMPTY = ("@module@/py.typed",)


def run(words: Sequence[str]) -> int:
    """Write the package that ``words`` ask for and say what to do with it.

    Raises:
        UsageError: The name cannot be used, or the folder is in use.
    """
    name, folder = _parse(words[1:])
    if name is None:
        print(_USAGE)
        return 0
    _check(name)
    into = folder or f"workerkit-{name}"
    write(name, into)
    print(
        f"{into} holds the package workerkit-{name}. What to do with it:\n\n"
        f"  cd {into}\n"
        f"  python3 -m pip install -e '.[test]'\n"
        f"  workerkit workers {name}\n"
        f"  python3 -m pytest"
    )
    return 0


def write(name: str, folder: str) -> None:
    """Write the package for a worker class called ``name`` into ``folder``.

    Raises:
        UsageError: The folder has something in it.
    """
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UsageError(f"{folder} exists, and is no empty folder; choose another by --into FOLDER")
    words = _words(name)
    for source, target in _FILES.items():
        with open(os.path.join(_TEMPLATES, source), encoding="utf-8") as file:
            _write(os.path.join(folder, _filled(target, words)), _filled(file.read(), words))
    for target in _EMPTY:
        _write(os.path.join(folder, _filled(target, words)), "")


def _parse(words: Sequence[str]) -> tuple[str | None, str | None]:
    names: list[str] = []
    folder: str | None = None
    pending = iter(words)
    for given in pending:
        flag, _, value = given.partition("=")
        if given in {"-h", "--help"}:
            return None, None
        if flag == "--into":
            folder = value or next(pending, "")
        elif given.startswith("-"):
            raise UsageError(f"unrecognized argument {flag}; see workerkit new-plugin --help")
        else:
            names.append(given)
    if len(names) != 1:
        raise UsageError("workerkit new-plugin takes one name, as in `workerkit new-plugin mine`")
    return names[0], folder


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a worker class: lower-case letters, digits, '-' and '_'")
    taken = [plugin.owner for plugin in plugins.available(plugins.WORKERS) if plugin.name == name]
    if taken:
        raise UsageError(f"there is a worker class {name!r} already, of {taken[0]}; choose another name")


def _words(name: str) -> dict[str, str]:
    plain = name.replace("-", "_")
    return {"@name@": name, "@module@": f"workerkit_{plain}", "@Class@": f"{plain.title().replace('_', '')}Worker"}


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
