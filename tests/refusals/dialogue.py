"""A client that sends a case's bytes in pieces, and everything that comes back until the connection ends."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from workerkit.testing.deadline import DEADLINE

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
"""Where a client comes from: the first is trusted by default."""

_FEW = 2048


class Mismatch(AssertionError):
    """What came back is not what must."""


@dataclass(frozen=True, slots=True)
class Response:
    """A final response: its status, its head, and what follows that as it came."""

    status: int
    head: bytes
    raw_body: bytes


def ways_to_split(data: bytes) -> dict[str, list[bytes]]:
    """Return the same bytes whole, byte by byte (unless there are many) and in random pieces, always the same."""
    chance = random.Random(data)
    places = sorted(chance.randrange(len(data) + 1) for _ in range(min(len(data), 8)))
    ways = {"whole": [data], "in random pieces": [data[a:b] for a, b in pairwise([0, *places, len(data)]) if a < b]}
    if len(data) <= _FEW:
        ways["byte by byte"] = [data[place : place + 1] for place in range(len(data))]
    return ways


def exchange(port: int, pieces: Iterable[bytes], *, source: str = STRANGER, cut: bool = False) -> bytes:
    """Send the pieces, keep our side open unless ``cut``, and return what came until the server closed.

    Raises:
        Mismatch: The server did not close in time, or the connection was reset.
    """
    with _connected(port, source) as client:
        # A server that has refused may be gone when the last piece is sent; what it answered is still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                client.sendall(piece)
            if cut:
                client.shutdown(socket.SHUT_WR)
        return _read_to_end(client)


def exchange_while_sending(port: int, first: bytes, rest: bytes) -> bytes:
    """Send ``first`` and all of ``rest``, and only then look at what has come back."""
    with _connected(port, STRANGER) as client:
        try:
            client.sendall(first)
            client.sendall(rest)
        except OSError as error:
            raise Mismatch(f"the server did not let the client finish: {error}") from None
        return _read_to_end(client)


def exchange_on_leave(port: int, head: bytes, body: bytes | None) -> bytes:
    """Send ``head``, and ``body`` once the server has answered anything; without one, read to the end."""
    with _connected(port, STRANGER) as client:
        client.sendall(head)
        first = b""
        if body is not None:
            first = client.recv(25)
            client.sendall(body)
        return first + _read_to_end(client)


def reset(port: int, data: bytes) -> None:
    """Send ``data`` and leave as a client does that crashed."""
    with _connected(port, STRANGER) as client:
        client.sendall(data)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@contextlib.contextmanager
def _connected(port: int, source: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def _read_to_end(client: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := client.recv(65536):
            received += data
    except TimeoutError:
        raise Mismatch(f"the server waits for more; so far it said {bytes(received[:80])!r}") from None
    except ConnectionResetError:
        raise Mismatch(f"the connection was reset; before that came {bytes(received[:80])!r}") from None
    return bytes(received)


def responses(raw: bytes, method: str = "GET") -> list[Response]:
    """Split what came into final responses; ``method`` is the first request's, the others are GET.

    Raises:
        Mismatch: It is not a sequence of responses.
    """
    found: list[Response] = []
    while raw:
        head, blank, raw = raw.partition(b"\r\n\r\n")
        if not blank or not head.startswith(b"HTTP/1.1 "):
            raise Mismatch(f"no head of a response: {head[:80]!r}")
        status = int(head[9:12])
        if status < 200:
            continue
        size = _body_size(head, status, "GET" if found else method, raw)
        found.append(Response(status, head, raw[:size]))
        raw = raw[size:]
    return found


def _body_size(head: bytes, status: int, method: str, raw: bytes) -> int:
    if method == "HEAD" or status in (204, 304):
        return 0
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        return int(fields[b"content-length"])
    end = raw.find(b"0\r\n\r\n") if fields.get(b"transfer-encoding") == b"chunked" else -1
    return len(raw) if end < 0 else end + 5
