"""TLS in front of any protocol, on any worker class.

A worker and a protocol know nothing of it: between them stands a connection that shakes hands first, step by step
like any conversation, and then passes everything on to the protocol's own connection, whose stream encrypts.

This module imports ssl, and is imported only by workers that need it.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Iterator

from workerkit.errors import ConfigError, Disconnected
from workerkit.net.certificates import Certificates
from workerkit.net.host_names import host_names
from workerkit.net.poller import READ
from workerkit.net.prelude import Prelude
from workerkit.net.protocol import Next, Protocol
from workerkit.net.stream import Stream
from workerkit.net.tls_options import TlsOptions
from workerkit.net.tls_stream import TlsStream

_HANDSHAKE = 22  # the type of the record that a client begins with (RFC 8446 section 5.1)
_LINGER_FOR = 2.0

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsServer:
    """One per worker: its contexts, one for each certificate, which all its connections share.

    Args:
        options: What was asked for.
        certificates: What the files held.
        protocol: What is spoken inside.
        log: For handshakes that fail.

    Raises:
        ConfigError: The certificates, or other options, cannot be used; says why.
    """

    def __init__(
        self, options: TlsOptions, certificates: Certificates, protocol: Protocol, log: logging.Logger
    ) -> None:
        self.options = options
        self.protocol = protocol
        self.log = log
        self.context = self._make(certificates)
        """The context that connections begin with."""

    def connect(self, stream: Stream) -> TlsConnection:
        """Return the conversation for a connection that was just accepted."""
        return TlsConnection(TlsStream(stream), self)

    def renew(self, certificates: Certificates) -> None:
        """Use other certificates for connections that begin from now on.

        Raises:
            ConfigError: They cannot be used; those before stay.
        """
        self.context = self._make(certificates)

    def _make(self, certificates: Certificates) -> ssl.SSLContext:
        context = self._make_hooked(certificates)
        context.sslobject_class = _Session
        return context

    def _make_hooked(self, certificates: Certificates) -> ssl.SSLContext:
        hook = self.options.ssl_context
        if hook is None:
            return self._make_default(certificates)
        try:
            made = hook(self.options, lambda: self._make_default(certificates))
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"ssl_context failed: {type(error).__name__}: {error}") from error
        if not isinstance(made, ssl.SSLContext):
            raise ConfigError(f"ssl_context must return an ssl.SSLContext, not {made!r}")
        return made

    def _make_default(self, certificates: Certificates) -> ssl.SSLContext:
        named = zip(certificates.names, certificates.pairs, strict=True)
        contexts = [self._context(name, pem, certificates.authorities) for name, pem in named]
        default = contexts[0]
        if len(contexts) > 1:
            default.sni_callback = _Choice(dict(_by_host_name(contexts, certificates.pairs)))
        return default

    def _context(self, name: str, pem: str, authorities: str) -> ssl.SSLContext:
        options = self.options
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[options.tls_version]
        # A client that asks for new handshakes makes us work for nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if options.ciphers:
            try:
                context.set_ciphers(options.ciphers)
            except ssl.SSLError as error:
                raise ConfigError(f"ciphers: OpenSSL knows none of {options.ciphers!r}") from error
        if self.protocol.alpn:
            context.set_alpn_protocols(list(self.protocol.alpn))
        _load(context, name, pem)
        if authorities:
            try:
                context.load_verify_locations(cadata=authorities)
            except (ssl.SSLError, ValueError) as error:
                raise ConfigError(f"ca_certs: {options.ca_certs} holds no certificates: {error}") from error
        context.verify_mode = ssl.VerifyMode(options.cert_reqs)
        return context


def _load(context: ssl.SSLContext, name: str, pem: str) -> None:
    """Load a certificate and its key. OpenSSL wants a file, so it gets one, in memory, for the moment."""
    with open(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem.encode("latin-1"))
        file.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_refuse_to_ask(name))
        except ssl.SSLError as error:
            raise ConfigError(f"the certificate {name} cannot be used: {_advice(error)}") from error


def _refuse_to_ask(name: str) -> Callable[[], str]:
    """Return what OpenSSL calls for a password, instead of asking at the terminal."""

    def refuse() -> str:
        raise ConfigError(f"the key of {name} is encrypted, and nobody is there to type the password: decrypt it")

    return refuse


def _advice(error: ssl.SSLError) -> str:
    match error.reason or "":
        case "KEY_VALUES_MISMATCH":
            return "the key belongs to another certificate"
        case "" | "NO_START_LINE" | "BAD_END_LINE" | "PEM_LIB":
            return "there is no certificate in it (PEM), or no key in it or in its keyfile"
        case reason:
            return reason.replace("_", " ").lower()


def _by_host_name(contexts: list[ssl.SSLContext], pairs: tuple[str, ...]) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Yield the names of all certificates; of those with the same, the first comes last."""
    for context, pem in reversed(list(zip(contexts, pairs, strict=True))):
        first, end, _ = pem.partition("-----END CERTIFICATE-----")
        _, begin, body = first.partition("-----BEGIN CERTIFICATE-----")
        if begin and end:
            for name in host_names(ssl.PEM_cert_to_DER_cert(begin + body + end)):
                yield name, context


class _Session(ssl.SSLObject):
    """A session whose callbacks work on gevent, too: its contexts expect sockets that lead to their session."""

    def _sslsock(self) -> _Session:
        return self


class _Choice:
    """Chooses the certificate by the name that a client asks for; for any other name, the first one stays."""

    def __init__(self, contexts: dict[str, ssl.SSLContext]) -> None:
        self._contexts = contexts

    def __call__(self, session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower()
        # RFC 6125 section 6.4.3: the asterisk stands for one label.
        found = self._contexts.get(name) or self._contexts.get("*." + name.partition(".")[2])
        if found is not None:
            session.context = found


class TlsConnection(Prelude):
    """A connection that shakes hands, and then is the protocol's own.

    Who does not speak TLS is answered in plain text, if the protocol has an answer to that, and the connection ends.
    """

    __slots__ = ("_refused", "_server")

    stream: TlsStream

    def __init__(self, stream: TlsStream, server: TlsServer) -> None:
        super().__init__(stream)
        self._server = server
        self._refused = False

    def begin(self, now: float) -> Next:
        """Go on with the handshake, and then with the protocol."""
        try:
            return self._read_away() if self._refused else self._shake_hands(now)
        except Disconnected as error:
            self._server.log.info("The TLS handshake with %s failed: %s", self._peer_name(), error)
            return Next.CLOSE

    def advance(self, now: float) -> Next:
        """Go on; see ``Connection.advance``."""
        return self._look(super().advance(now))

    def expire(self, now: float) -> Next:
        """Leave it to the protocol; a handshake that takes too long is given up in silence."""
        return self._look(super().expire(now))

    def drain(self, now: float) -> Next:
        """Finish the handshake, for a request may follow it; a client that has not begun gets a moment for it."""
        step = super().drain(now)
        if self._next is None:
            return self._waits()
        return self._look(step)

    def export(self) -> bytes | None:
        """Return None: the session cannot be handed to another process."""
        return None

    def _look(self, step: Next) -> Next:
        """Have a protocol that waits for bytes called again, when they are here where no poller can see them."""
        return Next.AGAIN if step <= Next.READ and self.stream.pending else step

    def _waits(self) -> Next:
        return Next.READ if self.stream.want == READ else Next.WRITE

    # -- before the protocol ---------------------------------------------------------------------------------------

    def _shake_hands(self, now: float) -> Next:
        if self.deadline is None:
            self.deadline = now + self._server.options.handshake_timeout
        stream = self.stream
        if not stream.begun:
            received = stream.recv_plain()
            if received is None:
                return Next.READ
            if not received:
                return Next.CLOSE
            if received[0] != _HANDSHAKE:
                return self._refuse(now)
            stream.begin(self._server.context, received)
        if not stream.shake_hands():
            return self._waits()
        return self.enter(self._server.protocol.connect(stream), now)

    def _refuse(self, now: float) -> Next:
        """Answer somebody who does not speak TLS, and read on for a moment, so that the answer is not lost."""
        self._server.log.info("%s does not speak TLS", self._peer_name())
        answer = self._server.protocol.plaintext_refusal()
        if not answer:
            return Next.CLOSE
        self.stream.send_plain(answer)
        self.stream.shut_write()
        self._refused = True
        self.deadline = now + _LINGER_FOR
        return self._read_away()

    def _read_away(self) -> Next:
        received = self.stream.recv_plain()
        if received is None:
            return Next.READ
        return Next.AGAIN if received else Next.CLOSE

    def _peer_name(self) -> str:
        peer = self.stream.peer
        return str(peer[0]) if isinstance(peer, tuple) else "a local client"
