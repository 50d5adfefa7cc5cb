"""Listening sockets: made and owned by the arbiter, inherited by the workers.

A worker accepts from them and never closes them for others: the arbiter's copy keeps the queue of waiting
connections alive over every reload and crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from workerkit.net.address import (
    InheritedAddress,
    SystemdAddress,
    TCPAddress,
    UnixAddress,
    address_of,
    parse_address,
)
from workerkit.net.binding import FileId, bind_tcp, bind_unix, file_id, refuse_handshakes
from workerkit.net.inherited import InheritedSockets, duplicate
from workerkit.net.poller import READ, wait_for
from workerkit.peers import MACHINE_ITSELF, check_peers
from workerkit.records import Record

# Taken unpatched: gevent and eventlet replace it, and workers accept after that.
_Socket = socket.socket


def _bind_from_port(port: str) -> tuple[str, ...]:
    return (f"0.0.0.0:{port}",)


def _parse_mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError("must be an octal mode, such as 117") from None


@dataclass(frozen=True, eq=False, repr=False)
class ListenerOptions:
    """Listening."""

    bind: tuple[str, ...] = field(
        default=("127.0.0.1:8000",),
        metadata={
            "flags": ("-b",),
            "metavar": "ADDRESS",
            "variables": ("PORT",),
            "variable_parse": {"PORT": _bind_from_port},
            "help": "Where to listen: host:port, [::1]:port, unix:path, fd://N or systemd:NAME. May be given several "
            "times. Port 0 takes a free port and logs it. Sockets passed by systemd replace the default.",
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
    connections_per_address: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "help": "Connections that one address may have in one worker; more are closed. 0: any number. "
            "Not behind a proxy that does not speak the PROXY protocol: all connections are its own.",
        },
    )
    proxy_protocol: str = field(
        default="off",
        metadata={
            "metavar": "VERSION",
            "choices": ("off", "v1", "v2", "auto"),
            "help": "Each connection comes by a proxy, and begins with a PROXY header that says whose it is: "
            "of version 1, of version 2, or of either (auto).",
        },
    )
    proxy_allow_ips: tuple[str, ...] = field(
        default=MACHINE_ITSELF,
        metadata={
            "flags": ("--proxy-allow-ips", "--proxy-allow-from"),
            "metavar": "PEERS",
            "help": "Proxies whose PROXY headers are believed: addresses, networks, 'unix' for the peers of a "
            "Unix socket, '*' for all. Others' connections are closed.",
            "check": check_peers,
        },
    )


class Listener(Record):
    """A listening socket and the address that it really has."""

    socket: socket.socket
    address: TCPAddress | UnixAddress
    file: FileId | None = None
    """Device and inode of the Unix socket's file that was made for it; None: it has no file of ours."""
    scheme: str = "http"
    share: int | None = None
    """With ``reuse_port``, which of the address's listeners it is; None: it is the only one."""
    bind: str = ""
    """The address as it was asked for, port 0 not resolved."""

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

    @property
    def _is_ours(self) -> bool:
        """Whether it was opened by workerkit. What somebody else keeps has a queue that outlives us."""
        return not self.bind.startswith(("fd:", "systemd:"))

    def shut_out(self) -> None:
        """Let nobody new come to wait here; whoever waits already, or is shaking hands, is still to be accepted.

        Called in the arbiter, on a full stop. A client of TCP that comes now is not answered, tries again a second
        later, and is refused then. A socket that workerkit did not open stays as it is.
        """
        if not self._is_ours:
            return
        if isinstance(self.address, TCPAddress):
            refuse_handshakes(self.socket)
        elif self.address.is_abstract:
            self.socket.shutdown(socket.SHUT_RD)
        else:
            self._remove_file(())

    def refuse(self) -> bool:
        """Refuse whoever comes, unless somebody still waits; return whether there is nothing left to do.

        A socket that workerkit did not open stays as it is.
        """
        if not self._is_ours:
            return True
        if not wait_for(self.socket.fileno(), READ, 0.0):
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            return True
        return False

    def close(self, shared: Container[FileId] = ()) -> None:
        """Close the arbiter's copy; remove a Unix socket's file if it is still ours.

        Args:
            shared: Files that stay, since another arbiter serves the same sockets.
        """
        self.socket.close()
        self._remove_file(shared)

    def _remove_file(self, shared: Container[FileId]) -> None:
        path = self.address.path if isinstance(self.address, UnixAddress) else ""
        if self.file is not None and self.file not in shared and file_id(path) == self.file:
            os.unlink(path)


def with_passed(options: ListenerOptions, inherited: InheritedSockets) -> ListenerOptions:
    """Return the options; what systemd has passed stands in for an address that nobody has chosen."""
    if inherited.has_passed and options.bind == ListenerOptions().bind:
        return dataclasses.replace(options, bind=("systemd:",))
    return options


def open_listeners(
    options: ListenerOptions,
    scheme: str = "http",
    shares: int = 1,
    inherited: InheritedSockets | None = None,
    pool: str = "",
) -> tuple[Listener, ...]:
    """Have a listener for every address; in the arbiter's process, before the first fork.

    Args:
        options: Where.
        scheme: How their URLs begin.
        shares: With ``reuse_port``, how many listeners a TCP address gets.
        inherited: What this process was started with. What is there already is taken over, with those who wait.
        pool: Whose they are.

    Raises:
        ConfigError: An address cannot be understood.
        BindError: One cannot be had; those opened before are closed again.
    """
    inherited = inherited or InheritedSockets()
    opened: list[Listener] = []
    try:
        for text in options.bind:
            _open(text, options, shares, inherited, pool, opened)
    except BaseException:
        for listener in opened:
            listener.close(inherited.shared_files)
        raise
    return tuple([listener.replace(scheme=scheme) for listener in opened])


def _open(
    text: str, options: ListenerOptions, shares: int, inherited: InheritedSockets, pool: str, opened: list[Listener]
) -> None:
    """Add the listeners of one address to ``opened``, each as soon as it is open."""
    address = parse_address(text)
    bind = str(address)
    match address:
        case InheritedAddress(fd):
            opened.append(_listener(duplicate(fd, bind), bind))
            inherited.serve([fd])
        case SystemdAddress(name):
            for fd in inherited.passed(name):
                opened.append(_listener(duplicate(fd, bind), bind))  # noqa: PERF401  what is open must be known
            inherited.serve(inherited.passed(name))
        case UnixAddress():
            found = inherited.claim(pool, address)
            for unix in found:
                unix.socket.listen(options.backlog)
                opened.append(_listener(unix.socket, bind, unix.file))
            if not found:
                unix_socket = bind_unix(address, options.socket_umask)
                unix_socket.listen(options.backlog)
                file = None if address.is_abstract else file_id(address.path)
                opened.append(_listener(unix_socket, bind, file))
        case TCPAddress():
            _open_tcp(address, options, shares if options.reuse_port else None, inherited, pool, opened)


def _open_tcp(
    address: TCPAddress,
    options: ListenerOptions,
    shares: int | None,
    inherited: InheritedSockets,
    pool: str,
    opened: list[Listener],
) -> None:
    bind = str(address)
    found = [taken.socket for taken in inherited.claim(pool, address)]
    # A socket that was bound without SO_REUSEPORT tolerates no other beside it: it is everybody's.
    divided = shares is not None and all(tcp.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for tcp in found)
    wanted = shares if divided and shares is not None else 1
    # Each that was inherited has connections of its own that wait, so none is too many.
    for share in range(max(wanted, len(found))):
        tcp = found[share] if share < len(found) else bind_tcp(address, reuse_port=divided)
        tcp.listen(options.backlog)
        opened.append(_listener(tcp, bind).replace(share=share if divided else None))
        # Port 0 is known from the first one on.
        address = address._replace(port=tcp.getsockname()[1])


def _listener(listening: socket.socket, bind: str, file: FileId | None = None) -> Listener:
    listening.setblocking(False)
    listening.set_inheritable(False)
    if listening.family != socket.AF_UNIX:
        # Accepted sockets inherit it (Linux, tcp(7)), which saves a system call for each connection.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Listener(listening, address_of(listening), file, bind=bind)
