"""A connection's bytes, by TLS.

The session works on memory, not on the socket: we receive and send, it decrypts and encrypts. That costs a request
1.5 µs more than ``ssl.SSLSocket``, which does both, and buys three things. It is the same on every worker class, while
gevent and eventlet replace ``SSLSocket`` by one that waits by itself. The first bytes can be looked at before they are
taken for TLS. And an application that takes the connection over can block on it, in the same session.

No two threads may be inside of one session, but one may read while another writes: of a WebSocket, that is usual. So
each session has a lock, which nobody holds while waiting.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from workerkit.errors import Disconnected
from workerkit.net.poller import READ, WRITE
from workerkit.net.stream import Stream

if TYPE_CHECKING:
    from socket import socket as Socket  # noqa: N812  the class, which has its module's name
else:
    # As in ``upgrade``: the class that this is mixed into is known when it is needed.
    Socket = object

_RECORD: Final = 16384
"""Bytes that one record carries at most (RFC 8446 section 5.1)."""
_RECEIVE: Final = _RECORD + 325
"""What is asked of the kernel at once: such a record, encrypted. More would stay in the session's memory."""
_SEND: Final = 4 * _RECORD
"""What is encrypted at once at most, so that a slow reader holds no more of it."""


class TlsStream(Stream):
    """A stream that is plain until ``begin``, and TLS from then on.

    What ``send`` has encrypted can only leave as it is. Where the kernel does not take all of it, ``send`` answers
    None and keeps it; once it is gone, the next calls count the same bytes as sent, which they are handed again.
    """

    __slots__ = ("_dry", "_ended", "_incoming", "_lock", "_outgoing", "_owed", "_tls", "_unsent", "variables")

    _tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    def __init__(self, plain: Stream) -> None:
        super().__init__(plain.socket, plain.peer, plain.local, plain._wait)
        self._lock = threading.Lock()
        self._unsent = b""
        """What is encrypted and still here."""
        self._owed = 0
        """Bytes of the peer's that were encrypted and not counted as sent yet."""
        self._dry = True
        """Whether there is nothing to read before the kernel has more."""
        self._ended = True
        """Whether the session takes nothing more to encrypt: not begun, closed, or broken."""
        self.variables: dict[str, str] | None = None
        """Room for what a protocol tells of the session."""

    # -- the handshake -----------------------------------------------------------------------------------------------

    def recv_plain(self) -> bytes | None:
        """Return what has arrived, as it is; answers and errors as for ``recv``."""
        return super().recv(_RECEIVE)

    def send_plain(self, data: bytes) -> None:
        """Send before any TLS, as much as the kernel takes at once."""
        super().send((data,))

    def begin(self, context: ssl.SSLContext, received: bytes) -> None:
        """Take what was received, and what follows, for TLS."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(received)

    @property
    def begun(self) -> bool:
        """Whether ``begin`` was called."""
        return hasattr(self, "_tls")

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is complete, otherwise ``want`` says what to wait for.

        Raises:
            Disconnected: It failed, for the reason that the message gives, or the peer left.
        """
        while True:
            failure: ssl.SSLError | None = None
            complete = False
            try:
                self._tls.do_handshake()
                complete = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                failure = error
            flushed = self._flush()
            if failure is not None:
                raise Disconnected(_reason(failure)) from failure
            if not flushed:
                return False
            if complete:
                self._dry, self._ended = not self._incoming.pending, False
                return True
            received = self.recv_plain()
            if received is None:
                return False
            if not received:
                raise Disconnected("the peer left")
            self._incoming.write(received)

    @property
    def session(self) -> ssl.SSLObject:
        """The session: its version, its cipher, its peer's certificate."""
        return self._tls

    # -- never blocking: for Connection.advance ----------------------------------------------------------------------

    @property
    def pending(self) -> int:  # type: ignore[override]  # a plain stream's is always 0
        """How many bytes are here that a poller cannot see, some of them perhaps of a record that is not complete."""
        return 0 if self._dry else self._tls.pending() + self._incoming.pending or 1

    def recv(self, size: int) -> bytes | None:
        """Return what has arrived; see ``Stream.recv``."""
        with self._lock:
            data = self._next(size)
            if data is None or len(data) < _RECORD or len(data) >= size:
                return data
            # A full record, so there are likely to be more.
            pieces = [data]
            size -= len(data)
            while size and (data := self._next(size)):
                pieces.append(data)
                size -= len(data)
            return b"".join(pieces)

    def _next(self, size: int) -> bytes | None:
        data = None if self._dry else self._decrypt(size)
        while data is None:
            received = super().recv(_RECEIVE)
            if received is None:
                return None
            data = self._take_in(received, size)
        return data

    def _take_in(self, received: bytes, size: int) -> bytes | None:
        if not received:
            # Many peers leave without a good-bye; what is cut short is for the protocol to notice.
            return b""
        self._incoming.write(received)
        return self._decrypt(size)

    def _decrypt(self, size: int) -> bytes | None:
        """Return what the session has, at most a record's worth; ``b""`` at the end, None when it needs more."""
        size = min(size, _RECORD)
        try:
            data = self._tls.read(size)
        except ssl.SSLWantReadError:
            self._dry = True
            if self._outgoing.pending:
                # The peer has asked for something, such as new keys.
                self._flush()
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._dry = False
            return b""
        except ssl.SSLError as error:
            self._ended = True
            self._flush()
            raise Disconnected(_reason(error)) from error
        self._dry = not self._incoming.pending and 0 < len(data) < size
        return data

    def send(self, buffers: Sequence[bytes | memoryview], more: bool = False) -> int | None:
        """Encrypt and send; see ``Stream.send``."""
        with self._lock:
            if not self._flush(more):
                return None
            if self._owed:
                counted = min(self._owed, sum(map(len, buffers)))
                self._owed -= counted
                return counted
            taken, self._unsent = self._encrypt(buffers[0] if len(buffers) == 1 else _joined(buffers))
            if self._flush(more):
                return taken
            self._owed = taken
            return None

    def _encrypt(self, data: bytes | memoryview) -> tuple[int, bytes]:
        """Return how many bytes were encrypted, and what became of them."""
        if self._ended:
            raise Disconnected("the TLS session has ended")
        try:
            if len(data) <= _RECORD:
                return self._tls.write(data), self._outgoing.read()
            pieces = []
            rest = memoryview(data)[:_SEND]
            taken = len(rest)
            while rest:
                # A record at a time: the session keeps the memory that it once needed.
                rest = rest[self._tls.write(rest[:_RECORD]) :]
                pieces.append(self._outgoing.read())
            return taken, b"".join(pieces)
        except ssl.SSLError as error:
            self._ended = True
            raise Disconnected(_reason(error)) from error

    def _flush(self, more: bool = False) -> bool:
        """Send what is encrypted; return whether nothing is left."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        if not self._unsent:
            return True
        sent = super().send((self._unsent,), more)
        self._unsent = self._unsent[sent or 0 :]
        if self._unsent:
            self.want = WRITE
            return False
        return True

    def send_file(self, fd: int, start: int, count: int) -> int | None:
        """Encrypt and send a part of a file; see ``Stream.send_file``."""
        data = os.pread(fd, min(count, _SEND), start)
        return self.send((data,)) if data else 0

    # -- ending ------------------------------------------------------------------------------------------------------

    def shut_write(self) -> None:
        """Say good-bye, and that nothing more will be sent."""
        self._say_goodbye()
        super().shut_write()

    def reset_on_close(self) -> None:
        """Make ``close`` reset the connection, without a good-bye that would say that all was sent."""
        self._ended = True
        super().reset_on_close()

    def close(self) -> None:
        """Say good-bye and close; see ``Stream.close``."""
        if not self.lent:
            self._say_goodbye()
        super().close()

    def _say_goodbye(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            # It would wait for the peer's good-bye; we do not. And a peer that is gone needs none.
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            with contextlib.suppress(Disconnected):
                self._flush()

    # -- jobs, and who takes the connection over ---------------------------------------------------------------------

    def wait(self, want: int, deadline: float | None = None) -> None:
        """Return when the stream is ready; see ``Stream.wait``."""
        if want != READ or self._dry:
            super().wait(want, deadline)

    def decrypt(self, size: int, received: bytes | None = None) -> bytes | None:
        """Return what is in what was received; ``b""`` at the end, None when more is needed.

        Args:
            size: How much of it.
            received: What the kernel has had since; ``b""``: its end. None: nothing was asked for yet.

        Raises:
            Disconnected: It was not what the peer has sent.
        """
        with self._lock:
            if received is not None:
                return self._take_in(received, size)
            return None if self._dry else self._decrypt(size)

    def encrypt(self, data: bytes | memoryview) -> tuple[int, bytes]:
        """Return how many bytes were taken, and what is to be sent for them: all of it, in this order.

        Raises:
            Disconnected: The session has ended.
        """
        with self._lock:
            taken, encrypted = self._encrypt(data)
            before, self._unsent = self._unsent, b""
            return taken, before + encrypted


class TlsLayer(Socket):
    """What a socket of the process's class does in addition, when its connection is TLS: see ``net.upgrade``.

    It receives and sends as its class does, blocking, by timeouts, or by yielding; the session is the stream's.
    """

    stream: TlsStream

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._sending = threading.Lock()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive and decrypt."""
        _refuse(flags)
        data = self.stream.decrypt(bufsize)
        while data is None:
            data = self.stream.decrypt(bufsize, super().recv(_RECEIVE))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive and decrypt into a buffer."""
        target = memoryview(buffer).cast("B")
        data = TlsLayer.recv(self, min(nbytes or len(target), len(target)), flags)
        target[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Encrypt and send all of it: there are libraries that rely on a blocking socket to do that."""
        _refuse(flags)
        plain = memoryview(data).cast("B")
        size = len(plain)
        # Records leave in the order in which they were encrypted.
        with self._sending:
            while plain:
                taken, encrypted = self.stream.encrypt(plain)
                plain = plain[taken:]
                rest = memoryview(encrypted)
                while rest:
                    rest = rest[super().send(rest) :]
        return size

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Encrypt and send all of it."""
        TlsLayer.send(self, data, flags)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        """Encrypt and send several buffers."""
        if ancdata or address:
            raise NotImplementedError("a TLS connection carries bytes and nothing else")
        return TlsLayer.send(self, b"".join(buffers), flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Encrypt and send a file."""
        return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]  # as ssl.py does

    def pending(self) -> int:
        """Return how many bytes are here that ``select`` cannot see."""
        return self.stream.pending


def _refuse(flags: int) -> None:
    if flags:
        raise ValueError("flags are the kernel's, which sees only what is encrypted")


def _joined(buffers: Sequence[bytes | memoryview]) -> bytes:
    """Return the first buffers as one, so that they are one record; as much as is encrypted at once."""
    pieces: list[bytes | memoryview] = []
    room = _SEND
    for buffer in buffers:
        pieces.append(buffer if len(buffer) <= room else memoryview(buffer)[:room])
        room -= len(pieces[-1])
        if not room:
            break
    return b"".join(pieces)


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason in words: ``HTTP_REQUEST`` is ``http request``."""
    reason = error.reason or error.strerror or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"{reason}: {error.verify_message}"
    return reason.replace("_", " ").lower()




TlsStream.layer = TlsLayer
