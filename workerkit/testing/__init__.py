"""For tests of applications, servers and plugins; the conformance kit of worker classes is among them.

The names are loaded when they are first used: pytest imports this package wherever it is installed, for the sake of
``workerkit.testing.plugin``, and a project that does not use it shall not notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerkit.testing.contract import WorkerContract
    from workerkit.testing.served import RunningServer, ServerFailed, running

_HOMES = {
    "RunningServer": "workerkit.testing.served",
    "ServerFailed": "workerkit.testing.served",
    "WorkerContract": "workerkit.testing.contract",
    "running": "workerkit.testing.served",
}

__all__ = ["RunningServer", "ServerFailed", "WorkerContract", "running"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415  loaded with the first name that is used

    module = importlib.import_module(_HOMES[name])
    value = globals()[name] = getattr(module, name)
    return value
