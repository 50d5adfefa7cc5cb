"""Where a server listens: ``host:port``, ``[::1]:port``, ``:port``, ``unix:path``, ``fd://N``, ``systemd:name``."""

from __future__ import annotations

import socket
from typing import NamedTuple

from workerkit.errors import ConfigError

DEFAULT_PORT = 8000


class TCPAddress(NamedTuple):
    """A TCP host and port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class UnixAddress(NamedTuple):
    """A Unix socket: a path, or an abstract name when it begins with ``@``."""

    path: str

    @property
    def is_abstract(self) -> bool:
        """Whether the name lives in the kernel and not in a folder."""
        return self.path.startswith("@")

    @property
    def name(self) -> str:
        """The name as the kernel wants it."""
        return "\0" + self.path[1:] if self.is_abstract else self.path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class InheritedAddress(NamedTuple):
    """A listening socket that this process was started with."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


class SystemdAddress(NamedTuple):
    """The listening sockets that systemd has passed under a name; without a name, all of them."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


Address = TCPAddress | UnixAddress | InheritedAddress | SystemdAddress


def parse_address(text: str) -> Address:
    """Return the address that ``text`` names.

    Raises:
        ConfigError: It names none; the message says which part is wrong.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path or path == "@":
            raise ConfigError(f"bind {text!r}: a path must follow unix:, as in unix:/run/app.sock")
        return UnixAddress(path)
    if text.startswith("fd://"):
        return InheritedAddress(_number(text, text.removeprefix("fd://"), "descriptor", 0, 2**20))
    if text.startswith("systemd:"):
        return SystemdAddress(text.removeprefix("systemd:"))
    return _parse_tcp(text, text.removeprefix("tcp://"))


def _parse_tcp(text: str, rest: str) -> TCPAddress:
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ConfigError(f"bind {text!r}: an IPv6 address is written [::1]:8000")
        port = port[1:]
    elif rest.count(":") > 1:
        raise ConfigError(f"bind {text!r}: put an IPv6 address in brackets, as in [{rest}]:{DEFAULT_PORT}")
    elif ":" in rest:
        host, _, port = rest.rpartition(":")
    elif rest.isdigit():
        host, port = "", rest
    else:
        host, port = rest, ""
    return TCPAddress(host or "0.0.0.0", _number(text, port or str(DEFAULT_PORT), "port", 0, 65535))  # noqa: S104


def _number(text: str, digits: str, what: str, low: int, high: int) -> int:
    if not (digits.isascii() and digits.isdigit()) or not low <= int(digits) <= high:
        raise ConfigError(f"bind {text!r}: the {what} must be a number from {low} to {high}, not {digits!r}")
    return int(digits)


def address_of(bound: socket.socket) -> TCPAddress | UnixAddress:
    """Return the address that a bound socket really has, port 0 resolved."""
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        text = name.decode(errors="surrogateescape") if isinstance(name, bytes) else name
        return UnixAddress("@" + text[1:] if text.startswith("\0") else text)
    return TCPAddress(name[0], name[1])
