"""The WSGI environ (PEP 3333, after RFC 3875): a copy of what is the same for many requests, and a few facts more.

Three layers, from the longest lived to the shortest: the worker's and the listener's facts; the request's fields under
their CGI names, which a client that keeps its connection open repeats; and the request itself. The first two make a
template, which stays with the parsed ``Fields``; an environ is a copy of it, filled in.
"""

from __future__ import annotations

import logging
from typing import IO, Any

from workerkit.errors import ProtocolError
from workerkit.http.forwarded import Trust
from workerkit.http.names import environ_name
from workerkit.http.request import Fields, RequestHead
from workerkit.memo import Memo
from workerkit.net.address import Address, TCPAddress
from workerkit.net.stream import Stream

Environ = dict[str, Any]

_log = logging.getLogger("workerkit.error")

_PROTOCOLS = ("HTTP/1.0", "HTTP/1.1")

_OF_THE_REQUEST = dict.fromkeys(
    (
        "REQUEST_METHOD",
        "RAW_URI",
        "REQUEST_URI",
        "PATH_INFO",
        "QUERY_STRING",
        "SERVER_PROTOCOL",
        "wsgi.early_hints",
        "wsgi.input",
        "workerkit.on_drain",
    )
)


class EnvironBuilder:
    """Makes environs for one worker."""

    scheme = "http"
    default_port = "80"
    """What stands for the port at a Unix socket."""

    def __init__(self, base: Environ, trust: Trust) -> None:
        self._base = base
        self._trust = trust
        self._trusts: Memo[str | None, bool] = Memo(trust.trusts, 1024)

    def build(self, head: RequestHead, stream: Stream, body: IO[bytes]) -> Environ:
        """Return a new environ, which the application may change as it likes. The hot path: few steps, no loop."""
        peer = stream.peer
        host = peer[0] if type(peer) is tuple else None
        fields = head.fields
        local = stream.local
        trusted = self._trusts[host]
        for of_local, of_trusted, template in fields.environs:
            if of_local is local and of_trusted is trusted:
                environ: Environ = template.copy()
                break
        else:
            environ = self._template(fields, local, trusted).copy()
        path = head.path
        environ["REQUEST_METHOD"] = head.method
        environ["RAW_URI"] = environ["REQUEST_URI"] = head.target
        environ["PATH_INFO"] = _unquoted(path) if "%" in path else path
        environ["QUERY_STRING"] = head.query
        environ["SERVER_PROTOCOL"] = _PROTOCOLS[head.minor]
        environ["wsgi.input"] = body
        if environ["SCRIPT_NAME"]:
            self._mount(environ)
        if host is not None:
            environ["REMOTE_ADDR"] = host
            environ["REMOTE_PORT"] = str(peer[1])
        if head.authority is not None:
            self._name_host(environ, head.authority)
        return environ

    @staticmethod
    def _name_host(environ: Environ, authority: str) -> None:
        """Put the target's authority in the place of the Host field (RFC 9112 section 3.2.2)."""
        said = environ.get("HTTP_HOST", authority)
        if said.lower() != authority.lower():
            _log.info(
                "A request from %s names the host %s in its target and %s in its Host field: the target counts",
                environ["REMOTE_ADDR"] or "-", authority, said,
            )  # fmt: skip
        environ["HTTP_HOST"] = authority

    @staticmethod
    def _mount(environ: Environ) -> None:
        """Take the mount point off the path (PEP 3333); a path outside of it is served as it is."""
        mount = environ["SCRIPT_NAME"].rstrip("/")
        path = environ["PATH_INFO"]
        if path == mount or path.startswith(mount + "/"):
            environ["PATH_INFO"] = path[len(mount) :]
            environ["SCRIPT_NAME"] = mount
        else:
            environ["SCRIPT_NAME"] = ""

    def _template(self, fields: Fields, local: Address, trusted: bool) -> Environ:
        """Make what depends on the listener, the fields, and whether the peer is a trusted proxy, alone."""
        name, port = "localhost", self.default_port
        if isinstance(local, TCPAddress):
            name, port = local.host, str(local.port)
        template = {
            **self._base,
            "SERVER_NAME": name,
            "SERVER_PORT": port,
            "REMOTE_ADDR": "",
            **self._make_fields(fields, trusted),
            # Room for the rest: a copy of a dict that has all its keys need not grow.
            **_OF_THE_REQUEST,
        }
        # Of one listener there are two; where proxies tell the address that clients came by, there may be more.
        fields.environs = (*fields.environs[-7:], (local, trusted, template))
        return template

    def _make_fields(self, fields: Fields, trusted: bool) -> Environ:
        part: Environ = {}
        for name, value in fields.pairs:
            text = value.decode("latin-1")
            key = environ_name(name)
            if key is None:
                key = self._trust.underscored(name, trusted)
                if key is None:
                    continue
                # A proxy of ours says where it has mounted us; a client's Script-Name is another field.
                if trusted and key == "HTTP_SCRIPT_NAME" and part.setdefault("SCRIPT_NAME", text) != text:
                    raise ProtocolError("the header fields name two places where the application is mounted")
            # RFC 9110 section 5.3: repeated fields are one list; cookies are joined by their own sign.
            part[key] = f"{part[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}" if key in part else text
        part["wsgi.url_scheme"] = self._trust.scheme(fields.pairs, self.scheme) if trusted else self.scheme
        return part


def _unquoted(path: str) -> str:
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415  slow to import, and most paths have nothing to unquote

    return unquote_to_bytes(path).decode("latin-1")
