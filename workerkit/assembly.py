"""Settings, plugins, listeners and a protocol become an arbiter: the one module that knows all layers.

Nothing is decided here that a layer could decide for itself; here they are introduced to each other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workerkit import plugins
from workerkit.arbiter.base import Arbiter, ArbiterOptions, Pool
from workerkit.arbiter.table import DEFAULT_POOL
from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.errors import ConfigError, UsageError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.net.listener import ListenerOptions
from workerkit.net.protocol import Protocol
from workerkit.protocols.http1 import Http1, HttpOptions
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.workers.base import API_VERSION, Lifespan, Worker, WorkerOptions
from workerkit.wsgi.gateway import Application, WsgiFacts, WsgiGateway
from workerkit.wsgi.loader import load_application

_WORKERS = "must be auto, or a number from 0 to 512"


def _parse_workers(text: str) -> int:
    if text.strip().lower() == "auto":
        from workerkit.process.cpus import usable_cpus  # noqa: PLC0415  it needs pathlib, which is slow to import

        return usable_cpus()
    if not text.strip().isdecimal():
        raise ValueError(f"{_WORKERS}, not {text!r}")
    return int(text)


def _check_workers(value: int) -> None:
    if not 0 <= value <= 512:  # half of the scoreboard's rows: a reload overlaps
        raise ValueError(_WORKERS)


@dataclass(frozen=True, slots=True)
class ApplicationOptions:
    """The application."""

    wsgi_app: str | None = field(
        default=None,
        metadata={
            "positional": True,
            "metavar": "MODULE:APP",
            "help": "What to serve: MODULE:VAR, MODULE (its application, or app), or MODULE:factory('a', k=1).",
        },
    )
    factory: bool = field(
        default=False, metadata={"help": "Call what MODULE:APP names; it returns the application."}
    )
    chdir: str | None = field(
        default=None, metadata={"metavar": "FOLDER", "help": "Change to this folder before the application is loaded."}
    )
    pythonpath: str | None = field(
        default=None,
        metadata={"metavar": "FOLDERS", "help": "Folders to look for modules in first, separated by commas."},
    )
    preload_app: bool = field(
        default=False,
        metadata={
            "flags": ("--preload",),
            "help": "Load the application once, in a process that workers are forked from: they share its memory.",
        },
    )


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Workers."""

    workers: int = field(
        default=1,
        metadata={
            "flags": ("-w",),
            "metavar": "N",
            "variables": ("WEB_CONCURRENCY",),
            "parse": _parse_workers,
            "check": _check_workers,
            "help": "How many worker processes; auto: one for each usable processor; 0: serve in this very process.",
        },
    )
    worker_class: str = field(
        default="sync",
        metadata={
            "flags": ("-k",),
            "metavar": "NAME",
            "help": "How a worker runs requests: a name that `workerkit workers` lists, or MODULE:CLASS.",
        },
    )
    arbiter: str | None = field(
        default=None,
        metadata={
            "metavar": "NAME",
            "help": "What keeps the workers, as `workerkit arbiters` lists; otherwise prefork, or inline for -w 0.",
        },
    )


CORE_OPTIONS: tuple[type, ...] = (
    ApplicationOptions,
    PoolOptions,
    ListenerOptions,
    WorkerOptions,
    ArbiterOptions,
    LogOptions,
    HttpOptions,
    HttpLimits,
    ForwardedOptions,
)


def worker_class(name: str) -> type[Worker]:
    """Return the worker class that a name, ``dist#name`` or ``module:Class`` stands for.

    Raises:
        PluginError: There is none, or it does not keep the contract.
    """
    return plugins.load(plugins.WORKERS, name, Worker, API_VERSION)


def assemble(
    settings: Settings,
    served: object = None,
    *,
    lifespan: Lifespan | None = None,
    signals: bool = True,
) -> Arbiter:
    """Return an arbiter that is ready to run.

    Args:
        settings: All of them.
        served: What to serve, when it is at hand: a WSGI application or a Protocol. None: the settings name it.
        lifespan: Returns a context manager that each worker enters when it has booted and leaves at its end.
        signals: Whether the arbiter takes the process's signals.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    logs = Logs(settings.build(LogOptions))
    pool = _pool(settings, served, lifespan, logs)
    name = settings["arbiter"] or ("prefork" if pool.workers else "inline")
    arbiter_class: Any = plugins.load(plugins.ARBITERS, name, Arbiter, None)
    arbiter: Arbiter = arbiter_class([pool], settings.build(ArbiterOptions), logs, signals=signals)
    return arbiter


def check(settings: Settings) -> str:
    """Load everything that serving would load and return a line that says so.

    Raises:
        WorkerkitError: It cannot be served; says why.
    """
    logs = Logs(settings.build(LogOptions))
    pool = _pool(settings, None, None, logs)
    pool.worker_class.prepare(pool.class_options)
    assert pool.serve is not None  # noqa: S101  _pool refuses to serve nothing
    pool.serve()
    return f"OK: {settings['wsgi_app']} can be served by {pool.workers} {settings['worker_class']} worker(s)"


def create_arbiter(
    served: object = None, /, *, lifespan: Lifespan | None = None, signals: bool = False, **settings: object
) -> Arbiter:
    """Return an arbiter to embed. It reads no command line, no variable and no configuration file.

    Args:
        served: A WSGI application, its reference (``"module:app"``), or a Protocol.
        lifespan: Returns a context manager that each worker enters once booted: for connections and pools.
        signals: Let the arbiter take this process's signals (TERM, INT, HUP ...); in the main thread only.
        **settings: Any setting by its name, as in a configuration file.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    if isinstance(served, str):
        settings["wsgi_app"], served = served, None
    core = Schema.of(*CORE_OPTIONS)
    name = str(Settings.peek("worker_class", core, overrides=settings))
    schema = core.extend(worker_class(name).Options, section=section_of(name))
    return assemble(Settings.gather(schema, overrides=settings), served, lifespan=lifespan, signals=signals)


def run(
    served: object = None, /, *, lifespan: Lifespan | None = None, signals: bool = False, **settings: object
) -> int:
    """Serve until stopped and return the exit code; arguments and errors as for ``create_arbiter``.

    Raises:
        BootError: The application cannot be loaded; ``frames`` are the user's own stack frames.
    """
    return create_arbiter(served, lifespan=lifespan, signals=signals, **settings).run()


def section_of(name: str) -> str:
    """Return the name of a plugin's table: ``trio`` for ``workerkit-trio#trio`` and for ``module:trio``."""
    return name.rpartition("#")[2].rpartition(":")[2].rpartition(".")[2]


def _pool(settings: Settings, served: object, lifespan: Lifespan | None, logs: Logs) -> Pool:
    application = settings.build(ApplicationOptions)
    chosen = _chosen_class(settings, logs)
    if served is None and not application.wsgi_app:
        raise UsageError("nothing to serve: name an application, as in `workerkit MODULE:APP`")
    _enter(application)
    return Pool(
        name=DEFAULT_POOL,
        worker_class=chosen,
        worker_options=settings.build(WorkerOptions),
        class_options=settings.build(chosen.Options),
        workers=settings["workers"],
        listen=settings.build(ListenerOptions),
        serve=_Served(settings, served, chosen, logs),
        lifespan=lifespan,
        preload=application.preload_app and settings["workers"] > 0,
    )


def _chosen_class(settings: Settings, logs: Logs) -> type[Worker]:
    """Return the worker class, or the one that it leaves the work to with these settings."""
    name = settings["worker_class"]
    chosen = worker_class(name)
    instead = chosen.stand_in(settings.build(chosen.Options))
    if instead is None:
        return chosen
    logs.error.info("The %s worker class is used instead of %s, as its settings ask for", instead, name)
    return worker_class(instead)


def _enter(application: ApplicationOptions) -> None:
    """Make the application's modules findable, as ``--chdir`` and ``--pythonpath`` say."""
    if application.chdir:
        try:
            os.chdir(application.chdir)
        except OSError as error:
            raise ConfigError(f"cannot change to the folder {application.chdir}: {error.strerror}") from error
        sys.path.insert(0, os.getcwd())
    for folder in reversed((application.pythonpath or "").split(",")):
        if folder:
            sys.path.insert(0, os.path.abspath(folder))


class _Served:
    """The protocol factory that a pool is handed: loads once in a process, in the mold or in the worker."""

    def __init__(self, settings: Settings, served: object, chosen: type[Worker], logs: Logs) -> None:
        self._settings = settings
        self._served = served
        self._chosen = chosen
        self._logs = logs
        self._loaded: Protocol | None = None

    def __call__(self) -> Protocol:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Protocol:
        if isinstance(self._served, Protocol):
            return self._served
        settings = self._settings
        application: Application
        if self._served is None:
            application = load_application(settings["wsgi_app"], settings["factory"])
        else:
            application = _checked(self._served)
        options = settings.build(HttpOptions)
        facts = WsgiFacts(
            multithread=self._chosen.multithread,
            multiprocess=settings["workers"] > 1,
            sendfile=options.sendfile,
            worker_class=settings["worker_class"],
        )
        gateway = WsgiGateway(application, facts, Trust(settings.build(ForwardedOptions)))
        return Http1(gateway, options, settings.build(HttpLimits), self._logs.error, self._logs.access)


def _checked(served: object) -> Callable[..., Any]:
    if not callable(served):
        raise ConfigError(f"cannot serve {served!r}: neither a WSGI application nor a Protocol")
    return served
