"""What an arbiter is started with by another one, whose place it takes, or by systemd.

It stands in the variable ``WORKERKIT_FDS``, as JSON; the variable is removed when it has been read.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import MutableMapping
from itertools import chain
from typing import Any

from workerkit.net.inherited import InheritedSocket, InheritedSockets, take_passed

VARIABLE = "WORKERKIT_FDS"


class Inheritance:
    """What an arbiter was started with by another one, or by systemd; mostly nothing."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        facts: dict[str, Any] = json.loads(environ.pop(VARIABLE, "{}"))
        if facts.get("pid") != os.getpid():
            # Somebody in between has passed the variable on; the descriptors are not ours.
            facts = {}
        self.predecessor: int | None = facts.get("predecessor")
        """The arbiter whose place we take."""
        self._report: int | None = facts.get("report")
        self._more: dict[str, list[int]] = facts.get("more", {})
        handed = [_socket(*listener) for listener in facts.get("listeners", [])]
        self.sockets = InheritedSockets(handed, take_passed(environ))
        own = () if self._report is None else (self._report,)
        for fd in chain(own, *self._more.values()):
            os.set_inheritable(fd, False)

    def take(self, name: str) -> list[int]:
        """Return the descriptors that were handed over by this name; they are the caller's from now on."""
        return self._more.pop(name, [])

    def close_rest(self) -> None:
        """Close what nobody has taken, before the first worker is forked with it."""
        self.sockets.close_unclaimed()
        for fd in chain(*self._more.values()):
            os.close(fd)
        self._more = {}

    def enter(self) -> None:
        """Tell the predecessor that it may leave: we serve."""
        if self._report is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
                os.write(self._report, b"ready")
            self.forget()
        self.sockets.keep()

    def forget(self) -> None:
        """Close the line to the predecessor and nothing else."""
        if self._report is not None:
            os.close(self._report)
            self._report = None


def _socket(pool: str, bind: str, fd: int, device: int | None, inode: int | None) -> InheritedSocket:
    file = None if device is None or inode is None else (device, inode)
    inherited = socket.socket(fileno=fd)
    inherited.set_inheritable(False)
    return InheritedSocket(pool, bind, inherited, file)
