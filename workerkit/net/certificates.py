"""Certificates and keys: read by the arbiter, which may, and handed to workers, which perhaps may not.

The arbiter imports no ssl and understands nothing of what it reads: it notices that files have changed, and puts what
they hold into sealed memory without a name. A worker gets its descriptor, at birth or attached to a message, and
makes of it what it needs (``net.tls``). So a worker without root's rights serves with a key that only root can read.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import NamedTuple, Self

from workerkit.errors import ConfigError
from workerkit.net.tls_options import TlsOptions


class Certificates(NamedTuple):
    """What the files held when they were read."""

    names: tuple[str, ...]
    """What messages call the pairs: their certfiles."""
    pairs: tuple[str, ...]
    """Certificate, chain and key, as PEM."""
    authorities: str
    """Whose client certificates are accepted, as PEM; empty: nobody's."""

    def seal(self) -> int:
        """Return a descriptor of memory that holds all this and can be changed by nobody; the caller owns it."""
        fd = os.memfd_create("certificates", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        rest = memoryview(json.dumps(self).encode())
        while rest:
            rest = rest[os.write(fd, rest) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    @classmethod
    def unseal(cls, fd: int) -> Self:
        """Return what ``seal`` was called with; whoever else reads from the same descriptor is not disturbed."""
        names, pairs, authorities = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        return cls(tuple(names), tuple(pairs), authorities)


_Signature = tuple[tuple[int, int, int, int], ...]


class CertificateFiles:
    """The files that one pool's options name; in the arbiter."""

    def __init__(self, options: TlsOptions) -> None:
        self._options = options
        self._read_as: _Signature = ()
        self._last_look: _Signature = ()

    def read(self) -> Certificates:
        """Return what they hold now.

        Raises:
            ConfigError: One of them cannot be read.
        """
        options = self._options
        self._read_as = self._last_look = self._signature()
        pairs = [_text("certfile", path) for path in options.certfile]
        for place, path in enumerate(options.keyfile):
            pairs[place] += "\n" + _text("keyfile", path)
        authorities = _text("ca_certs", options.ca_certs) if options.ca_certs else ""
        return Certificates(options.certfile, tuple(pairs), authorities)

    def have_changed(self) -> bool:
        """Whether they have changed since they were read, and not since the last look.

        A certificate and its key are two files: what is being replaced just now is looked at again the next time.
        """
        before, self._last_look = self._last_look, self._signature()
        return self._last_look == before != self._read_as

    def _signature(self) -> _Signature:
        found = []
        for path in self._options.files():
            try:
                status = os.stat(path)
            except OSError:
                found.append((0, 0, 0, 0))  # between the old one and the new one
            else:
                found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)


def _text(setting: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            # Between the blocks of a PEM file may be anything.
            return file.read().decode("latin-1")
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from error


class TlsSource(NamedTuple):
    """What a worker makes its contexts of."""

    options: TlsOptions
    memory: int
    """The descriptor of sealed ``Certificates``; it stays the arbiter's."""

    def certificates(self) -> Certificates:
        """Return what is there."""
        return Certificates.unseal(self.memory)


class PoolCertificates:
    """What one pool's workers are made with, in the arbiter; a reload makes another one for its new workers."""

    def __init__(self, options: TlsOptions) -> None:
        self.options = options
        self._files = CertificateFiles(options)
        self._memory: _Memory | None = None
        self._candidate: _Memory | None = None
        self.renewals = 0
        """How often others have come into use since they were first read."""

    @property
    def source(self) -> TlsSource:
        """What a worker is made with; ``read`` comes first."""
        assert self._memory is not None  # noqa: S101  see above
        return TlsSource(self.options, self._memory.fd)

    def read(self) -> None:
        """Read the files for the first time.

        Raises:
            ConfigError: One of them cannot be read.
        """
        self._memory = _Memory(self._files.read())

    def read_again(self) -> PoolCertificates:
        """Return another one with the same options, and with what the files hold now; raises as ``read`` does."""
        another = PoolCertificates(self.options)
        another.read()
        return another

    def look(self) -> None:
        """Read the files again if they have changed: then there is a candidate. Raises as ``read`` does."""
        if self._files.have_changed():
            self._candidate = _Memory(self._files.read())

    @property
    def candidate(self) -> int | None:
        """The descriptor of what is to be tried out; None: there is nothing new."""
        return self._candidate.fd if self._candidate is not None else None

    def accept(self) -> None:
        """Use the candidate from now on."""
        assert self._candidate is not None  # noqa: S101  somebody has tried it out
        self._memory, self._candidate = self._candidate, None
        self.renewals += 1

    def refuse(self) -> None:
        """Forget the candidate."""
        self._candidate = None


class _Memory:
    """Owns the descriptor of sealed certificates; it is closed with the last release that is made with it."""

    def __init__(self, certificates: Certificates) -> None:
        self.fd = certificates.seal()

    def __del__(self) -> None:
        os.close(self.fd)
