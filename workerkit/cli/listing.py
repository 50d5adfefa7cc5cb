"""``workerkit workers``, ``arbiters`` and ``protocols``: what is installed, what of it can be used, and what each is.

The module of a plugin is imported for that; worker classes import without the libraries that they require. One that
cannot be imported is listed all the same, with the reason: only whoever selects it is in trouble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from workerkit import plugins
from workerkit.cli.table import table
from workerkit.errors import PluginError, UsageError

GROUPS = {"workers": plugins.WORKERS, "arbiters": plugins.ARBITERS, "protocols": plugins.PROTOCOLS}

_USAGE = """\
Usage: workerkit {word} [--plugin FILE] [NAME]

Lists the {word} that are installed and says which can be used; with a NAME, what that one is and its options.
A NAME is an entry point's, DISTRIBUTION#NAME where two have the same, MODULE:CLASS, or a class in FILE."""


class _Request(NamedTuple):
    """What the words ask for."""

    word: str
    name: str | None
    files: tuple[str, ...]
    help: bool


def run(words: Sequence[str]) -> int:
    """Print the plugins of the group that ``words`` names, or the one of them that is named too.

    Raises:
        UsageError: The words make no sense.
        PluginError: There is no plugin of that name, or it cannot be loaded.
    """
    asked = _parse(words)
    if asked.help:
        print(_USAGE.format(word=asked.word))
        return 0
    for file in asked.files:
        plugins.load_file(file)
    print(_description(asked.word, asked.name) if asked.name else _listing(asked.word))
    return 0


def _parse(words: Sequence[str]) -> _Request:
    word, *rest = words
    names: list[str] = []
    files: list[str] = []
    pending = iter(rest)
    for given in pending:
        flag, _, value = given.partition("=")
        if given in {"-h", "--help"}:
            return _Request(word, None, (), help=True)
        if flag == "--plugin":
            files.append(value or next(pending, ""))
        elif given.startswith("-"):
            raise UsageError(f"unrecognized argument {flag}; see workerkit {word} --help")
        else:
            names.append(given)
    if len(names) > 1:
        raise UsageError(f"workerkit {word} takes one name, got {' and '.join(names)}")
    return _Request(word, names[0] if names else None, tuple(files), help=False)


def _load(word: str, name: str) -> type[Any]:
    """Return the class; its contract is imported here, for ``workerkit --help`` needs none."""
    from workerkit.arbiter.base import Arbiter  # noqa: PLC0415
    from workerkit.net.protocol import Protocol  # noqa: PLC0415
    from workerkit.workers.base import API_VERSION, Worker  # noqa: PLC0415

    base, version = {"workers": (Worker, API_VERSION), "arbiters": (Arbiter, None), "protocols": (Protocol, None)}[word]
    return plugins.load(GROUPS[word], name, base, version)


# -- the list --------------------------------------------------------------------------------------------------------


def _listing(word: str) -> str:
    found = plugins.available(GROUPS[word])
    if not found:
        return f"There are no {word} installed."
    rows = list(_rows(word, found))
    lines = [("NAME", "DISTRIBUTION", "RUNS", "STATUS"), *rows] if word != "arbiters" else _without_runs(rows)
    return table(lines)


def _without_runs(rows: Sequence[tuple[str, str, str, str]]) -> list[tuple[str, ...]]:
    return [("NAME", "DISTRIBUTION", "STATUS"), *((name, owner, status) for name, owner, _, status in rows)]


def _rows(word: str, found: Sequence[plugins.Plugin]) -> Iterator[tuple[str, str, str, str]]:
    values = {plugin.value: plugin.name for plugin in sorted(found, key=_is_an_alias)[::-1]}
    for plugin in found:
        try:
            cls = _load(word, f"{plugin.distribution}#{plugin.name}")
        except PluginError as error:
            yield plugin.name, plugin.owner, "", f"broken: {str(error).splitlines()[0]}"
            continue
        own = values[plugin.value]
        status = _status(cls) if own == plugin.name else f"the same as {own}"
        yield plugin.name, plugin.owner, ", ".join(_jobs(cls)), status


def _is_an_alias(plugin: plugins.Plugin) -> bool:
    """Tell whether a class has this name beside its own, ``threaded`` for ``ThreadedWorker``."""
    return not plugin.value.rpartition(":")[2].lower().startswith(plugin.name.replace("_", "").replace("-", ""))


def _status(cls: type[Any]) -> str:
    missing = _missing(cls)
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed" if missing else "available"


def _missing(cls: type[Any]) -> list[str]:
    from workerkit.plugins.requirements import missing_modules  # noqa: PLC0415  for listings only

    return missing_modules(getattr(cls, "requires", ()))


def _jobs(cls: type[Any]) -> list[str]:
    return sorted(getattr(cls, "jobs", ())) or [job for job in [getattr(cls, "job", "")] if job]


# -- one of them -----------------------------------------------------------------------------------------------------


def _description(word: str, name: str) -> str:
    import inspect  # noqa: PLC0415  for this page only

    cls = _load(word, name)
    facts = [(label, text) for label, text in _facts(word, name, cls) if text]
    parts = [f"{name}: {inspect.getdoc(cls) or 'no description'}", table(facts), _options(cls)]
    return "\n\n".join(part for part in parts if part)


def _facts(word: str, name: str, cls: type[Any]) -> Iterator[tuple[str, str]]:
    short = name.rpartition("#")[2]
    owners = [plugin.owner for plugin in plugins.available(GROUPS[word]) if plugin.name == short]
    yield "From", ", ".join(owners)
    yield "Class", f"{cls.__module__}:{cls.__qualname__}"
    yield "Runs", ", ".join(_jobs(cls))
    if word == "workers":
        yield "At once", "several jobs in one process" if cls.multithread else "one job in one process"
        yield "Patches", "the standard library, before the application is imported" if cls.needs_patching else ""
        yield "Requires", ", ".join(cls.requires)
        yield "Contract", f"api_version {cls.api_version}"
    yield "Status", _status(cls)


def _options(cls: type[Any]) -> str:
    """Return the options of a class, one dataclass or several, as ``--help`` shows them."""
    import shutil  # noqa: PLC0415  for this page only

    from workerkit.config.help import page  # noqa: PLC0415  for this page only
    from workerkit.config.schema import Schema  # noqa: PLC0415  for this page only

    declared = getattr(cls, "Options", ())
    several = declared if isinstance(declared, tuple) else (declared,)
    return page("", Schema.of(*several), shutil.get_terminal_size().columns)
