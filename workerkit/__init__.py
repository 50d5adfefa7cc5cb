"""workerkit: pluggable worker classes, protocols and arbiters; a server kit, and a WSGI server built on it.

The public names are loaded when they are first used: importing this package imports neither ``ssl`` nor
``asyncio``, and nothing that a monkey-patching worker class would have to be faster than.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerkit.arbiter.base import Arbiter
    from workerkit.assembly import create_arbiter, run
    from workerkit.errors import (
        ApplicationError,
        AppLoadError,
        BindError,
        BootError,
        BrokenBody,
        ConfigError,
        ControlError,
        DeadlineExceeded,
        Disconnected,
        PluginError,
        ProtocolError,
        RequestOverdue,
        Unreachable,
        UsageError,
        WorkerkitError,
    )
    from workerkit.net.protocol import Connection, Next, Protocol, Service
    from workerkit.net.stream import Stream
    from workerkit.net.upgrade import OnFirstUse, Upgrade
    from workerkit.process.forkable import prevent_refork
    from workerkit.protocols.dialogue import dialogue
    from workerkit.protocols.messages import MessageConnection, MessageProtocol
    from workerkit.workers.base import Order, Worker, WorkerContext
    from workerkit.workers.server import ServerWorker

_HOMES = {
    "Arbiter": "workerkit.arbiter.base",
    "create_arbiter": "workerkit.assembly",
    "run": "workerkit.assembly",
    "AppLoadError": "workerkit.errors",
    "ApplicationError": "workerkit.errors",
    "BindError": "workerkit.errors",
    "BootError": "workerkit.errors",
    "BrokenBody": "workerkit.errors",
    "ConfigError": "workerkit.errors",
    "ControlError": "workerkit.errors",
    "DeadlineExceeded": "workerkit.errors",
    "Disconnected": "workerkit.errors",
    "PluginError": "workerkit.errors",
    "ProtocolError": "workerkit.errors",
    "RequestOverdue": "workerkit.errors",
    "Unreachable": "workerkit.errors",
    "UsageError": "workerkit.errors",
    "WorkerkitError": "workerkit.errors",
    "Connection": "workerkit.net.protocol",
    "Next": "workerkit.net.protocol",
    "Protocol": "workerkit.net.protocol",
    "Service": "workerkit.net.protocol",
    "Stream": "workerkit.net.stream",
    "OnFirstUse": "workerkit.net.upgrade",
    "Upgrade": "workerkit.net.upgrade",
    "prevent_refork": "workerkit.process.forkable",
    "dialogue": "workerkit.protocols.dialogue",
    "MessageConnection": "workerkit.protocols.messages",
    "MessageProtocol": "workerkit.protocols.messages",
    "Order": "workerkit.workers.base",
    "Worker": "workerkit.workers.base",
    "WorkerContext": "workerkit.workers.base",
    "ServerWorker": "workerkit.workers.server",
}

__all__ = [
    "AppLoadError",
    "ApplicationError",
    "Arbiter",
    "BindError",
    "BootError",
    "BrokenBody",
    "ConfigError",
    "Connection",
    "ControlError",
    "DeadlineExceeded",
    "Disconnected",
    "MessageConnection",
    "MessageProtocol",
    "Next",
    "OnFirstUse",
    "Order",
    "PluginError",
    "Protocol",
    "ProtocolError",
    "RequestOverdue",
    "ServerWorker",
    "Service",
    "Stream",
    "Unreachable",
    "Upgrade",
    "UsageError",
    "Worker",
    "WorkerContext",
    "WorkerkitError",
    "create_arbiter",
    "dialogue",
    "prevent_refork",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415  loaded with the first name that is used

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
