"""Binding: a socket for an address, or an error that says who has it.

Called in the arbiter's process, before the first fork.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from typing import Any

from workerkit.errors import BindError, ConfigError
from workerkit.net.address import TCPAddress, UnixAddress

FileId = tuple[int, int]
"""Device and inode: which file it is, whatever its name."""


def file_id(path: str) -> FileId | None:
    """Return which file has this name now; None: there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def resolve(address: TCPAddress) -> tuple[int, Any]:
    """Return the address family and the name that the kernel knows an address by.

    Raises:
        BindError: The host is not known.
    """
    # For text, Python imports the codec of international names, which costs a start 1.5 ms.
    host = address.host.encode() if address.host.isascii() else address.host
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else error
        raise BindError(f"cannot listen on {address}: the host is not known ({why})") from error
    family, _, _, _, name = found[0]
    return family, name


def bind_tcp(address: TCPAddress, *, reuse_port: bool) -> socket.socket:
    """Return a socket that is bound, and does not listen yet.

    Raises:
        BindError: The address cannot be had.
    """
    family, name = resolve(address)
    tcp = socket.socket(family, socket.SOCK_STREAM)
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


def bind_unix(address: UnixAddress, mask: int) -> socket.socket:
    """Return a socket that is bound, and does not listen yet; ``mask`` is what its file's permissions do without.

    Raises:
        BindError: The address cannot be had.
        ConfigError: There is a file of another kind.
    """
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


_SYN_AND_ACK = 0x12
_SYN = 0x02

# A classic BPF program over a packet's TCP header: code, jump if true, jump if false, operand (linux/filter.h).
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte that holds the flags
    (0x54, 0, 0, _SYN_AND_ACK),
    (0x15, 0, 1, _SYN),  # a handshake begins: go on with the next line
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # keep it
)
_SO_ATTACH_FILTER = 26


def refuse_handshakes(listening: socket.socket) -> None:
    """Have the kernel ignore whoever begins to connect; those whose handshake is under way complete it.

    Closing a listener resets everybody in its queue, and one that is emptied first has somebody new in it by the time
    that it is closed. Where the system has no such filter, nothing happens.
    """
    import array  # noqa: PLC0415  they are needed once, at the very end
    import struct  # noqa: PLC0415

    program = array.array("B", b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN))
    address, _ = program.buffer_info()
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), address))
