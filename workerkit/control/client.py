"""The client's end of the control socket: asks a running server, and waits for its answer."""

from __future__ import annotations

import contextlib
import os
import socket

from workerkit.control.wire import Message, decode, encode
from workerkit.errors import ControlError, Unreachable
from workerkit.process.clock import Clock, monotonic

_CHUNK = 64 * 1024


def ask(path: str, request: Message, timeout: float | None = None, clock: Clock = monotonic) -> Message:
    """Send a request to the server whose control socket is at ``path``, and return its answer.

    Args:
        path: The control socket.
        request: ``command``, and the arguments of that command.
        timeout: Seconds for everything together; None: as long as it takes.
        clock: Monotonic seconds.

    Raises:
        Unreachable: No server could be asked, or none answered in time.
        ControlError: It could not do what it was asked to; the message is its own.
    """
    deadline = None if timeout is None else clock() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _wait_until(deadline, connection, clock)
            connection.connect(path)
        except OSError as error:
            raise _unreachable(path, error) from error
        try:
            answer = decode(_exchange(connection, encode(request), deadline, clock))
        except TimeoutError:
            raise Unreachable(
                f"the server at {path} has not answered within {timeout:g} s; it may still do what it was asked to"
            ) from None
        except (ValueError, OSError) as error:
            raise Unreachable(f"the server at {path} went away without an answer") from error
    if answer.get("ok") is not True:
        raise ControlError(str(answer.get("error", "refused, without a reason")))
    return answer


def _exchange(connection: socket.socket, line: bytes, deadline: float | None, clock: Clock) -> bytes:
    # A server that has no time for us says so without reading; what it has said is there all the same.
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(line)
    received = bytearray()
    while not received.endswith(b"\n"):
        _wait_until(deadline, connection, clock)
        data = connection.recv(_CHUNK)
        if not data:
            raise ConnectionResetError
        received += data
    return bytes(received)


def _wait_until(deadline: float | None, connection: socket.socket, clock: Clock) -> None:
    """Let the next step take no longer than the time that is left."""
    if deadline is None:
        return
    left = deadline - clock()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _unreachable(path: str, error: OSError) -> Unreachable:
    match error:
        case FileNotFoundError():
            why = "there is no such file; a server makes one when it is started with --control-socket"
        case ConnectionRefusedError():
            why = "nobody answers there; the server that made it is gone"
        case PermissionError():
            why = "not permitted; whoever runs the server, or root, can use it"
        case BlockingIOError() | TimeoutError():
            why = "too many are asking, or the server is stuck"
        case _:
            why = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return Unreachable(f"cannot reach a server at {path}: {why}")
