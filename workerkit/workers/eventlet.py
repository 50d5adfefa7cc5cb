"""The eventlet worker."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from workerkit.errors import ConfigError
from workerkit.net.upgrade import OnFirstUse, Upgrade
from workerkit.workers.base import WorkerContext
from workerkit.workers.greenlets import GreenletOptions, GreenletWorker
from workerkit.workers.hub import Callback, Hub

_DEPRECATED = (
    "eventlet is maintained for bug fixes only, and its authors advise to leave it; "
    "--eventlet-hub asyncio is a first step, and --worker-class gevent or threaded may be all it takes"
)


@dataclass(frozen=True, eq=False, repr=False)
class EventletOptions(GreenletOptions):
    """The eventlet worker."""

    eventlet_hub: str = field(
        default="",
        metadata={
            "metavar": "NAME",
            "variables": ("EVENTLET_HUB",),
            "help": "What eventlet waits with: epolls, poll, selects, asyncio, or MODULE:CLASS; otherwise the best.",
        },
    )


class EventletWorker(GreenletWorker):
    """A greenlet for each request, on eventlet."""

    Options: ClassVar[type] = EventletOptions
    requires = ("eventlet",)

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self._patched_in = _patched_in

    @classmethod
    def monkey_patch(cls, options: Any) -> None:
        """Patch all that eventlet can patch, and tell in one line what it tells in many."""
        global _patched_in  # noqa: PLW0603  a fact about the process
        if options.eventlet_hub:
            # Eventlet itself and what it calls read it whenever they make a hub.
            os.environ["EVENTLET_HUB"] = options.eventlet_hub
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import eventlet  # noqa: PLC0415  a worker's module imports without its library
        # It has a mold warn at every worker that it forks; the hub of a worker is made after that.
        warnings.filterwarnings("ignore", r"Using fork\(\) is a bad idea", DeprecationWarning)
        logging.getLogger("workerkit.error").warning(_DEPRECATED)
        try:
            with _eventlets_logger_silenced():
                eventlet.monkey_patch()
        except (ModuleNotFoundError, AttributeError) as error:
            if options.eventlet_hub:
                raise ConfigError(f"there is no eventlet hub {options.eventlet_hub!r}: {error}") from error
            raise
        _patched_in = os.getpid()

    @classmethod
    def upgrade_environ(cls, environ: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:
        """Add ``eventlet.input``, where eventlet's own WebSocket looks; see ``Worker.upgrade_environ``."""
        return {**super().upgrade_environ(environ, upgrade), "eventlet.input": _Input(upgrade)}

    def open_hub(self) -> Hub:
        """Return eventlet's hub, a new one where the process was forked since it was patched."""
        from eventlet import hubs  # noqa: PLC0415  a worker's module imports without its library

        if self._patched_in != os.getpid():
            if "asyncio" in sys.modules:
                sys.modules["asyncio"]._set_running_loop(None)
            hubs.use_hub()
        return _EventletHub(hubs.get_hub())


_patched_in = 0
"""The process that was patched: the worker, or its mold."""


@contextlib.contextmanager
def _eventlets_logger_silenced() -> Iterator[None]:
    """Not have it complain of locks in its own copies of modules; what was imported too early, we tell."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


class _Input:
    """As much of the input of eventlet's server as a WebSocket needs."""

    def __init__(self, upgrade: Upgrade) -> None:
        self._upgrade = upgrade

    def get_socket(self) -> OnFirstUse:
        """Return the connection's socket."""
        return self._upgrade.socket


class _EventletHub(Hub):
    """Listeners and timers of an eventlet hub."""

    def __init__(self, hub: Any) -> None:
        super().__init__(hub.greenlet, hub.switch)
        self._hub = hub

    def watch(self, fd: int, ready: Callback) -> Any:
        return self._hub.add(self._hub.READ, fd, ready, _ignore, None)

    def unwatch(self, watch: Any) -> None:
        self._hub.remove(watch)

    def later(self, seconds: float, callback: Callback, *arguments: object) -> Any:
        return self._hub.schedule_call_global(seconds, callback, *arguments)

    def cancel(self, timer: Any) -> None:
        timer.cancel()


def _ignore(_error: BaseException) -> None:
    """Take the news that somebody else closed a descriptor: whoever used it finds out by using it."""
