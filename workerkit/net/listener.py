"""Listening sockets: made and owned by the arbiter, inherited by the workers.

A worker accepts from them and never closes them for others: the arbiter's copy keeps the queue of waiting
connections alive over every reload and crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workerkit.errors import BindError, ConfigError
from workerkit.net.address import Address, InheritedAddress, TCPAddress, UnixAddress, address_of, parse_address

# Taken unpatched: gevent and eventlet replace it, and workers accept after that.
_Socket = socket.socket


def _bind_from_port(port: str) -> tuple[str, ...]:
    return (f"0.0.0.0:{port}",)


def _parse_mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError("must be an octal mode, such as 117") from None


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """Listening."""

    bind: tuple[str, ...] = field(
        default=("127.0.0.1:8000",),
        metadata={
            "flags": ("-b",),
            "metavar": "ADDRESS",
            "variables": ("PORT",),
            "variable_parse": {"PORT": _bind_from_port},
            "help": "Where to listen: host:port, [::1]:port, unix:path or fd://N. May be given several times. "
            "Port 0 takes a free port and logs it.",
        },
    )
    backlog: int = field(
        default=2048,
        metadata={"metavar": "N", "help": "Connections that may wait to be accepted, per address."},
    )
    socket_umask: int = field(
        default=0o111,
        metadata={
            "metavar": "MODE",
            "parse": _parse_mode,
            "format": "{:o}".format,
            "help": "Permissions (octal) that a Unix socket does without.",
        },
    )
    reuse_port: bool = field(
        default=False,
        metadata={
            "help": "Give each worker a TCP listener of its own (SO_REUSEPORT), among which the kernel divides new "
            "connections: no worker is woken for another's. One that is held up keeps its share waiting.",
        },
    )


class Listener(NamedTuple):
    """A listening socket and the address that it really has."""

    socket: socket.socket
    address: TCPAddress | UnixAddress
    file: tuple[int, int] | None = None
    """Device and inode of the Unix socket's file that was made for it; None: it has no file of ours."""
    scheme: str = "http"
    share: int | None = None
    """With ``reuse_port``, which of the address's listeners it is; None: it is the only one."""

    def fileno(self) -> int:
        """Return the descriptor, to poll."""
        return self.socket.fileno()

    @property
    def url(self) -> str:
        """What a person would type to reach it."""
        return f"{self.scheme}://{self.address}" if isinstance(self.address, TCPAddress) else str(self.address)

    def accept(self) -> tuple[_Socket, Any]:
        """Return a connection that waits, as a plain and not blocking socket, and its peer's address.

        Raises:
            OSError: as accept(2); BlockingIOError when nobody waits.
        """
        # The documented accept() makes its socket of whatever class stands in the socket module now.
        fd, peer = self.socket._accept()  # type: ignore[attr-defined]  # socket.py is made of it
        accepted = _Socket(self.socket.family, self.socket.type, self.socket.proto, fd)
        accepted.setblocking(False)
        return accepted, peer

    def close(self) -> None:
        """Close the arbiter's copy; remove a Unix socket's file if it is still ours."""
        self.socket.close()
        path = self.address.path if isinstance(self.address, UnixAddress) else ""
        if self.file is not None and _identity(path) == self.file:
            os.unlink(path)


def open_listeners(options: ListenerOptions, scheme: str = "http", shares: int = 1) -> tuple[Listener, ...]:
    """Bind and listen on every address; in the arbiter's process, before the first fork.

    Args:
        options: Where.
        scheme: How their URLs begin.
        shares: With ``reuse_port``, how many listeners a TCP address gets.

    Raises:
        ConfigError: An address cannot be understood.
        BindError: One cannot be had; those opened before are closed again.
    """
    opened: list[Listener] = []
    try:
        for address in map(parse_address, options.bind):
            shared = options.reuse_port and isinstance(address, TCPAddress)
            first = _open(address, options, scheme, 0 if shared else None)
            opened.append(first)
            # Port 0 is known from the first one on.
            for share in range(1, shares if shared else 1):
                opened.append(_open(first.address, options, scheme, share))  # noqa: PERF401  what is open must be known when the next one fails
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return tuple(opened)


def _open(address: Address, options: ListenerOptions, scheme: str, share: int | None) -> Listener:
    if isinstance(address, InheritedAddress):
        listening = _inherit(address)
    elif isinstance(address, UnixAddress):
        listening = _bind_unix(address, options.socket_umask)
    else:
        listening = _bind_tcp(address, reuse_port=share is not None)
    listening.setblocking(False)
    if listening.family != socket.AF_UNIX:
        # Accepted sockets inherit it (Linux, tcp(7)), which saves a system call for each connection.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not isinstance(address, InheritedAddress):
        listening.listen(options.backlog)
    listening.set_inheritable(False)
    file = _identity(address.path) if isinstance(address, UnixAddress) and not address.is_abstract else None
    return Listener(listening, address_of(listening), file, scheme, share)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _inherit(address: InheritedAddress) -> socket.socket:
    try:
        given = socket.socket(fileno=address.fd)
    except OSError as error:
        raise BindError(f"{address} is no listening socket ({os.strerror(error.errno or 0)}); "
                        "it must be inherited from whoever starts workerkit") from error  # fmt: skip
    # A copy is ours to close; the descriptor itself belongs to whoever gave it to us.
    inherited = given.dup()
    given.detach()
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        inherited.close()
        raise BindError(f"{address} is a socket, but it does not listen; start it with listen() called")
    return inherited


def _bind_tcp(address: TCPAddress, *, reuse_port: bool) -> socket.socket:
    # For text, Python imports the codec of international names, which costs a start 1.5 ms.
    host = address.host.encode() if address.host.isascii() else address.host
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else error
        raise BindError(f"cannot listen on {address}: the host is not known ({why})") from error
    tcp = socket.socket(family, kind, protocol)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
        tcp.bind(name)
    except OSError as error:
        tcp.close()
        raise _bind_error(address, error) from error
    return tcp


def _bind_unix(address: UnixAddress, mask: int) -> socket.socket:
    _remove_stale(address)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(mask)
    try:
        unix.bind(address.name)
    except OSError as error:
        unix.close()
        raise _bind_error(address, error) from error
    finally:
        os.umask(before)
    return unix


def _remove_stale(address: UnixAddress) -> None:
    """Remove the socket that a server left behind when it was killed; refuse to touch anything else."""
    if address.is_abstract:
        return
    try:
        mode = os.stat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"cannot listen on {address}: {address.path} exists and is not a socket; remove it first")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)
            return
        except OSError as error:
            # Its queue is full, or we may not connect to it: somebody is there all the same.
            raise BindError(
                f"{address} is in use ({error.strerror}); stop that server or choose another path"
            ) from error
    raise BindError(f"{address} is in use: a server answers there; stop it or choose another path")


_ADVICE = {
    errno.EACCES: "not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE, choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENOENT: "its folder does not exist",
}


def _bind_error(address: TCPAddress | UnixAddress, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(address.port) if isinstance(address, TCPAddress) else None
        return BindError(f"{address} is in use{f' by {holder}' if holder else ''}; "
                         "stop that process or choose another address with --bind")  # fmt: skip
    advice = _ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
    return BindError(f"cannot listen on {address}: {advice}")


def _holder(port: int) -> str | None:
    """Name the process that listens on a TCP port, where /proc tells (Linux, and we may look)."""
    inodes = set(_listening_inodes(port))
    for pid in _pids() if inodes else ():
        if not inodes.isdisjoint(_descriptors(pid)):
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
                return f"pid {pid} ({comm.read().strip()})"
    return None


def _descriptors(pid: str) -> Iterator[str]:
    """Tell what a process has open; it may close some, or end, or be none of our business, while we look."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for fd in os.listdir(folder):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{folder}/{fd}")


def _pids() -> list[str]:
    return sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int)


def _listening_inodes(port: int) -> list[str]:
    """Read the sockets that listen on a port from the kernel's tables (proc_net_tcp: local address, state, inode)."""
    found: list[str] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines]
        except OSError:
            continue
        found += [
            f"socket:[{row[9]}]" for row in rows[1:] if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port
        ]
    return found
