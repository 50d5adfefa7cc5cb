"""Listening sockets that this process was started with: by the arbiter whose place it takes, or by systemd.

What is taken over keeps its queue: nobody who waits there to be accepted notices.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import NamedTuple

from workerkit.errors import BindError
from workerkit.net.address import TCPAddress, UnixAddress, address_of
from workerkit.net.binding import FileId, file_id, resolve
from workerkit.records import Record

_FIRST_PASSED = 3  # SD_LISTEN_FDS_START


class Passed(NamedTuple):
    """A socket of systemd's; the descriptor is not ours to close."""

    name: str
    fd: int


class InheritedSocket(Record):
    """A socket that another arbiter serves too."""

    pool: str
    """Whose it is there."""
    bind: str
    """The address as it was asked for there."""
    socket: socket.socket
    file: FileId | None = None
    """Which file a Unix socket has, if it was made for it."""


class InheritedSockets:
    """What there is, and what of it nobody has claimed yet."""

    def __init__(self, handed: Iterable[InheritedSocket] = (), passed: Iterable[Passed] = ()) -> None:
        self._unclaimed = list(handed)
        self._passed = tuple(passed)
        self._served: set[int] = set()
        self._left_files: list[tuple[str, FileId]] = []
        self.shared_files = frozenset(taken.file for taken in self._unclaimed if taken.file is not None)
        """The files of Unix sockets that another arbiter serves too."""

    @property
    def has_passed(self) -> bool:
        """Whether systemd has passed any."""
        return bool(self._passed)

    @property
    def passed_fds(self) -> list[int]:
        """The descriptors that systemd has passed."""
        return [passed.fd for passed in self._passed]

    @property
    def unserved(self) -> str:
        """Those that systemd has passed and nobody has asked for, in words."""
        left = [passed for passed in self._passed if passed.fd not in self._served]
        return ", ".join(f"{passed.name} (fd://{passed.fd})" for passed in left)

    def serve(self, fds: Iterable[int]) -> None:
        """Take note that somebody listens at these descriptors."""
        self._served.update(fds)

    def passed(self, name: str = "") -> list[int]:
        """Return the descriptors of systemd's by their name (``FileDescriptorName=``); all of them without one.

        Raises:
            BindError: There is none.
        """
        found = [passed.fd for passed in self._passed if name in ("", passed.name)]
        if not found and not self._passed:
            raise BindError(f"systemd:{name}: no socket was passed to this process; start it by a socket unit")
        if not found:
            names = ", ".join(dict.fromkeys(passed.name for passed in self._passed))
            raise BindError(f"systemd:{name}: no socket of that name was passed to this process, but {names}")
        return found

    def claim(self, pool: str, address: TCPAddress | UnixAddress) -> list[InheritedSocket]:
        """Return the sockets that listen at an address already; they are the caller's from now on.

        Raises:
            BindError: A host name is not known.
        """
        found = [taken for taken in self._unclaimed if _is_at(taken, pool, address)]
        self._unclaimed = [taken for taken in self._unclaimed if taken not in found]
        return found

    def close_unclaimed(self) -> None:
        """Close those at addresses that are served no more, before the first worker is forked with them."""
        for taken in self._unclaimed:
            if taken.file is not None:
                self._left_files.append((str(taken.socket.getsockname()), taken.file))
            taken.socket.close()
        self._unclaimed = []

    def keep(self) -> None:
        """Be the only one to serve what was inherited: its files are ours now, and left ones are removed."""
        for path, file in self._left_files:
            if file_id(path) == file:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        self._left_files = []
        self.shared_files = frozenset()


def _is_at(taken: InheritedSocket, pool: str, address: TCPAddress | UnixAddress) -> bool:
    real = address_of(taken.socket)
    if isinstance(address, UnixAddress):
        if address.is_abstract:
            return real == address
        # The name alone proves nothing: it may be relative to another folder, or another's by now.
        return taken.file is not None and file_id(address.path) == taken.file
    if not isinstance(real, TCPAddress):
        return False
    if (taken.pool, taken.bind) == (pool, str(address)):
        return True
    return address.port == real.port and resolve(address)[1][:2] == real


def duplicate(fd: int, name: str) -> socket.socket:
    """Return a copy of a listening socket that is ours to close; the descriptor belongs to whoever gave it to us.

    Raises:
        BindError: It is none.
    """
    try:
        given = socket.socket(fileno=fd)
    except OSError as error:
        raise BindError(f"{name} is no listening socket ({os.strerror(error.errno or 0)}); "
                        "it must be inherited from whoever starts workerkit") from error  # fmt: skip
    inherited = given.dup()
    given.detach()
    if inherited.type != socket.SOCK_STREAM or not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        inherited.close()
        raise BindError(f"{name} is a socket, but it does not listen; start it with listen() called")
    return inherited


def take_passed(environ: MutableMapping[str, str]) -> list[Passed]:
    """Return the sockets that systemd has passed to this very process (sd_listen_fds(3)), and remove its variables.

    What workers and the application start gets neither the sockets nor a word of them.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    number = environ.pop("LISTEN_FDS", "0")
    del environ["LISTEN_PID"]
    found = []
    for index in range(int(number) if number.isdecimal() else 0):
        fd = _FIRST_PASSED + index
        with contextlib.suppress(OSError):  # whoever names it is told that it is no socket
            os.set_inheritable(fd, False)
        found.append(Passed(names[index] if index < len(names) and names[index] else "unknown", fd))
    return found
