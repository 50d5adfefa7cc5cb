"""The gevent worker."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

from workerkit.net.upgrade import Upgrade
from workerkit.workers.gevent_websocket import websocket_environ
from workerkit.workers.greenlets import GreenletOptions, GreenletWorker
from workerkit.workers.hub import Callback, Hub

# What libev calls reading.
_EV_READ = 1


@dataclass(frozen=True, eq=False, repr=False)
class GeventOptions(GreenletOptions):
    """The gevent worker."""


class GeventWorker(GreenletWorker):
    """A greenlet for each request, on gevent."""

    Options: ClassVar[type] = GeventOptions
    requires = ("gevent",)

    @classmethod
    def monkey_patch(cls, options: Any) -> None:  # noqa: ARG003  there is one way
        """Patch all that gevent can patch."""
        from gevent import monkey  # noqa: PLC0415  a worker's module imports without its library

        with warnings.catch_warnings():
            # What came too early is told once, by the caller, with names.
            warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
            monkey.patch_all()

    @classmethod
    def upgrade_environ(cls, environ: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:
        """Add ``wsgi.websocket`` where gevent-websocket is installed; see ``Worker.upgrade_environ``."""
        return super().upgrade_environ(environ, upgrade) | websocket_environ(environ, upgrade)

    def open_hub(self) -> Hub:
        """Return gevent's hub, with a poller of this process."""
        import gevent  # noqa: PLC0415  a worker's module imports without its library

        gevent.reinit()
        return _GeventHub(gevent.get_hub())


class _GeventHub(Hub):
    """Watchers and callbacks of a gevent loop."""

    def __init__(self, hub: Any) -> None:
        super().__init__(hub, hub.switch)
        self._loop = hub.loop

    def watch(self, fd: int, ready: Callback) -> Any:
        watcher = self._loop.io(fd, _EV_READ)
        watcher.start(ready, fd)
        return watcher

    def unwatch(self, watch: Any) -> None:
        watch.stop()
        watch.close()

    def later(self, seconds: float, callback: Callback, *arguments: object) -> Any:
        timer = self._loop.timer(seconds)
        timer.start(callback, *arguments)
        return timer

    def cancel(self, timer: Any) -> None:
        timer.stop()
        timer.close()
