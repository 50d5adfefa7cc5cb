"""The settings of TLS; apart from what is done about them, which nobody loads who serves without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from workerkit.errors import ConfigError

_REQUIREMENTS = ("none", "optional", "required")


def _parse_requirement(text: str) -> int:
    """Return what Python's ssl module and gunicorn call CERT_NONE (0), CERT_OPTIONAL (1) and CERT_REQUIRED (2)."""
    if text in {"0", "1", "2"}:
        return int(text)
    if text.lower() not in _REQUIREMENTS:
        raise ValueError(f"expected one of {', '.join(_REQUIREMENTS)}, got {text!r}")
    return _REQUIREMENTS.index(text.lower())


def _check_requirement(number: int) -> None:
    if number not in range(len(_REQUIREMENTS)):
        raise ValueError(f"expected one of {', '.join(_REQUIREMENTS)}, got {number}")


@dataclass(frozen=True, eq=False, repr=False)
class TlsOptions:
    """TLS."""

    certfile: tuple[str, ...] = field(
        default=(),
        metadata={
            "metavar": "FILE",
            "help": "Serve by TLS with this certificate (PEM), and the chain that follows it. Given several times, the "
            "name that a client asks for chooses, and the first serves everybody else.",
        },
    )
    keyfile: tuple[str, ...] = field(
        default=(),
        metadata={
            "metavar": "FILE",
            "help": "The private key (PEM, not encrypted) of each certfile, in the same order; "
            "otherwise it is in the certfile.",
        },
    )
    ca_certs: str | None = field(
        default=None,
        metadata={"metavar": "FILE", "help": "The authorities (PEM) whose client certificates are accepted."},
    )
    cert_reqs: int = field(
        default=0,
        metadata={
            "metavar": "WHICH",
            "parse": _parse_requirement,
            "check": _check_requirement,
            "format": _REQUIREMENTS.__getitem__,
            "help": "Whether clients must show a certificate: none, optional or required.",
        },
    )
    tls_version: str = field(
        default="1.2",
        metadata={"metavar": "VERSION", "choices": ("1.2", "1.3"), "help": "The oldest version of TLS that is spoken."},
    )
    ciphers: str | None = field(
        default=None,
        metadata={
            "metavar": "LIST",
            "help": "Ciphers of TLS 1.2, in OpenSSL's notation; those of TLS 1.3 are all good and stay.",
        },
    )
    handshake_timeout: float = field(
        default=10.0,
        metadata={"unit": "seconds", "help": "Within which a client must have completed its handshake."},
    )
    ssl_context: Callable[..., object] | None = field(
        default=None,
        metadata={
            "metavar": "(config, default_ssl_context_factory)",
            "help": "Called in a worker when it makes its context, and again when the files have changed; "
            "returns the ssl.SSLContext to serve with.",
        },
    )

    def checked(self) -> TlsOptions | None:
        """Return these options when they ask for TLS, None when nothing does.

        Raises:
            ConfigError: They contradict each other.
        """
        if not self.certfile:
            for name in ("keyfile", "ca_certs", "cert_reqs", "ssl_context"):
                if getattr(self, name):
                    raise ConfigError(f"{name} is about TLS, which needs a certificate: give certfile too")
            return None
        if self.keyfile and len(self.keyfile) != len(self.certfile):
            raise ConfigError(
                f"there are {len(self.certfile)} certfile and {len(self.keyfile)} keyfile: each certfile needs its "
                "key, in the same order, or none of them does because their keys are in them"
            )
        if self.cert_reqs and not self.ca_certs:
            raise ConfigError("cert_reqs asks for client certificates: say in ca_certs whose are accepted")
        return self

    def files(self) -> list[str]:
        """Return the files that these options name."""
        return [*self.certfile, *self.keyfile, *([self.ca_certs] if self.ca_certs else [])]
