"""What a program hands over ready-made, where a command line can only name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from workerkit import plugins
from workerkit.config.pools import Peek
from workerkit.errors import ConfigError
from workerkit.protocols.serving import protocol_class
from workerkit.workers.base import API_VERSION, Lifespan, Worker

_NAMED = ("wsgi_app", "serve", "worker_class")


def worker_class(name: str) -> type[Worker]:
    """Return the worker class that a name, ``dist#name`` or ``module:Class`` stands for.

    Raises:
        PluginError: There is none, or it does not keep the contract.
    """
    return plugins.load(plugins.WORKERS, name, Worker, API_VERSION)


def section_of(name: str) -> str:
    """Return the name of a plugin's table: ``trio`` for ``workerkit-trio#trio`` and for ``module:trio``."""
    return name.rpartition("#")[2].rpartition(":")[2].rpartition(".")[2]


class Objects:
    """Applications, protocols, worker classes and lifespans; in the settings, names stand for them."""

    def __init__(self, lifespan: Lifespan | None = None) -> None:
        self._by_name: dict[str, object] = {}
        self._lifespan = lifespan
        self._lifespans: dict[str, Lifespan] = {}

    def named(self, settings: Mapping[str, object], pool: str | None = None) -> dict[str, object]:
        """Return settings in which objects have become names, for all pools or for one; keep the objects."""
        named = dict(settings)
        for key in _NAMED:
            if named.get(key) is not None and not isinstance(named[key], str):
                named[key] = self._name(named[key])
        if pool is not None and "lifespan" in named:
            lifespan = named.pop("lifespan")
            if not callable(lifespan):
                raise ConfigError(f"pools[{pool!r}]: lifespan: expected a callable, got {lifespan!r}")
            self._lifespans[pool] = lifespan
        return named

    def _name(self, found: object) -> str:
        qualified = getattr(found, "__qualname__", None)
        name = f"{found.__module__}:{qualified}" if qualified else repr(found)
        while self._by_name.setdefault(name, found) is not found:
            name += "'"
        return name

    def get(self, name: str | None) -> object | None:
        """Return the object that a name stands for; None: it is the name of something to import."""
        return self._by_name.get(name) if name is not None else None

    def lifespan(self, pool: str) -> Lifespan | None:
        """Return the lifespan of a pool's workers."""
        return self._lifespans.get(pool, self._lifespan)

    def worker_class(self, name: str) -> type[Worker]:
        """Return the worker class of that name; raises ``PluginError`` as the function does."""
        given = self.get(name)
        if given is None:
            return worker_class(name)
        return plugins.check(given, f"worker class {name}", Worker, API_VERSION)

    def plugin_options(self, peek: Peek) -> Iterator[tuple[str, type]]:
        """Yield the options that a pool's worker class and protocol add, each with the name of its table."""
        for path in cast("tuple[str, ...]", peek("plugin")):
            plugins.load_file(path)
        name = str(peek("worker_class"))
        yield section_of(name), self.worker_class(name).Options
        protocol = peek("protocol")
        if protocol is not None:
            for options in protocol_class(str(protocol)).Options:
                yield section_of(str(protocol)), options
