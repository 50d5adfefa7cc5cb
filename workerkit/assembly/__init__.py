"""Settings, plugins, listeners and protocols become an arbiter: the one part that knows all layers.

Nothing is decided here that a layer could decide for itself; here they are introduced to each other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workerkit import plugins
from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool
from workerkit.assembly.objects import Objects, section_of, worker_class
from workerkit.assembly.options import ApplicationOptions, ArbiterChoice, ImportOptions, PoolOptions
from workerkit.assembly.pools import errors_name, make_pools
from workerkit.assembly.renewal import Renewal, enter
from workerkit.config.pools import Plan, gather
from workerkit.config.settings import Settings
from workerkit.control.options import ControlOptions
from workerkit.errors import ConfigError
from workerkit.net.listener import ListenerOptions
from workerkit.net.tls_options import TlsOptions
from workerkit.process import program
from workerkit.process.attachment import Attachment
from workerkit.process.daemon import DaemonOptions
from workerkit.process.hooks import HookOptions, ServerFacade
from workerkit.process.privileges import PrivilegeOptions, Privileges
from workerkit.process.title import TitleOptions
from workerkit.protocols.http1 import Http1
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.workers.base import Lifespan, WorkerOptions

__all__ = ["CORE_OPTIONS", "PLAN", "assemble", "check", "create_arbiter", "run", "section_of", "worker_class"]

CORE_OPTIONS: tuple[type, ...] = (
    ApplicationOptions,
    ImportOptions,
    PoolOptions,
    ListenerOptions,
    TlsOptions,
    WorkerOptions,
    ArbiterChoice,
    ArbiterOptions,
    DaemonOptions,
    PrivilegeOptions,
    TitleOptions,
    ControlOptions,
    LogOptions,
    *Http1.Options,
    HookOptions,
)
POOL_OPTIONS: tuple[type, ...] = (
    ApplicationOptions,
    PoolOptions,
    ListenerOptions,
    TlsOptions,
    WorkerOptions,
    *Http1.Options,
)
"""Those of the core's that each pool may have for itself."""


def _plan(objects: Objects) -> Plan:
    return Plan(CORE_OPTIONS, POOL_OPTIONS, objects.plugin_options)


PLAN = _plan(Objects())
"""Which settings there are, for whoever gathers them."""


def assemble(
    settings: Settings,
    objects: Objects | None = None,
    *,
    signals: bool = True,
    read: Callable[[], Settings] | None = None,
    attachments: Sequence[Attachment] = (),
) -> Arbiter:
    """Return an arbiter that is ready to run.

    Args:
        settings: All of them.
        objects: What a program has handed over ready-made; names in the settings stand for it.
        signals: Whether the arbiter takes the process's signals.
        read: Reads all settings again, for a reload. None: a reload starts the same pools anew.
        attachments: What else lives in its loop.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    program.remember()
    logs = Logs(settings.build(LogOptions), Privileges.of(settings.build(PrivilegeOptions)))
    server = ServerFacade(logs.error)

    def pools_of(settings: Settings) -> list[Pool]:
        return make_pools(settings, objects or Objects(), logs, server)

    # Made before anything is changed that it puts back.
    renew = Renewal(settings, read, pools_of, logs) if read is not None else None
    enter(settings.build(ImportOptions))
    pools = pools_of(settings)
    name = settings["arbiter"] or ("prefork" if all(pool.workers for pool in pools) else "inline")
    arbiter_class: Any = plugins.load(plugins.ARBITERS, name, Arbiter, None)
    attached = [*attachments, *_control(settings, logs), *(_service_manager() if signals else ())]
    arbiter: Arbiter = arbiter_class(
        pools, settings.build(ArbiterOptions), logs, signals=signals, renew=renew, attachments=attached
    )
    return arbiter


def _service_manager() -> Sequence[Attachment]:
    """Return what keeps systemd informed, if it has started this process and wants to be."""
    if "NOTIFY_SOCKET" not in os.environ:
        return ()
    from workerkit.process.systemd import Notifier  # noqa: PLC0415  only services of the type notify pay for it

    notifier = Notifier.take(os.environ)
    return () if notifier is None else (notifier,)


def _control(settings: Settings, logs: Logs) -> Sequence[Attachment]:
    """Return the control socket, if there is to be one."""
    options = settings.build(ControlOptions)
    if options.control_socket is None:
        return ()
    from workerkit.control.server import ControlServer  # noqa: PLC0415  only those who asked for it pay for it

    # As installed now: what is installed when somebody asks may be another version already.
    version = next((plugin.version for plugin in plugins.available(plugins.ARBITERS, "workerkit")), "")
    return (ControlServer(options, logs.error, version),)


def check(settings: Settings) -> str:
    """Load everything that serving would load and return a line for each pool that says so.

    Raises:
        WorkerkitError: It cannot be served; says why.
    """
    logs = Logs(settings.build(LogOptions))
    enter(settings.build(ImportOptions))
    return "\n".join(
        _check_pool(pool, settings.pools.get(pool.name, settings), logs.error)
        for pool in make_pools(settings, Objects(), logs)
    )


def _check_pool(pool: Pool, settings: Settings, log: logging.Logger) -> str:
    workers = f"{pool.workers} {pool.class_name} worker(s)"
    with errors_name(pool.name):
        pool.worker_class.prepare(pool.class_options)
        protocol = pool.serve() if pool.serve is not None else None
        if pool.tls is not None and protocol is not None:
            from workerkit.net.tls import TlsServer  # noqa: PLC0415  it imports ssl, which others need not

            pool.tls.read()
            TlsServer(pool.tls.options, pool.tls.source.certificates(), protocol, log)
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
    gathered = gather(_plan(objects), overrides=overrides)
    if gathered["daemon"]:
        raise ConfigError("daemon: only the command can go into the background; a program does that for itself")
    return assemble(gathered, objects, signals=signals)


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
