"""Payloads through a proxy to a server, and what became of them.

Each payload comes on a connection of its own, and is followed by another client's request, which the proxy sends on
whatever connection to the server it kept. When all have been sent, proxy and server are stopped, and what each of them
wrote down is compared.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from tests.proxies.application import RECORD
from tests.proxies.fronts import Forwarded, Front, Kind
from tests.proxies.payloads import SMUGGLED, Payload
from tests.refusals.case import ARGUMENTS
from workerkit.testing.client import RawConnection, request
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.server import Launcher

_ROOT = Path(__file__).resolve().parents[2]
_SILENCE = 0.25
"""Seconds without a byte after which a client takes it that the proxy waits for more, and leaves."""

_LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_REFUSED = re.compile(r"^(?=.*Refused a request from)")


class Seen(NamedTuple):
    """A request as the application saw it."""

    name: str
    """What the proxy called it; empty: the proxy knows nothing of it."""
    method: str
    target: str


@dataclass(slots=True)
class Outcome:
    """What became of all payloads, and of the requests between them."""

    payloads: int
    forwarded: int = 0
    """Requests that the proxy passed on."""
    kept_back: int = 0
    """Requests that it answered itself."""
    answered: int = 0
    """Requests that the application saw."""
    refused: int = 0
    """Those that workerkit refused."""
    shared: int = 0
    """Requests behind a payload that came on the same connection to the server as the one behind the payload before;
    0 for a Unix socket, of which that cannot be said."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong, by the payload that it began with."""

    def blame(self, payload: str, what: str) -> None:
        self.faults.setdefault(payload, []).append(what)


def try_out(kind: Kind, worker: str, payloads: Sequence[Payload], folder: Path) -> Outcome:
    """Send all payloads through a proxy to a server of one worker of a class, and compare what each wrote down.

    Raises:
        AssertionError: The server did not end as it should.
    """
    outcome = Outcome(len(payloads))
    launcher = Launcher(folder, path=[_ROOT], arguments=["--worker-class", worker, *ARGUMENTS])
    bind = f"unix:{folder}/web.sock" if kind.unix else "127.0.0.1:0"
    (folder / "front").mkdir()
    try:
        # The recipes count on a keepalive that is longer than the proxy's.
        server = launcher("tests.proxies.application:app", "--keep-alive", "75", bind=bind, tracebacks=True)
        with Front(kind, folder / "front", server.url) as front:
            origins = _send(front, payloads, outcome)
    finally:
        launcher.finish()
    forwarded, outcome.kept_back = front.requests()
    lines = (server.folder / RECORD).read_text().splitlines()
    refused = len(server.log.find(_REFUSED))
    compare(forwarded, [Seen(*json.loads(line)) for line in lines], refused, origins, outcome)
    return outcome


def _send(front: Front, payloads: Iterable[Payload], outcome: Outcome) -> dict[int, str]:
    """Send the payloads one after another; return which of them came from which port."""
    origins: dict[int, str] = {}
    before = ""
    for number, payload in enumerate(payloads):
        with socket.create_connection(("127.0.0.1", front.port), DEADLINE) as client:
            origins[client.getsockname()[1]] = payload.name
            _converse(client, payload.data + _LAST)
        target = f"/victim/{number}"
        with RawConnection(socket.create_connection(("127.0.0.1", front.port), DEADLINE)) as victim:
            origins[victim.socket.getsockname()[1]] = f"the request behind: {payload.name}"
            try:
                victim.send(request(target))
                reply = victim.read_response()
            except (AssertionError, OSError) as error:
                outcome.blame(payload.name, f"the request behind it was not answered: {error}")
                continue
        if (reply.status, reply.body) != (200, f"GET {target}".encode()):
            outcome.blame(payload.name, f"the request behind it was answered with {reply.status} {reply.body[:60]!r}")
        connection = reply.headers.get("x-connection", "")
        outcome.shared += connection == before != ""
        before = connection
    return origins


def _converse(client: socket.socket, data: bytes) -> None:
    """Send all of it, and wait until the proxy has closed or says nothing more."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(data)
    client.settimeout(_SILENCE)
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while client.recv(65536):
            pass


def compare(
    forwarded: Sequence[Forwarded], seen: Sequence[Seen], refused: int, origins: dict[int, str], outcome: Outcome
) -> None:
    """Find each request that one of the two knows of and the other does not."""
    outcome.forwarded, outcome.answered, outcome.refused = len(forwarded), len(seen), refused
    known = {origin.name: origin for origin in forwarded}
    if len(known) != len(forwarded):
        outcome.blame("all", "the proxy gave several requests one name")
    last = "the first one"
    arrived: set[str] = set()
    for name, method, target in seen:
        origin = known.get(name)
        if origin is None:
            outcome.blame(last, f"the application saw {method} {target}, which the proxy did not pass on")
            continue
        last = origins.get(origin.port, "a connection that is not ours")
        if name in arrived:
            outcome.blame(last, f"the application saw {method} {target} twice")
        if _essence(origin.request) != _essence(f"{method} {target}"):
            outcome.blame(last, f"the proxy passed on {origin.request!r}, the application saw {method} {target}")
        if _path(target).startswith(SMUGGLED):
            outcome.blame(last, f"the application saw {method} {target}, which stood in a body")
        arrived.add(name)
    for origin in forwarded:
        if origin.status == 200 and origin.name not in arrived:
            outcome.blame(origins.get(origin.port, "?"), f"{origin.request} was answered, but not by the application")
    # What is refused was sent to be a request: bytes that were left over from another one would be refused, too.
    unanswered = sum(origin.status != 200 for origin in forwarded)
    if refused > unanswered:
        outcome.blame("all", f"{refused} requests were refused, and the proxy knows of {unanswered}")


def _essence(request_line: str) -> tuple[str, str]:
    """Return method and path: a proxy may write the rest of a target another way."""
    method, _, rest = request_line.partition(" ")
    return method, _path(rest.partition(" HTTP/")[0])


def _path(target: str) -> str:
    path = re.sub(r"^[a-z]+://[^/?]*", "", target).partition("?")[0]
    return re.sub("/+", "/", unquote(path, "latin-1")) or "/"
