"""Settings become pools: a worker class, where it listens, and the protocol of what it serves.

Whatever can be known before a process is forked or an address is bound is checked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workerkit import plugins
from workerkit.arbiter.base import Pool
from workerkit.arbiter.table import DEFAULT_POOL
from workerkit.assembly.configuration import Configuration
from workerkit.assembly.objects import Objects, worker_class
from workerkit.assembly.options import ApplicationOptions
from workerkit.config.settings import Settings
from workerkit.errors import ConfigError, PluginError, UsageError, WorkerkitError
from workerkit.net.listener import ListenerOptions
from workerkit.net.protocol import Protocol, Service
from workerkit.net.tls_options import TlsOptions
from workerkit.process.hooks import HookOptions, Hooks, ServerFacade
from workerkit.process.privileges import PrivilegeOptions, Privileges
from workerkit.protocols.http1 import Http1
from workerkit.protocols.serving import make, protocol_class, protocol_of
from workerkit.telemetry.logs import Logs
from workerkit.workers.base import Worker, WorkerOptions
from workerkit.wsgi.loader import load_application

if TYPE_CHECKING:
    from workerkit.net.certificates import PoolCertificates

_JOBS = {
    "call": "calls (requests, one answer each)",
    "dialogue": "dialogues (plain functions over a stream)",
    "coroutine": "coroutines",
}


def make_pools(
    settings: Settings, objects: Objects, logs: Logs, server: ServerFacade | None = None
) -> list[Pool]:
    """Return the pools that the settings ask for; of several, an error names the one that it is about.

    ``server`` is what hooks see of the arbiter, the same over reloads.

    Raises:
        WorkerkitError: A setting or a plugin cannot be used.
    """
    hooks = Hooks(settings.build(HookOptions), Configuration(settings), server or ServerFacade(logs.error))
    if not settings.pools:
        return [_pool(DEFAULT_POOL, settings, objects, logs, hooks)]
    pools = []
    for name, own in settings.pools.items():
        with errors_name(name):
            pools.append(_one_of_several(name, own, objects, logs, hooks))
    _refuse_shared_addresses(pools)
    return pools


@contextmanager
def errors_name(pool: str) -> Iterator[None]:
    """Have an error say in which pool it is, where there are several."""
    try:
        yield
    except WorkerkitError as error:
        if pool != DEFAULT_POOL:
            error.args = (f"pool {pool}: {error}",)
        raise


def _one_of_several(name: str, settings: Settings, objects: Objects, logs: Logs, hooks: Hooks) -> Pool:
    if not settings["workers"]:
        raise ConfigError("workers is 0, which means to serve in this very process; only a single pool can")
    return _pool(name, settings, objects, logs, hooks)


def _refuse_shared_addresses(pools: Iterable[Pool]) -> None:
    taken: dict[str, str] = {}
    for pool in pools:
        for address in pool.listen.bind if pool.listen else ():
            other = taken.setdefault(address, pool.name)
            if other != pool.name and not address.endswith(":0"):
                raise ConfigError(f"the pools {other} and {pool.name} both listen at {address}; give each its own bind")


def _pool(name: str, settings: Settings, objects: Objects, logs: Logs, hooks: Hooks) -> Pool:
    class_name, chosen = _chosen_class(settings, objects, logs)
    served = _Served(settings, objects, class_name, chosen, logs, hooks) if chosen.jobs else None
    privileges = Privileges.of(settings.build(PrivilegeOptions))
    tls = settings.build(TlsOptions).checked() if served else None
    if settings["refork_after"] and not settings["preload_app"]:
        raise ConfigError("refork_after is for workers that share an application, so it takes preload_app (--preload)")
    return Pool(
        name=name,
        worker_class=chosen,
        worker_options=settings.build(WorkerOptions),
        class_options=settings.build(chosen.Options),
        workers=int(settings["workers"]),
        most_workers=getattr(settings["workers"], "most", None),
        # A class that runs no jobs, such as a queue consumer, serves nothing and needs no socket.
        listen=_listening(settings, privileges) if served else None,
        serve=served,
        lifespan=objects.lifespan(name),
        preload=settings["preload_app"] and settings["workers"] > 0,
        scheme=served.scheme(tls=tls is not None) if served else "",
        class_name=class_name,
        hooks=hooks,
        privileges=privileges,
        title=settings["proc_name"] or settings["wsgi_app"] or class_name,
        tls=_certificates(tls) if tls is not None else None,
    )


def _certificates(options: TlsOptions) -> PoolCertificates:
    from workerkit.net.certificates import PoolCertificates  # noqa: PLC0415  who serves without TLS has none

    return PoolCertificates(options)


def _listening(settings: Settings, privileges: Privileges) -> ListenerOptions:
    options = settings.build(ListenerOptions)
    return dataclasses.replace(options, socket_umask=options.socket_umask | privileges.umask)


def _chosen_class(settings: Settings, objects: Objects, logs: Logs) -> tuple[str, type[Worker]]:
    """Return the name of the worker class and the class, or of the one that it leaves the work to."""
    name = settings["worker_class"]
    chosen = objects.worker_class(name)
    instead = chosen.stand_in(settings.build(chosen.Options))
    if instead is None:
        return name, chosen
    logs.error.info("The %s worker class is used instead of %s, as its settings ask for", instead, name)
    return instead, worker_class(instead)


class _Served:
    """The protocol factory that a pool is handed: loads once in a process, in the mold or in the worker."""

    def __init__(
        self,
        settings: Settings,
        objects: Objects,
        class_name: str,
        chosen: type[Worker],
        logs: Logs,
        hooks: Hooks,
    ) -> None:
        self._settings = settings
        self._hooks = hooks
        self._options = settings.build(ApplicationOptions)
        self._class_name = class_name
        self._worker_class = chosen
        self._logs = logs
        self._object = objects.get(self._options.wsgi_app)
        self._loaded: Protocol | None = None
        self._protocol = self._known_protocol()
        if self._protocol is not None:
            self._check_jobs(self._protocol)

    def scheme(self, *, tls: bool) -> str:
        """Return how the addresses begin, as far as is known before what is served has been loaded."""
        protocol = self._protocol or Http1
        return protocol.tls_scheme if tls else protocol.scheme

    def __call__(self) -> Protocol:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _known_protocol(self) -> type[Protocol] | None:
        """Return the protocol as far as it is known before what is served has been loaded."""
        if self._options.protocol is not None:
            return protocol_class(self._options.protocol)
        if self._object is not None:
            return protocol_of(self._object, str(self._options.wsgi_app))
        if self._options.wsgi_app is None:
            raise UsageError("nothing to serve: name an application, as in `workerkit MODULE:APP`")
        return None

    def _check_jobs(self, protocol: type[Protocol] | Protocol) -> None:
        if protocol.job not in self._worker_class.jobs:
            kind = _JOBS.get(protocol.job, f"jobs of the kind {protocol.job!r}")
            what = self._options.wsgi_app or _name_of(protocol)
            raise ConfigError(
                f"the {self._class_name} worker cannot run {kind}, such as {what}; "
                f"{_classes_that_fit(protocol.job)}"
            )

    def _load(self) -> Protocol:
        options = self._options
        served = self._object
        if served is None and options.wsgi_app is not None:
            served = load_application(options.wsgi_app, options.factory, _no_complaint)
        name = options.wsgi_app or "nothing"
        protocol = make(self._protocol or protocol_of(served, name), self._service(served, name))
        self._check_jobs(protocol)
        return protocol

    def _service(self, served: object, name: str) -> Service:
        settings = self._settings
        return Service(
            served=served,
            name=name,
            worker_class=self._class_name,
            workers=getattr(settings["workers"], "most", settings["workers"]),
            multithread=self._worker_class.multithread,
            options=settings.build,
            log=self._logs.error,
            access=self._logs.access,
            upgrade_environ=self._worker_class.upgrade_environ,
            tls=bool(settings["certfile"]),
            hooks=self._hooks if self._hooks.on_requests else None,
            autoscaled=hasattr(settings["workers"], "most"),
        )


def _no_complaint(_found: Callable[..., object], _place: str) -> None:
    """Leave it to the protocol to judge what it is given."""


def _name_of(protocol: type[Protocol] | Protocol) -> str:
    return protocol.__name__ if isinstance(protocol, type) else type(protocol).__name__


def _classes_that_fit(job: str) -> str:
    """Say which of the installed worker classes can run such jobs."""
    names: dict[type[Worker], str] = {}
    for plugin in plugins.available(plugins.WORKERS):
        try:
            found = worker_class(plugin.name)
        except PluginError:
            # A broken or ambiguous one cannot be recommended.
            continue
        # Of several names for one class, its own.
        if job in found.jobs and (found not in names or found.__name__.lower().startswith(plugin.name)):
            names[found] = plugin.name
    *others, last = sorted(names.values()) or ["one that does; none is installed"]
    return f"choose --worker-class {', '.join(others)}{' or ' if others else ''}{last}"
