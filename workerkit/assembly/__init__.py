"""Settings, plugins, listeners and protocols become an arbiter: the one part that knows all layers.

Nothing is decided here that a layer could decide for itself; here they are introduced to each other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from workerkit import plugins
from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool
from workerkit.assembly.objects import Objects, section_of, worker_class
from workerkit.assembly.options import ApplicationOptions, ArbiterChoice, ImportOptions, PoolOptions
from workerkit.assembly.pools import errors_name, make_pools
from workerkit.config.pools import Plan, gather
from workerkit.config.settings import Settings
from workerkit.errors import ConfigError
from workerkit.net.listener import ListenerOptions
from workerkit.protocols.http1 import Http1
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.workers.base import Lifespan, WorkerOptions

__all__ = ["CORE_OPTIONS", "PLAN", "assemble", "check", "create_arbiter", "run", "section_of", "worker_class"]

CORE_OPTIONS: tuple[type, ...] = (
    ApplicationOptions,
    ImportOptions,
    PoolOptions,
    ListenerOptions,
    WorkerOptions,
    ArbiterChoice,
    ArbiterOptions,
    LogOptions,
    *Http1.Options,
)
POOL_OPTIONS: tuple[type, ...] = (ApplicationOptions, PoolOptions, ListenerOptions, WorkerOptions, *Http1.Options)
"""Those of the core's that each pool may have for itself."""


def _plan(objects: Objects) -> Plan:
    return Plan(CORE_OPTIONS, POOL_OPTIONS, objects.plugin_options)


PLAN = _plan(Objects())
"""Which settings there are, for whoever gathers them."""


def assemble(settings: Settings, objects: Objects | None = None, *, signals: bool = True) -> Arbiter:
    """Return an arbiter that is ready to run.

    Args:
        settings: All of them.
        objects: What a program has handed over ready-made; names in the settings stand for it.
        signals: Whether the arbiter takes the process's signals.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    logs = Logs(settings.build(LogOptions))
    _enter(settings.build(ImportOptions))
    pools = make_pools(settings, objects or Objects(), logs)
    name = settings["arbiter"] or ("prefork" if all(pool.workers for pool in pools) else "inline")
    arbiter_class: Any = plugins.load(plugins.ARBITERS, name, Arbiter, None)
    arbiter: Arbiter = arbiter_class(pools, settings.build(ArbiterOptions), logs, signals=signals)
    return arbiter


def check(settings: Settings) -> str:
    """Load everything that serving would load and return a line for each pool that says so.

    Raises:
        WorkerkitError: It cannot be served; says why.
    """
    logs = Logs(settings.build(LogOptions))
    _enter(settings.build(ImportOptions))
    return "\n".join(
        _check_pool(pool, settings.pools.get(pool.name, settings)) for pool in make_pools(settings, Objects(), logs)
    )


def _check_pool(pool: Pool, settings: Settings) -> str:
    workers = f"{pool.workers} {pool.class_name} worker(s)"
    with errors_name(pool.name):
        pool.worker_class.prepare(pool.class_options)
        protocol = pool.serve() if pool.serve is not None else None
    if protocol is None:
        return f"OK: {workers} can be started"
    return f"OK: {settings['wsgi_app'] or type(protocol).__name__} can be served by {workers}"


def create_arbiter(
    served: object = None,
    /,
    *,
    pools: Mapping[str, Mapping[str, object]] | None = None,
    lifespan: Lifespan | None = None,
    signals: bool = False,
    **settings: object,
) -> Arbiter:
    """Return an arbiter to embed. It reads no command line, no variable and no configuration file.

    Args:
        served: A WSGI application, a function ``handle(stream)``, a Protocol, or a reference (``"module:app"``).
            None for worker classes that serve nothing, such as a queue consumer.
        pools: Several kinds of workers under one arbiter: the settings of each by its name. What is not said there
            is taken from the other arguments. A pool may have a ``lifespan`` of its own.
        lifespan: Returns a context manager that each worker enters once booted: for connections and pools.
        signals: Let the arbiter take this process's signals (TERM, INT, HUP ...); in the main thread only.
        **settings: Any setting by its name, as in a configuration file. ``worker_class`` may be a class, ``serve``
            is what ``served`` is, for a pool.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    objects = Objects(lifespan)
    if served is not None:
        settings["wsgi_app"] = served
    overrides = objects.named(settings)
    if pools is not None:
        overrides["pools"] = {name: objects.named(table, name) for name, table in pools.items()}
    return assemble(gather(_plan(objects), overrides=overrides), objects, signals=signals)


def run(
    served: object = None,
    /,
    *,
    pools: Mapping[str, Mapping[str, object]] | None = None,
    lifespan: Lifespan | None = None,
    signals: bool = False,
    **settings: object,
) -> int:
    """Serve until stopped and return the exit code; arguments and errors as for ``create_arbiter``.

    Raises:
        BootError: The application cannot be loaded; ``frames`` are the user's own stack frames.
    """
    return create_arbiter(served, pools=pools, lifespan=lifespan, signals=signals, **settings).run()


def _enter(options: ImportOptions) -> None:
    """Make the application's modules findable, as ``--chdir`` and ``--pythonpath`` say."""
    if options.chdir:
        try:
            os.chdir(options.chdir)
        except OSError as error:
            raise ConfigError(f"cannot change to the folder {options.chdir}: {error.strerror}") from error
        sys.path.insert(0, os.getcwd())
    for folder in reversed((options.pythonpath or "").split(",")):
        if folder:
            sys.path.insert(0, os.path.abspath(folder))
