"""The kinds of cases. A case is data: where it is tried, and how, is not its business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from workerkit.http.limits import HttpLimits

REQUEST_BUFFER = 4096
"""Above this the application reads a body while it arrives, so that small cases try that too."""

LIMITS = HttpLimits(limit_request_body=1 << 20)
"""What cases count on: the defaults, and a limit for bodies, which has none."""

ARGUMENTS = ("--limit-request-body", str(LIMITS.limit_request_body), "--request-buffer", str(REQUEST_BUFFER))
"""The same for the command."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes that are answered once and by closing, though nothing follows them; what follows is never read."""

    name: str
    source: str
    data: bytes
    status: int = 400
    calls: int = 0
    """How many requests the application is given for it: one, if it reads the broken body itself."""
    answered: int = 0
    """How many good requests stand before it."""
    trusted: bool = False
    """Whether it comes from a proxy that is believed, and is refused for what that says: not the parser's matter."""


@dataclass(frozen=True, slots=True)
class Understood:
    """Bytes that are requests, and mean what they say and no more: the request behind them is read as one."""

    name: str
    source: str
    data: bytes
    calls: tuple[str, ...] = ("GET /",)
    """Method and path of what the application is asked, in order."""
    body: bytes | None = b""
    """What the application reads, of the first of them; None: it reads nothing."""
    environ: Mapping[str, str | None] = field(default_factory=dict)
    """Values in the environ of the first; None for a key that must not be there."""
    trusted: bool = False
    """Whether it comes from a proxy that is believed."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A body whose client closes before its end: never a clean end for the application, never a 2xx."""

    name: str
    source: str
    data: bytes
    called: bool
    """Whether the application is called at all; it is not while the body is still being buffered."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request whose client waits for leave to send the body (RFC 9110 section 10.1.1)."""

    name: str
    source: str
    head: bytes
    body: bytes | None
    """Sent once leave is given, of which there is one; None: there is none, but an answer and the end."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A client that resets its connection, at once or behind some bytes: nobody else notices."""

    name: str
    source: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """A request whose application breaks the rules of a response."""

    name: str
    source: str
    page: str
    """In ``misbehaving``."""
    status: int = 500
    log: str = ""
    """What a line of the error log says of it, as a pattern."""
    method: str = "GET"
    body: bytes | None = None
    """What follows the head of the response; None: whatever an error says."""
    ends: bool = True
    """Whether the connection is closed after it."""
    head: str = ""
    """A line that its head must have."""


@dataclass(frozen=True, slots=True)
class Sending:
    """An answer to a client that has not finished sending: it gets all of it, and no reset."""

    name: str
    source: str
    head: bytes
    status: int
    rest: int = 1 << 20
    """Bytes that it sends after ``head`` before it looks at the answer."""


Case: TypeAlias = Refused | Understood | Cut | Waiting | Gone | Fault | Sending
