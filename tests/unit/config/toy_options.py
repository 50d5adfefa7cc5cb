"""Options dataclasses with one field of each kind, for the tests of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field


def _not_zero(value: int) -> None:
    if value == 0:
        raise ValueError("cannot be 0")


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """Worker processes.

    What follows the first line is for readers of the code.
    """

    wsgi_app: str | None = field(default=None, metadata={"help": "The application."})
    workers: int = field(
        default=1,
        metadata={
            "flags": ("-w",),
            "variables": ("WEB_CONCURRENCY",),
            "help": "How many workers there are. More is not always better.",
            "check": _not_zero,
        },
    )
    worker_class: str = field(default="sync", metadata={"flags": ("-k",), "metavar": "NAME", "help": "Their class."})
    bind: tuple[str, ...] = field(
        default=("127.0.0.1:8000",),
        metadata={
            "flags": ("-b",),
            "metavar": "ADDRESS",
            "variables": ("PORT",),
            "variable_parse": {"PORT": lambda port: (f"0.0.0.0:{port}",)},
            "help": "Where to listen.",
        },
    )
    timeout: float = field(default=30.0, metadata={"flags": ("-t",), "unit": "seconds", "help": "How long."})
    keepalive: int = field(
        default=2, metadata={"flags": ("--keep-alive",), "unit": "seconds", "help": "How long idle."}
    )
    limit: int = field(default=65536, metadata={"unit": "bytes", "help": "How much."})
    ratio: float = field(default=0.5, metadata={"help": "How often."})
    loglevel: str = field(default="info", metadata={"flags": ("--log-level",), "choices": ("debug", "info")})
    pidfile: str | None = field(default=None, metadata={"flags": ("-p", "--pid"), "metavar": "FILE"})
    sendfile: bool = field(default=True, metadata={"help": "Use sendfile."})
    preload_app: bool = field(default=False, metadata={"flags": ("--preload",), "help": "Load first."})
    umask: int = field(default=0, metadata={"parse": lambda text: int(text, 8), "format": oct})
    secure_scheme_headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GeventOptions:
    """Gevent workers."""

    worker_connections: int = field(default=1000, metadata={"help": "Connections of one worker."})
    post_patch: str | None = None
