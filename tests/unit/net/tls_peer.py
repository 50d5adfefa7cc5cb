"""A client's end of a TLS connection, whose other end is under test in the same thread."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable

import trustme

from workerkit.net.address import TCPAddress
from workerkit.net.certificates import Certificates
from workerkit.net.stream import Stream, raise_deadline

HERE = TCPAddress("127.0.0.1", 8443)


def pem_of(certificate: trustme.LeafCert) -> str:
    """Return a certificate, its chain and its key, as a file may hold them."""
    return certificate.private_key_and_cert_chain_pem.bytes().decode()


def certificates(*leaves: trustme.LeafCert, authorities: str = "") -> Certificates:
    """Return what the arbiter would have read."""
    names = tuple(f"{number}.pem" for number in range(len(leaves)))
    return Certificates(names, tuple(map(pem_of, leaves)), authorities)


class Client:
    """Speaks TLS over a socketpair; whatever it waits for, ``drive`` lets the other side go on."""

    def __init__(self, context: ssl.SSLContext, host: str = "localhost", alpn: tuple[str, ...] = ()) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.accepted = Stream(ours, ("192.0.2.1", 4711), HERE, _wait)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def close(self) -> None:
        self.socket.close()
        self.accepted.socket.close()

    def flush(self) -> None:
        if self.outgoing.pending:
            self.socket.send(self.outgoing.read())

    def take_in(self) -> bool:
        """Take what has arrived; return whether it was the end."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        if data:
            self.incoming.write(data)
        return not data

    def shake_hands(self, drive: Callable[[], object]) -> None:
        """Complete the handshake."""
        for _ in range(20):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                drive()
                self.take_in()
            else:
                self.flush()
                drive()
                return
        raise AssertionError("the handshake does not come to its end")

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def receive(self) -> bytes:
        """Return what has arrived; raises ssl.SSLZeroReturnError after the other side's good-bye."""
        self.take_in()
        data = b""
        while True:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return data
            if not piece:
                return data
            data += piece

    def has_been_told_good_bye(self) -> bool:
        """Whether the other side has closed its session, rather than only its socket."""
        self.take_in()
        try:
            return self.tls.read(1) == b""
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLWantReadError:
            return False


def _wait(stream: Stream, want: int, deadline: float | None) -> None:
    """Be a job's way to wait in a test: what it waits for is there, or will never come."""
    poller = select.poll()
    poller.register(stream.fileno(), want)
    if not poller.poll(0):
        raise_deadline(want)
