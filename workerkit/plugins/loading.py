"""A plugin's name becomes a class, checked against the contract that it has to keep.

A name is looked up in this order: an entry point of that name (ours win a clash), ``distribution#name``,
``module:Class`` or a dotted path, a class in a file that was loaded with ``load_file``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from workerkit.errors import PluginError
from workerkit.frames import summary, user_frames
from workerkit.plugins.entry_points import Plugin, available
from workerkit.spelling import did_you_mean, nearest

WORKERS = "workerkit.workers"
ARBITERS = "workerkit.arbiters"
PROTOCOLS = "workerkit.protocols"

_NOUNS = {WORKERS: "worker class", ARBITERS: "arbiter", PROTOCOLS: "protocol"}
_OURS = "workerkit"
_files: dict[str, ModuleType] = {}
"""The files that were loaded, by their absolute paths; of two classes with one name, the last one counts."""
_EXTRAS = frozenset({"gevent", "eventlet"})


def load(
    group: str, name: str, base: type, api_version: int | None = None
) -> type[Any]:
    """Return the class that ``name`` stands for, checked.

    Args:
        group: the entry-point group to look in, such as ``WORKERS``.
        name: an entry point's name, ``distribution#name``, ``module:Class``, a dotted path, or the name of
            a class in a file of ``load_file`` (``echo`` is ``EchoWorker``, where ``base`` is called ``Worker``).
        base: the abstract class that it must be a subclass of.
        api_version: what its ``api_version`` must be, if anything.

    Raises:
        PluginError: there is none or more than one of that name, importing it fails (then the exception is
            the cause), or it does not keep the contract.
    """
    found: object = _resolve(group, name, base)
    origin = f"{_noun(group)} {name!r}"
    if isinstance(found, Plugin):
        origin = _origin(group, found)
        found = _import(group, found)
    return check(found, origin, base, api_version)


def load_file(path: str) -> ModuleType:
    """Execute the file that ``--plugin`` names, once, and return its module; from now on ``load`` knows its classes.

    Raises:
        PluginError: it cannot be read, or raises (then the exception is the cause).
    """
    absolute = os.path.abspath(path)
    if absolute in _files:
        return _files[absolute]
    module = ModuleType(f"workerkit_plugin_{os.path.splitext(os.path.basename(path))[0]}")
    module.__file__ = absolute
    sys.modules[module.__name__] = module
    try:
        with open(path, "rb") as file:
            content = file.read()
        exec(compile(content, absolute, "exec"), module.__dict__)  # noqa: S102  it is the operator's
    except (Exception, SystemExit) as error:
        raise PluginError(f"the plugin file {path} cannot be loaded: {summary(error)}") from error
    _files[absolute] = module
    return module


def _resolve(group: str, name: str, base: type) -> Plugin | type:
    distribution, _, short = name.rpartition("#")
    # Ours win a clash: for a name of ours, the metadata of all other distributions need not be read.
    plugins = [plugin for plugin in available(group, distribution or _OURS) if plugin.name == short]
    if not plugins and not distribution:
        plugins = [plugin for plugin in available(group) if plugin.name == short]
    if len(plugins) > 1:
        raise _ambiguous(group, name, plugins)
    if plugins:
        return plugins[0]
    if not distribution and (":" in name or "." in name):
        return Plugin(name, name if ":" in name else ":".join(name.rsplit(".", 1)), "", "")
    candidates = [found for module in reversed(_files.values()) for found in _classes(module, base)]
    in_files = [found for found in candidates if _is_named(found, name, base)]
    return in_files[0] if in_files else _give_up(group, name)


def _classes(module: ModuleType, base: type) -> list[type]:
    """Return the subclasses of ``base`` that ``module`` itself defines."""
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base)]
    return [value for value in found if value.__module__ == module.__name__]


def _is_named(found: type, name: str, base: type) -> bool:
    plain = name.lower().replace("-", "").replace("_", "")
    return found.__name__.lower() in {plain, plain + base.__name__.lower()}


def _ambiguous(group: str, name: str, plugins: Sequence[Plugin]) -> PluginError:
    spellings = " or ".join(f"{plugin.distribution}#{plugin.name}" for plugin in plugins)
    owners = " and ".join(plugin.owner for plugin in plugins)
    return PluginError(f"{_noun(group)} {name!r} is announced by {owners}.\nChoose one: {spellings}")


def _give_up(group: str, name: str) -> Plugin:
    names = sorted({plugin.name for plugin in available(group)})
    message = f"there is no {_noun(group)} {name!r}{did_you_mean(nearest(name, names))}"
    message += f"\nInstalled: {', '.join(names) or 'none'}"
    raise PluginError(message + (f"\n{_install_hint(name)}" if name in _EXTRAS else ""))


def _import(group: str, plugin: Plugin) -> object:
    """Import what ``plugin`` names; an entry point's value is ``module:attribute.attribute [extras]``."""
    import importlib  # noqa: PLC0415  part of the interpreter already; kept out of the module's names

    module, _, attributes = plugin.value.partition("[")[0].strip().partition(":")
    try:
        found: object = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and not user_frames(error) and _is_part(error.name, module):
            raise PluginError(f"{_origin(group, plugin)}: there is no module {error.name!r}") from None
        hint = f"\n{_install_hint(error.name)}" if isinstance(error, ImportError) and error.name in _EXTRAS else ""
        raise PluginError(f"{_origin(group, plugin)} cannot be imported: {summary(error)}{hint}") from error
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise PluginError(f"{_origin(group, plugin)}: {module} has no attribute {attribute!r}") from None
    return found


def _is_part(missing: str | None, module: str) -> bool:
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def check(found: object, origin: str, base: type, api_version: int | None = None) -> type[Any]:
    """Return a class that keeps the contract, as it is.

    Args:
        found: what should be such a class.
        origin: what messages call it.
        base: the abstract class that it must be a subclass of.
        api_version: what its ``api_version`` must be, if anything.

    Raises:
        PluginError: it does not keep the contract.
    """
    expected = f"expected a subclass of {base.__module__}.{base.__qualname__}"
    if not isinstance(found, type):
        raise PluginError(f"{origin}: {expected}, found {found!r}, which is not a class")
    if not issubclass(found, base):
        bases = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found.__bases__)
        raise PluginError(f"{origin}: {expected}, found a class derived from {bases}")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{origin}: it does not define {', '.join(missing)}, which {base.__qualname__} requires")
    version = getattr(found, "api_version", None)
    if api_version is not None and version != api_version:
        raise PluginError(f"{origin}: expected api_version {api_version}, found {version}")
    return found


def _origin(group: str, plugin: Plugin) -> str:
    if not plugin.distribution:
        return f"{_noun(group)} {plugin.name!r}"
    return f"{_noun(group)} {plugin.name!r} of {plugin.owner} ({plugin.value})"


def _noun(group: str) -> str:
    return _NOUNS.get(group, f"plugin of {group}")


def _install_hint(extra: str | None) -> str:
    return f'It comes with: pip install "workerkit[{extra}]"'
