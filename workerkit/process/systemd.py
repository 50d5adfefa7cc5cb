"""What systemd is told (sd_notify(3)): ready, reloading, stopping, how it goes, and that the loop still turns.

systemd gives the name of a socket in NOTIFY_SOCKET; each message is one datagram of ``NAME=value`` lines. Telling
never blocks and never raises: a service manager that does not listen is no reason not to serve.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping

from workerkit.process.attachment import Attachment, Supervised
from workerkit.process.loop import EventLoop

_STATUS_EVERY = 10.0


class Notifier(Attachment):
    """Keeps systemd informed, from the arbiter's loop.

    Args:
        address: NOTIFY_SOCKET: a path, or an abstract name when it begins with ``@``.
        watchdog: Seconds after which systemd takes a silent service for hung; 0.0: it does not watch.
    """

    title = "what systemd is told (Type=notify)"

    def __init__(self, address: str, watchdog: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._told = ""
        self._left = False
        self._prefix = ""

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notifier | None:
        """Return what the variables ask for, and remove them: workers have no business with it.

        None: nobody wants to be told. For assembly.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        if not address.startswith(("/", "@")):
            return None
        is_watched = microseconds.isdecimal() and watched == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if is_watched else 0.0)

    def attach(self, server: Supervised, loop: EventLoop) -> None:
        """Begin to look at the server."""
        self._server = server
        self._loop = loop
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._look()
        if self._watchdog:
            self._pat()

    def forget(self) -> None:
        """Close the socket: a worker has nothing to tell."""
        self._socket.close()

    def detach(self) -> None:
        """Say no more."""
        self._left = True
        self._socket.close()

    def on_ready(self) -> None:
        """Let the units that come after this one start."""
        self._tell("READY=1", self._status())

    def on_reloading(self) -> None:
        """Have ``systemctl reload`` wait (``Type=notify-reload``)."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self._loop.clock() * 1e6:.0f}", "STATUS=Reloading")

    def on_reloaded(self, error: str | None) -> None:
        """Let ``systemctl reload`` return; the status tells why there is no new code."""
        self._prefix = f"Reload given up: {error}. " if error else ""
        self._tell("READY=1", self._status())

    def on_stopping(self) -> None:
        """Say that the end is meant."""
        self._prefix = "Stopping. "
        self._tell("STOPPING=1", self._status())

    def on_succeeded(self, pid: int) -> None:
        """Name the process that is the service from now on; it speaks for itself."""
        self._tell(f"MAINPID={pid}")
        self._left = True

    def _look(self) -> None:
        """Tell how it goes, where that has changed."""
        before, now = self._told, self._status()
        if now != before:
            self._tell(now)
        self._again(_STATUS_EVERY, self._look)

    def _pat(self) -> None:
        self._tell("WATCHDOG=1")
        self._again(self._watchdog / 2, self._pat)

    def _again(self, seconds: float, what: Callable[[], object]) -> None:
        if not self._left:
            self._loop.call_at(self._loop.clock() + seconds, what)

    def _status(self) -> str:
        workers = [worker for worker in self._server.status() if worker.state == "ready"]
        requests = sum(worker.requests for worker in workers)
        self._told = f"STATUS={self._prefix}{len(workers)} workers ready, {requests} requests finished by them"
        return self._told

    def _tell(self, *lines: str) -> None:
        if not self._left:
            # A line of ours holds what an error says, which may have several.
            message = "\n".join(line.replace("\n", " ") for line in lines)
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode("utf-8", "backslashreplace"), self._address)
