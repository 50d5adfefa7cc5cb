"""A client that sends exactly the bytes it is given."""

from __future__ import annotations

import fcntl
import http.client
import socket
import termios
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from workerkit.testing.deadline import DEADLINE


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it came: header names in lower case, the body without its framing."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """A client's socket that sends exactly the bytes it is given, and reads responses one at a time."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(DEADLINE)
        self.socket = connected
        self._incoming = connected.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send these very bytes."""
        self.socket.sendall(data)

    def get(self, target: str, **fields: str) -> Reply:
        """Fetch a target and leave the connection open; ``Connection="close"`` is a field like any other."""
        self.send(request(target, fields=fields))
        return self.read_response()

    def read_response(self, method: str = "GET") -> Reply:
        """Read one response, interim ones skipped; raise AssertionError if the server closed instead."""
        status, headers = self.read_head()
        bodiless = method == "HEAD" or status in (204, 304)
        return Reply(status, headers, b"" if bodiless else self._read_body(headers))

    def read_head(self, *, interim: bool = False) -> tuple[int, dict[str, str]]:
        """Read the head of a response, of an interim one (RFC 9110 section 15.2) only if asked to."""
        while True:
            line = self._incoming.readline()
            if not line:
                raise AssertionError("the connection was closed where a response was expected")
            status = int(line.split()[1])
            fields = http.client.parse_headers(self._incoming)
            if status >= 200 or interim:
                return status, {name.lower(): value for name, value in fields.items()}

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self.read_chunks())
        if (length := headers.get("content-length")) is not None:
            return self._incoming.read(int(length))
        return self._incoming.read()

    def read_chunks(self) -> Iterable[bytes]:
        """Yield the chunks of a body as they come; raise AssertionError for one that is no chunk."""
        while size := int(self._incoming.readline() or b"-1", 16):
            if size < 0:
                raise AssertionError("the connection was closed before the last chunk")
            chunk = self._incoming.read(size + 2)
            if chunk[size:] != b"\r\n":
                raise AssertionError("a chunk must end with CRLF")
            yield chunk[:size]
        if self._incoming.readline() != b"\r\n":
            raise AssertionError("the last chunk must be followed by an empty line")

    def read(self, size: int = -1) -> bytes:
        """Read bytes that are no response: ``size`` of them, or up to the end of the connection."""
        return self._incoming.read(size)

    def read_line(self) -> bytes:
        """Read one line, ``b""`` at the end of the connection."""
        return self._incoming.readline()

    def at_end(self) -> bool:
        """Wait for the server's next byte or its end of the connection; tell whether it was the end."""
        try:
            return self._incoming.peek(1) == b""
        except ConnectionResetError:
            return True

    def answers_within(self, seconds: float) -> bool:
        """Tell whether anything, were it the end, comes from the server in that time."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(DEADLINE)
        return True

    def has_delivered(self) -> bool:
        """Whether the kernel of the peer has all that was sent (SIOCOUTQ, tcp(7)); even here that takes a moment."""
        return not any(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)))

    def shut_write(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a good-bye, as a client does that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Close the connection; again is harmless."""
        self._incoming.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def request(
    target: str,
    *,
    method: str = "GET",
    version: str = "1.1",
    body: bytes | None = None,
    fields: Mapping[str, str] = {},
    **more: str,
) -> bytes:
    """Return the bytes of a request; a body is announced by its length, ``Keep_Alive="1"`` is the field Keep-Alive."""
    given = {"Host": "localhost", **fields, **more}
    if body is not None:
        given["Content-Length"] = str(len(body))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"{method} {target} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(pieces: Iterable[bytes]) -> bytes:
    """Return a body in chunks (RFC 9112 section 7.1), the last one included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
